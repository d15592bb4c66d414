"""The sidebar: which model, which data, how far loading is, and the link to what is on the screen."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import streamlit as st

from pruning.builtin import ASSETS, BUILT_IN
from pruning.data import BUILT_IN_DATA
from pruning.errors import PruningError
from pruning.language import LANGUAGES, Later, language, later, mark, tr, trn
from ui import state
from ui.controls import choose_again, mirror_key, on_move
from ui.jobs import Job
from ui.paths import source_of
from ui.sources.draft import menu_label, own_sources
from ui.store import Loading, modified, session_id, store
from ui.theme import as_sentence, plain, shortened

REFRESH_SECONDS = 0.5
FALLBACK = state.Session.model  # where another model cannot be had
MODEL_HELP = mark(
    "Pick a built-in model, or type the id of a classifier or language model on the Hugging Face hub "
    "(owner/name), or the path of a folder on this computer. Only safetensors are read, and no code of the model runs."
)
DATA_HELP = mark(
    "Pick a built-in set, or type the path of a CSV, TSV, JSONL, JSON or Parquet file with a text and a label column, "
    "or the id of a hub dataset. A split column (calibration, evaluation) keeps choosing and measuring apart."
)


def sidebar() -> None:
    """Draw the sidebar; the model begins to load on the first visit."""
    st.logo(str(ASSETS / "logo.svg"))
    with st.sidebar:
        _model_picker()
        _data_picker()
        _language_picker()
        _link()


# Model -----------------------------------------------------------------------------------------------------------


def _model_picker() -> None:
    session = state.current()
    name = st.session_state.get("model_wanted", session.model)
    known = list(dict.fromkeys([*BUILT_IN, session.model, *st.session_state.get("models_used", []), name]))
    key = mirror_key("model", name)
    st.selectbox(
        tr("Model"),
        known,
        index=known.index(name),
        key=key,
        format_func=state.model_label,
        accept_new_options=True,
        on_change=on_move("model", key, want_model),
        help=tr(MODEL_HELP),
    )
    first = "model_files_seen" not in st.session_state  # a reload of the page sees files that have changed
    st.session_state["model_files_seen"] = True
    waiting = store().request_model(name, retry=first and store().is_outdated(name)).state == "loading"
    st.fragment(_model_state, run_every=REFRESH_SECONDS if waiting else None)(waiting)


def want_model(choice: Any) -> str:
    """Ask for a model; what is on the screen stays until it is there."""
    name = (choice or "").strip()
    st.session_state.pop("model_problem", None)
    st.session_state.pop("model_wanted", None)
    if name and name != state.current().model:
        st.session_state["model_wanted"] = name
        store().request_model(name, retry=True)
    return name


def _model_state(waiting: bool) -> None:
    """One line on the model; when the state changes, the whole page is drawn again."""
    session = state.current()
    name = st.session_state.get("model_wanted", session.model)
    loading = store().request_model(name)
    if loading.state == "loading":
        st.caption(plain(tr("Loading: {step} …", step=tr(loading.step))))
        st.progress(_share_of(loading), text=None)
        return
    if name != session.model or (loading.state == "failed" and name != FALLBACK):
        _settle(loading, session)
    if loading.state == "failed":  # the one that everything begins with: there is no other to go back to
        st.session_state.setdefault("model_problem", loading.error)
    if waiting:
        st.rerun()
    if refused := refused_model():
        st.error(
            plain(tr("The model {model} could not be loaded. The reason is at the top of the page.", model=refused[0]))
        )
    elif problem := st.session_state.get("model_problem"):
        st.error(plain(as_sentence(problem)))
    ready = store().request_model(state.current().model)
    if ready.model is not None:
        anatomy = ready.model.anatomy
        heads = trn("{n:,} head", "{n:,} heads", anatomy.total_heads)
        layers = trn("{n} attention layer", "{n} attention layers", len(anatomy.sites))
        st.caption(tr("Ready · {heads} in {layers}", heads=heads, layers=layers))


def refused_model() -> tuple[str, object] | None:
    """The model that was asked for and could not be had while another one is shown, and why."""
    session, problem = state.current(), st.session_state.get("model_problem")
    name = st.session_state.get("model_refused", session.model)
    shown = store().request_model(session.model).state != "failed"
    return (shortened(name, 80), problem) if problem is not None and shown and name != session.model else None


def _share_of(loading: Loading) -> float:
    """How far loading is, by the steps that it goes through."""
    steps = ("Waiting", "Starting", "Looking", "Checking", "Loading", "Finding", "Counting")
    place = next(
        (i for i, word in enumerate(steps) if str(getattr(loading.step, "text", loading.step)).startswith(word)), 2
    )
    return place / len(steps)


def _settle(loading: Loading, session: state.Session) -> None:
    """Take the wanted model where it is ready; stay on what worked before where it is not."""
    st.session_state.pop("model_wanted", None)
    if loading.state == "ready":
        used = st.session_state.setdefault("models_used", [])
        used.append(loading.name)
        state.update(model=loading.name, data=_data_for(loading.name, loading.task))
    else:
        st.session_state["model_problem"], st.session_state["model_refused"] = loading.error, loading.name
        if loading.name == session.model != FALLBACK:
            state.update(model=FALLBACK, data=_data_for(FALLBACK, BUILT_IN[FALLBACK].task))
    st.rerun()


def _data_for(model: str, task: str | None) -> str:
    """The data that is on the screen, unless it is built in and made for another kind of task."""
    data = state.current().data
    return data if state.fits(data, task) else state.default_data(model)


def loading_step(step: str | Later) -> str:
    """A step within a sentence."""
    text = tr(step)
    return f"{text[:1].lower()}{text[1:]}"


# Data ------------------------------------------------------------------------------------------------------------


def _data_picker() -> None:
    session = state.current()
    wanted = st.session_state.get("data_wanted")
    task = store().request_model(session.model).task
    built_in = [name for name in BUILT_IN_DATA if state.fits(name, task)]
    own = [name for name in own_sources() if state.fits(name, task)]
    known = list(dict.fromkeys([*built_in, *own, session.data, wanted or session.data]))
    key = mirror_key("data", wanted or session.data)
    st.selectbox(
        tr("Data"),
        known,
        index=known.index(wanted or session.data),
        key=key,
        format_func=menu_label,
        accept_new_options=True,
        on_change=on_move("data", key, _want_data),
        help=tr(DATA_HELP),
    )
    st.fragment(_data_state, run_every=REFRESH_SECONDS if wanted else None)(bool(wanted))
    if st.session_state.get("url_page") not in (None, "Data and model"):
        st.page_link(
            "pages/data.py", label=tr("Bring your own"), help=tr("A table or a model of your own, looked at first.")
        )


def _want_data(choice: Any) -> str:
    name = (choice or "").strip()
    st.session_state.pop("data_problem", None)
    st.session_state.pop("data_wanted", None)
    if name and name != state.current().data:
        st.session_state["data_wanted"] = name
    return name


def _data_state(waiting: bool) -> None:
    wanted, session = st.session_state.get("data_wanted"), state.current()
    loading = store().request_model(session.model)
    if wanted and loading.model is None and loading.state == "loading":
        st.caption(tr("Reading the data when the model is there …"))
        return
    if wanted and loading.model is None:
        st.session_state.pop("data_wanted", None)
        st.session_state["data_problem"] = later("there is no model to read this data for")
    if wanted and loading.model is not None:
        model = loading.model

        def work(job: Job) -> int:
            job.report(0, 1, mark("Reading"))
            return len(store().examples(model, wanted, "evaluation"))

        about = ("data", model.fingerprint, wanted, modified(wanted))  # a file that was mended is tried again
        job = store().scorer.submit(Job((session_id(), "data"), about, work))
        if job.active:
            st.caption(tr("Reading the data …"))
            return
        st.session_state.pop("data_wanted", None)
        if job.state == "done":
            state.update(data=source_of(wanted))
        elif job.error is not None:
            st.session_state["data_problem"] = _reason(job.error)
        st.rerun()
    if waiting:
        st.rerun()
    if problem := st.session_state.get("data_problem"):
        st.error(plain(as_sentence(problem)))
        st.button(tr("Dismiss"), key="dismiss_data", on_click=lambda: st.session_state.pop("data_problem", None))


def _reason(error: Exception) -> object:
    return error if isinstance(error, PruningError) else f"{type(error).__name__}: {error}"


# Language --------------------------------------------------------------------------------------------------------


def _language_picker() -> None:
    """The switch; the choice is in the link."""
    now = language()
    key = mirror_key("language", now)
    st.segmented_control(
        tr("Language"),
        list(LANGUAGES),
        default=now,
        required=True,
        key=key,
        format_func=LANGUAGES.__getitem__,
        on_change=on_move("language", key, _choose_language),
        help=tr("Until you choose, it is the language of the browser. A copied link holds the choice."),
    )


def _choose_language(name: Any) -> str:
    state.update(language=name)
    choose_again()
    return name


# Link ------------------------------------------------------------------------------------------------------------


def _link() -> None:
    parameters = urlencode(state.link())
    base = (st.context.url or "").partition("?")[0]
    about = tr("A link to this page with this model, data, criterion and mask.")
    with st.popover(tr("Copy link"), help=about):
        st.code(f"{base}?{parameters}" if parameters else base or "/", language=None, wrap_lines=True)
