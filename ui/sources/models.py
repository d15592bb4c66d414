"""The model half of the page: the built-in ones, and one's own by hub id or folder, looked at before it is loaded."""

from __future__ import annotations

import streamlit as st

from pruning.builtin import BUILT_IN, BuiltIn
from pruning.needs import Needs, check_needs, weights_on_disk
from ui import allowed, state
from ui.jobs import Job
from ui.measuring import TAPES_MB
from ui.sidebar import want_model
from ui.store import LIVE_ROWS, session_id, store
from ui.theme import parameters, plain
from ui.waiting import wait_for

CUTS = {
    "✓": "Heads of this model type can be masked and cut: it was tried with a small model.",
    "✓ padded": "Heads of this model type can be masked and cut; some cuts keep padding, and are smaller savings.",
    "part padded": "Some heads of this model type can be cut, others only masked.",
    "no": "Heads of this model type cannot be cut; some can be masked.",
    "✗": "Cuts of this model type were found to be wrong: mask heads only.",
}
NOT_TRIED = "This model type was not tried. What can be masked and cut is found out when it is loaded."


def model_view() -> None:
    """Draw it all."""
    st.header("Built-in models")
    for column, model in zip(st.columns(len(BUILT_IN)), BUILT_IN.values(), strict=True):
        with column.container(border=True, height="stretch"):
            _card(model)
    st.header("A model of your own")
    _own()


def _card(model: BuiltIn) -> None:
    """What it is, its size and licence, and the button or the command that brings it."""
    size = weights_on_disk(model)
    st.markdown(f"**{plain(model.label)}**")
    weights = f"{megabytes(size)} of weights" if size else "not installed"
    st.caption(f"{model.task.replace('-', ' ').capitalize()} · {weights} · {model.licence}")
    if model.hub_id:
        st.caption(plain(f"Made from {model.hub_id}"))
    if model.present:
        _load_button(model.name)
    else:
        st.markdown("Install it with:")
        st.code(model.install, language="bash", wrap_lines=True)


def _load_button(name: str) -> None:
    wanted = st.session_state.get("model_wanted", state.current().model)
    if name == wanted:
        st.markdown("In use" if store().request_model(name).state == "ready" else "Loading")
    else:
        st.button("Load", key=f"load {name}", on_click=_load, args=(name,))


def _load(name: str) -> None:
    want_model(name)


# One's own -------------------------------------------------------------------------------------------------------


def _own() -> None:
    name = st.text_input(
        "Hub id or folder" if allowed.has_paths() else "Hub id", key="model_asked", placeholder="owner/name",
        persist_state="session",
        help="Only its configuration and the sizes of its files are read, until you load it. Only safetensors are "
        "loaded, and no code of the model runs.",
    ).strip()  # fmt: skip
    if allowed.patterns() or not allowed.has_paths() or allowed.root():
        text = allowed.models_allowed()
        st.caption(plain(f"This server is restricted: {text}."))
    if not name:
        st.button("Check", disabled=True)
        return
    key = ("needs", name)
    job = store().reader.latest((session_id(), "needs"))
    found = job.result if job is not None and job.fingerprint == key and job.state == "done" else None
    wait_for(job, key, "Check", lambda: _check(name), store().reader, primary=found is None)
    if found is not None:
        draw_needs(found)


def _check(name: str) -> None:
    def work(job: Job) -> Needs:
        job.report(0, 1, "Looking at its configuration")
        allowed.check_model(name)
        return check_needs(name)

    latest = store().reader.latest((session_id(), "needs"))
    if latest is not None and not latest.active:
        latest.fingerprint = None  # looked at again: a folder may have changed, the network may be back
    store().reader.submit(Job((session_id(), "needs"), ("needs", name), work))


def draw_needs(needs: Needs) -> None:
    """What it is, what it takes, and the button that loads it."""
    st.subheader(plain(needs.name))
    first, second, third = st.columns(3)
    first.metric("Size", parameters(needs.weights).removesuffix(" parameters"))
    first.caption("parameters" + (f", {megabytes(needs.download_bytes)} to download" if needs.download_bytes else ""))
    second.metric("Memory to load it", megabytes(needs.memory_bytes))
    second.caption(f"{megabytes(needs.free_bytes)} are free now")
    third.metric("Memory to measure it", measuring_text(needs))
    third.caption("at most, for what is kept between two masks (`HEADROOM_CACHE_MB`)")
    st.markdown("  \n".join(plain(line) for line in facts(needs)))
    problem = why_not(needs)
    if problem:
        st.warning(plain(problem))
    if needs.name == st.session_state.get("model_wanted", state.current().model):
        _load_button(needs.name)
    else:
        st.button("Load", key="load checked", type="primary", disabled=bool(problem), on_click=_load,
                  args=(needs.name,))  # fmt: skip


def facts(needs: Needs) -> list[str]:
    """What else is known, a sentence each."""
    shape = f", {needs.layers} layers of {needs.heads} heads" if needs.layers and needs.heads else ""
    classes = f" Its classes: {', '.join(needs.classes[:12])}." if needs.classes and needs.task else ""
    return [
        f"Architecture: {needs.architecture or needs.model_type or 'not stated'}{shape}.",
        f"Task: {needs.task.replace('-', ' ') if needs.task else 'none that is measured here'}.{classes}",
        f"Licence: {needs.licence or 'not stated'}.",
        CUTS.get(needs.cutting, NOT_TRIED),
    ]


def why_not(needs: Needs) -> str:
    """Why it need not be loaded; empty where nothing is known against it."""
    if needs.task is None:
        return "It is no classifier and no language model, so there is no task to measure it on."
    if not needs.fits:
        return (
            f"It does not fit into memory: it needs about {megabytes(needs.memory_bytes)}, and "
            f"{megabytes(needs.free_bytes)} are free."
        )
    return ""


def measuring_text(needs: Needs) -> str:
    """The most that the states of the last mask take, up to the limit that is set."""
    limit = TAPES_MB << 20
    wanted = needs.token_bytes * needs.tokens * LIVE_ROWS
    return megabytes(min(limit, wanted) if wanted else limit)


def megabytes(size: int) -> str:
    """
    >>> megabytes(93_585_264), megabytes(2_500_000_000), megabytes(1_220_896)
    ('94 MB', '2.5 GB', '1.2 MB')
    """
    if size >= 1e9:
        return f"{size / 1e9:.1f} GB"
    return f"{size / 1e6:.1f} MB" if size < 1e7 else f"{size / 1e6:.0f} MB"
