"""The model half of the page: the built-in ones, and one's own by hub id or folder, looked at before it is loaded."""

from __future__ import annotations

import streamlit as st

from pruning.builtin import BUILT_IN, BuiltIn
from pruning.language import listing, mark, tr
from pruning.needs import Needs, check_needs, weights_on_disk
from ui import allowed, state
from ui.jobs import Job
from ui.measuring import TAPES_MB
from ui.sidebar import want_model
from ui.store import LIVE_ROWS, session_id, store
from ui.theme import parameters, plain
from ui.waiting import wait_for

CUTS = {
    "✓": mark("Heads of this model type can be masked and cut: it was tried with a small model."),
    "✓ padded": mark(
        "Heads of this model type can be masked and cut; some cuts keep padding, and are smaller savings."
    ),
    "part padded": mark("Some heads of this model type can be cut, others only masked."),
    "no": mark("Heads of this model type cannot be cut; some can be masked."),
    "✗": mark("Cuts of this model type were found to be wrong: mask heads only."),
}
NOT_TRIED = mark("This model type was not tried. What can be masked and cut is found out when it is loaded.")
TASKS = {
    "text-classification": mark("Text classification"),
    "image-classification": mark("Image classification"),
    "language-modeling": mark("Language modeling"),
}


def model_view() -> None:
    """Draw it all."""
    st.header(tr("Built-in models"))
    for column, model in zip(st.columns(len(BUILT_IN)), BUILT_IN.values(), strict=True):
        with column.container(border=True, height="stretch"):
            _card(model)
    st.header(tr("A model of your own"))
    _own()


def _card(model: BuiltIn) -> None:
    """What it is, its size and licence, and the button or the command that brings it."""
    size = weights_on_disk(model)
    st.markdown(f"**{plain(tr(model.label))}**")
    weights = tr("{size} of weights", size=megabytes(size)) if size else tr("not installed")
    st.caption(f"{tr(TASKS[model.task])} · {weights} · {model.licence}")
    if model.hub_id:
        st.caption(plain(tr("Made from {model}", model=model.hub_id)))
    if model.present:
        _load_button(model.name)
    else:
        st.markdown(tr("Install it with:"))
        st.code(model.install, language="bash", wrap_lines=True)


def _load_button(name: str) -> None:
    wanted = st.session_state.get("model_wanted", state.current().model)
    if name == wanted:
        st.markdown(tr("In use") if store().request_model(name).state == "ready" else tr("Loading"))
    else:
        st.button(tr("Load"), key=f"load {name}", on_click=_load, args=(name,))


def _load(name: str) -> None:
    want_model(name)


# One's own -------------------------------------------------------------------------------------------------------


def _own() -> None:
    name = st.text_input(
        tr("Hub id or folder") if allowed.has_paths() else tr("Hub id"), key="model_asked", placeholder="owner/name",
        persist_state="session",
        help=tr(
            "Only its configuration and the sizes of its files are read, until you load it. Only safetensors are "
            "loaded, and no code of the model runs."
        ),
    ).strip()  # fmt: skip
    if allowed.patterns() or not allowed.has_paths() or allowed.root():
        text = allowed.models_allowed()
        st.caption(plain(tr("This server is restricted: {text}.", text=text)))
    if not name:
        st.button(tr("Check"), disabled=True)
        return
    key = ("needs", name)
    job = store().reader.latest((session_id(), "needs"))
    found = job.result if job is not None and job.fingerprint == key and job.state == "done" else None
    wait_for(job, key, tr("Check"), lambda: _check(name), store().reader, primary=found is None)
    if found is not None:
        draw_needs(found)


def _check(name: str) -> None:
    def work(job: Job) -> Needs:
        job.report(0, 1, mark("Looking at its configuration"))
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
    first.metric(tr("Size"), parameters(needs.weights))
    if needs.download_bytes:
        first.caption(tr("{size} to download", size=megabytes(needs.download_bytes)))
    second.metric(tr("Memory to load it"), megabytes(needs.memory_bytes))
    second.caption(tr("{size} are free now", size=megabytes(needs.free_bytes)))
    third.metric(tr("Memory to measure it"), measuring_text(needs))
    third.caption(tr("at most, for what is kept between two masks (`HEADROOM_CACHE_MB`)"))
    st.markdown("  \n".join(plain(line) for line in facts(needs)))
    problem = why_not(needs)
    if problem:
        st.warning(plain(problem))
    if needs.name == st.session_state.get("model_wanted", state.current().model):
        _load_button(needs.name)
    else:
        st.button(tr("Load"), key="load checked", type="primary", disabled=bool(problem), on_click=_load,
                  args=(needs.name,))  # fmt: skip


def facts(needs: Needs) -> list[str]:
    """What else is known, a sentence each."""
    name = needs.architecture or needs.model_type or tr("not stated")
    shaped = mark("Architecture: {name}, {layers} layers of {heads} heads.")
    shape = shaped if needs.layers and needs.heads else mark("Architecture: {name}.")
    task = tr(TASKS.get(needs.task, needs.task)).lower() if needs.task else tr("none that is measured here")
    listed = mark("Task: {task}. Its classes: {classes}.") if needs.classes and needs.task else mark("Task: {task}.")
    return [
        tr(shape, name=name, layers=needs.layers, heads=needs.heads),
        tr(listed, task=task, classes=listing(needs.classes[:12])),
        tr("Licence: {licence}.", licence=needs.licence or tr("not stated")),
        tr(CUTS.get(needs.cutting, NOT_TRIED)),
    ]


def why_not(needs: Needs) -> str:
    """Why it need not be loaded; empty where nothing is known against it."""
    if needs.task is None:
        return tr("It is no classifier and no language model, so there is no task to measure it on.")
    if not needs.fits:
        text = mark("It does not fit into memory: it needs about {size}, and {free} are free.")
        return tr(text, size=megabytes(needs.memory_bytes), free=megabytes(needs.free_bytes))
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
