"""Three ways to bring a table: upload it, take it from the hub, or name a file on this computer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import streamlit as st

from pruning.data import READERS
from pruning.errors import PruningError
from pruning.sources import fetch, stage
from pruning.tables import largest_file, most_rows
from ui import allowed
from ui.jobs import Job
from ui.sources.draft import begin_draft, begin_path
from ui.store import session_id, store
from ui.theme import plain
from ui.waiting import wait_for

KINDS = ", ".join(suffix.lstrip(".").upper() for suffix in READERS)


def get_table() -> None:
    """The ways that this server offers, and the one that is chosen."""
    ways: dict[str, Callable[[], None]] = {"Upload a file": _upload, "Hub dataset": _hub}
    if allowed.has_paths():
        ways["On this computer"] = _path
    way = st.segmented_control(
        "Where it comes from", list(ways), default="Upload a file", key="source_way", required=True,
        persist_state="session",
    )  # fmt: skip
    ways[way if way in ways else "Upload a file"]()
    if problem := st.session_state.get("draft_problem"):
        st.error(plain(problem))


def _try(act: Callable[[], None]) -> None:
    """Take a table, or say why it cannot be taken."""
    st.session_state.pop("draft_problem", None)
    try:
        act()
    except PruningError as error:
        st.session_state["draft_problem"] = f"{str(error)[:1].upper()}{str(error)[1:]}."


# Upload ----------------------------------------------------------------------------------------------------------


def _upload() -> None:
    key = f"source_upload_{st.session_state.get('source_uploads', 0)}"
    st.file_uploader(
        "Table with one example in each row", type=[suffix.lstrip(".") for suffix in READERS], key=key,
        on_change=_take_upload, args=(key,), help="What is chosen next: which column is what, and what labels mean.",
    )  # fmt: skip
    st.caption(
        f"Up to {st.get_option('server.maxUploadSize')} MB and {most_rows():,} rows. It is kept where "
        "Headroom runs, under an id that only its links tell."
    )


def _take_upload(key: str) -> None:
    file = st.session_state.get(key)
    if file is None:
        return
    st.session_state["source_uploads"] = st.session_state.get("source_uploads", 0) + 1  # the field is empty again
    name = Path(file.name.replace("\\", "/")).name
    _try(lambda: begin_draft(name, stage(name, file.getvalue())))


# On this computer -----------------------------------------------------------------------------------------


def _path() -> None:
    with st.form("source_path_form", border=False):
        path = st.text_input(
            "Path of a file or folder", key="source_path", placeholder="~/data/reviews.csv",
            help="A file stays where it is, and is read again when it changes. Of a folder, the tables or the images "
            "in it are copied as they are now; images lie in a folder for each class.",
        )  # fmt: skip
        asked = st.form_submit_button("Read", type="primary")
    below = f" below {allowed.root()}" if allowed.root() else ""
    st.caption(plain(f"{KINDS}{below}, up to {largest_file() / 1e6:,.0f} MB and {most_rows():,} rows."))
    if asked and path.strip():
        _try(lambda: begin_path(path.strip()))
        st.rerun()


# The hub ---------------------------------------------------------------------------------------------------------


def _hub() -> None:
    columns = st.columns([2, 1, 1])
    name = columns[0].text_input("Dataset id", key="hub_name", placeholder="owner/name", persist_state="session")
    config = columns[1].text_input(
        "Configuration", key="hub_config", persist_state="session", help="Only where the dataset has several.",
    )  # fmt: skip
    split = columns[2].text_input(
        "Split", key="hub_split", persist_state="session",
        help="Without one all are read: train chooses, validation and test measure.",
    )  # fmt: skip
    st.caption(f"Its first {most_rows():,} rows are downloaded and kept where Headroom runs.")
    if not name.strip():
        st.button("Read from the hub", disabled=True, type="primary")
        return
    wanted = ("fetch", name.strip(), config.strip(), split.strip())
    job = store().reader.latest((session_id(), "fetch"))
    if job is not None and job.state == "done" and st.session_state.get("hub_taken") is not job:
        st.session_state["hub_taken"] = job
        if job.fingerprint == wanted:
            _try(lambda: begin_draft(name.strip(), job.result))
            st.rerun()
    wait_for(job, wanted, "Read from the hub", lambda: _fetch(wanted), store().reader)


def _fetch(wanted: tuple[str, str, str, str]) -> None:
    _, name, config, split = wanted

    def work(job: Job) -> Path:
        return fetch(name, config, split, lambda step: job.report(0, 1, step))

    latest = store().reader.latest((session_id(), "fetch"))
    if latest is not None and latest.fingerprint == wanted and not latest.active:
        latest.fingerprint = None  # asked for again: it is fetched again
    store().reader.submit(Job((session_id(), "fetch"), wanted, work))
