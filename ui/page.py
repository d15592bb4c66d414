"""What every page begins with, below its heading: the session's state, the sidebar, and what there is to say."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import streamlit as st

from pruning.builtin import BUILT_IN
from pruning.language import mark, tr
from ui import state
from ui.browser import know_browser
from ui.removed import mask_words, misfit
from ui.router import pages, theme
from ui.sidebar import loading_step, refused_model, sidebar
from ui.store import store
from ui.theme import Theme, plain

if TYPE_CHECKING:
    from pruning.models import LoadedModel

SEND_SECONDS = 0.02  # what the server's thread needs while a script would keep Python to itself


@dataclass(frozen=True)
class Page:
    """What a page works with."""

    session: state.Session
    theme: Theme


def begin(title: str, lead: str) -> Page:
    """Draw what all pages share and return the session's state; the router has drawn the title.

    The first deep link on a fresh server runs a page without ``app.py``; then the router is run instead.
    """
    if not st.session_state.pop("routed", False):
        st.navigation(pages())
        st.rerun()
    state.current()
    state.sync_url(title)
    sidebar()
    know_browser()
    st.markdown(lead)
    _refused_model()
    if notice := state.notice():
        st.warning(plain(notice))
    return Page(state.current(), theme())


def _refused_model() -> None:
    """Which model could not be had, why, and what is shown instead: on a telephone the sidebar is closed."""
    refused, session = refused_model(), state.current()
    if refused is None:
        return  # where there is no model at all, the page says that
    built_in = mark(
        "The model {model} could not be loaded, and what is shown is the built-in model {shown}. The reason: {reason}."
    )
    other = mark("The model {model} could not be loaded, and what is shown is still {shown}. The reason: {reason}.")
    text = built_in if session.model in BUILT_IN else other
    name, problem = refused
    with st.container(horizontal=True, vertical_alignment="center"):
        st.warning(plain(tr(text, model=name, shown=state.model_label(session.model), reason=problem)))
        st.button(tr("Dismiss"), key="dismiss_refused", on_click=lambda: st.session_state.pop("model_problem", None))


def fitting_model(purpose: str, then: str = "") -> LoadedModel | None:
    """The model in memory, once the mask fits it; until then the page says what is going on.

    Args:
        purpose: What the page wants it for: "to compare".
        then: What happens when it is there, as a sentence; by default that the mask waits for it.
    """
    session = state.current()
    loading = store().request_model(session.model)
    if loading.state == "failed":
        st.info(tr("There is no model {purpose}. Pick one in the sidebar.", purpose=purpose))
    elif loading.model is None:
        removed = mask_words(session.mask)
        then = then or (tr("The mask ({removed} removed) is waiting for it.", removed=removed) if removed else "")
        with st.container(height=420, border=False):
            loads = tr("{model} is loading: {step} …", model=session.model, step=loading_step(loading.step))
            st.info(plain(f"{loads} {then}".rstrip()))
    elif problem := misfit(session.mask, loading.model.anatomy.heads_per_site, loading.model.anatomy):
        state.update(history=state.History())
        st.session_state["notice"] = tr(
            "The mask does not fit this model: {problem}. All heads are kept now.", problem=problem
        )
        st.rerun()
    return loading.model


def send_now() -> None:
    """Let the server send what has been drawn so far, so that the browser shows it while the rest is being made."""
    time.sleep(SEND_SECONDS)
