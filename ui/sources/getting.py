"""Three ways to bring a table: upload it, take it from the hub, or name a file on this computer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import streamlit as st

from pruning.data import READERS
from pruning.errors import PruningError, message_of
from pruning.language import mark, tr
from pruning.sources import fetch, stage
from pruning.tables import largest_file, most_rows
from ui import allowed
from ui.jobs import Job
from ui.sources.draft import begin_draft, begin_path
from ui.store import session_id, store
from ui.theme import as_sentence, plain
from ui.waiting import wait_for

KINDS = ", ".join(suffix.lstrip(".").upper() for suffix in READERS)


def get_table() -> None:
    """The ways that this server offers, and the one that is chosen."""
    ways: dict[str, Callable[[], None]] = {mark("Upload a file"): _upload, mark("Hub dataset"): _hub}
    if allowed.has_paths():
        ways[mark("On this computer")] = _path
    way = st.segmented_control(
        tr("Where it comes from"), list(ways), default="Upload a file", key="source_way", required=True,
        persist_state="session", format_func=tr,
    )  # fmt: skip
    ways[way if way in ways else "Upload a file"]()
    if problem := st.session_state.get("draft_problem"):
        st.error(plain(as_sentence(problem)))


def _try(act: Callable[[], None]) -> None:
    """Take a table, or say why it cannot be taken."""
    st.session_state.pop("draft_problem", None)
    try:
        act()
    except PruningError as error:
        st.session_state["draft_problem"] = message_of(error)


# Upload ----------------------------------------------------------------------------------------------------------


def _upload() -> None:
    key = f"source_upload_{st.session_state.get('source_uploads', 0)}"
    st.file_uploader(
        tr("Table with one example in each row"), type=[suffix.lstrip(".") for suffix in READERS], key=key,
        on_change=_take_upload, args=(key,),
        help=tr("What is chosen next: which column is what, and what labels mean."),
    )  # fmt: skip
    text = mark(
        "Up to {size} MB and {rows:,} rows. It is kept where Headroom runs, under an id that only its links tell."
    )
    st.caption(tr(text, size=st.get_option("server.maxUploadSize"), rows=most_rows()))


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
            tr("Path of a file or folder"), key="source_path", placeholder="~/data/reviews.csv",
            help=tr(
                "A file stays where it is, and is read again when it changes. Of a folder, the tables or the images in "
                "it are copied as they are now; images lie in a folder for each class."
            ),
        )  # fmt: skip
        asked = st.form_submit_button(tr("Read"), type="primary")
    limits = {"size": largest_file() / 1e6, "rows": most_rows(), "root": allowed.root(), "kinds": KINDS}
    below = mark("{kinds} below {root}, up to {size:,.0f} MB and {rows:,} rows.")
    anywhere = mark("{kinds}, up to {size:,.0f} MB and {rows:,} rows.")
    st.caption(plain(tr(below if allowed.root() else anywhere, **limits)))
    if asked and path.strip():
        _try(lambda: begin_path(path.strip()))
        st.rerun()


# The hub ---------------------------------------------------------------------------------------------------------


def _hub() -> None:
    columns = st.columns([2, 1, 1])
    name = columns[0].text_input(tr("Dataset id"), key="hub_name", placeholder="owner/name", persist_state="session")
    config = columns[1].text_input(
        tr("Configuration"), key="hub_config", persist_state="session",
        help=tr("Only where the dataset has several."),
    )  # fmt: skip
    split = columns[2].text_input(
        tr("Split"), key="hub_split", persist_state="session",
        help=tr("Without one all are read: train chooses, validation and test measure."),
    )  # fmt: skip
    st.caption(tr("Its first {n:,} rows are downloaded and kept where Headroom runs.", n=most_rows()))
    if not name.strip():
        st.button(tr("Read from the hub"), disabled=True, type="primary")
        return
    wanted = ("fetch", name.strip(), config.strip(), split.strip())
    job = store().reader.latest((session_id(), "fetch"))
    if job is not None and job.state == "done" and st.session_state.get("hub_taken") is not job:
        st.session_state["hub_taken"] = job
        if job.fingerprint == wanted:
            _try(lambda: begin_draft(name.strip(), job.result))
            st.rerun()
    wait_for(job, wanted, tr("Read from the hub"), lambda: _fetch(wanted), store().reader)


def _fetch(wanted: tuple[str, str, str, str]) -> None:
    _, name, config, split = wanted

    def work(job: Job) -> Path:
        return fetch(name, config, split, lambda step: job.report(0, 1, step))

    latest = store().reader.latest((session_id(), "fetch"))
    if latest is not None and latest.fingerprint == wanted and not latest.active:
        latest.fingerprint = None  # asked for again: it is fetched again
    store().reader.submit(Job((session_id(), "fetch"), wanted, work))
