"""Whose history it is: an id that a browser keeps, so that each sees its own, after a reload and a restart, too.

The id is random, and whoever has it is taken for its browser; it names nobody and leaves this server with nobody. The
browser keeps it in a cookie of this server, which comes with every connection, so that the first run knows it already.
Where cookies are refused, the browser's storage keeps it, and it comes a moment later. Until it is known the session
owns what it records; then all of that is handed over.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import streamlit as st

from pruning.language import tag
from ui import state
from ui.router import theme
from ui.store import session_id, store
from ui.streamlits_words import streamlits_words

COOKIE = "headroom_browser"
FITS = re.compile(r"[0-9a-f]{32}")

_browser = st.components.v2.component(
    "headroom_browser", html="", js=Path(__file__).with_suffix(".js").read_text(encoding="utf-8")
)


def owner() -> str:
    """The name under which the present session's records are kept."""
    return store().recorder.owner(session_id())


def know_browser() -> None:
    """Find out whose session this is. Every page calls it; what it draws is invisible, at the end of the sidebar."""
    known = st.session_state.get("browser") or fitting(st.context.cookies.get(COOKIE))
    store().recorder.meet(session_id(), known or session_id(), state.current().criterion)
    with st.sidebar:
        _ask(known or "")


def first_visit() -> bool:
    """Whether this browser had never been here when the session began, and nobody has said that hints are read."""
    return st.session_state.setdefault("first_visit", COOKIE not in st.context.cookies)


def forget_first_visit() -> None:
    st.session_state["first_visit"] = False


@st.fragment  # so that the answer draws nothing else anew
def _ask(known: str) -> None:
    data = {"known": known, "name": COOKIE, "language": tag(), "words": streamlits_words(), "theme": theme()}
    found = _browser(key="browser_id", data=data, on_id_change=_receive, on_theme_change=lambda: None)
    returned = st.session_state.pop("browser_returned", False)  # its records belong on the page
    if returned or found.get("theme"):  # the figures are made here, in the theme's colours
        st.rerun()


def _receive() -> None:
    answer: Any = st.session_state.get("browser_id")
    hear(answer.get("id") if answer else None)


def hear(answer: object) -> None:
    """Take what the browser says: its id, and whether it had that before. Anything else is dropped."""
    if not hasattr(answer, "get"):
        return
    known = fitting(answer.get("value"))
    if known is not None and known != owner():
        st.session_state["browser"] = known
        st.session_state["browser_returned"] = bool(answer.get("returned"))
        store().recorder.meet(session_id(), known, state.current().criterion)


def fitting(text: object) -> str | None:
    """An id as we make them; None for anything else."""
    return text if isinstance(text, str) and FITS.fullmatch(text) else None
