"""What every page begins with, below its heading: the session's state, the sidebar, and what there is to say."""

from __future__ import annotations

import time
from dataclasses import dataclass

import streamlit as st

from ui import state
from ui.browser import know_browser
from ui.router import pages, theme
from ui.sidebar import sidebar
from ui.theme import Theme, plain

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
    if notice := state.notice():
        st.warning(plain(notice))
    return Page(state.current(), theme())


def send_now() -> None:
    """Let the server send what has been drawn so far, so that the browser shows it while the rest is being made."""
    time.sleep(SEND_SECONDS)
