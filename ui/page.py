"""What every page begins with: the router, the look, the sidebar, and the session's state."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from ui import state
from ui.sidebar import sidebar
from ui.style import style
from ui.theme import Theme, plain

ROOT = Path(__file__).resolve().parents[1]


def pages() -> list[st.Page]:
    """The navigation, flat."""
    return [
        st.Page("pages/explore.py", title="Explore", default=True),
        st.Page("pages/prune.py", title="Prune", url_path="prune"),
        st.Page("pages/tradeoff.py", title="Trade-off", url_path="tradeoff"),
        st.Page("pages/recover.py", title="Recover", url_path="recover"),
    ]


def run_router() -> None:
    """Set the page up and run the one that the URL names. Called by ``app.py`` and nowhere else."""
    st.set_page_config(page_title="Headroom", page_icon=str(ROOT / "assets" / "logo.svg"), layout="wide")
    chosen = st.navigation(pages())
    st.session_state["routed"] = True
    chosen.run()


@dataclass(frozen=True)
class Page:
    """What a page works with."""

    session: state.Session
    theme: Theme


def begin(title: str, lead: str) -> Page:
    """Draw what all pages share and return the session's state.

    The first deep link on a fresh server runs a page without ``app.py``; then the router is run instead.
    """
    if not st.session_state.pop("routed", False):
        st.navigation(pages())
        st.rerun()
    state.current()
    state.sync_url(title)
    style(theme())
    sidebar()
    st.title(title)
    st.markdown(lead)
    if notice := state.notice():
        st.warning(plain(notice))
    return Page(state.current(), theme())


def theme() -> Theme:
    """The theme that the browser shows now."""
    return "dark" if st.context.theme.type == "dark" else "light"
