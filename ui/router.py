"""Page set-up and navigation. It imports little: the heading is on the screen before a page is imported."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from ui.style import style
from ui.theme import Theme

ROOT = Path(__file__).resolve().parents[1]
HEADINGS = {"Home": "How much can this model lose?"}  # where the page's name says too little


def pages() -> list[st.Page]:
    """The navigation, flat."""
    return [
        st.Page("pages/home.py", title="Home", default=True),
        st.Page("pages/data.py", title="Data and model", url_path="data"),
        st.Page("pages/explore.py", title="Explore", url_path="explore"),
        st.Page("pages/head.py", title="Head", url_path="head"),
        st.Page("pages/prune.py", title="Prune", url_path="prune"),
        st.Page("pages/compare.py", title="Compare", url_path="compare"),
        st.Page("pages/tradeoff.py", title="Trade-off", url_path="tradeoff"),
        st.Page("pages/recover.py", title="Recover", url_path="recover"),
        st.Page("pages/export.py", title="Export", url_path="export"),
        st.Page("pages/history.py", title="History", url_path="history"),
    ]


def run_router() -> None:
    """Set the page up, draw its heading and run the one that the URL names. Called by ``app.py`` and nowhere else."""
    st.set_page_config(page_title="Headroom", page_icon=str(ROOT / "assets" / "logo.svg"), layout="wide")
    chosen = st.navigation(pages())
    st.session_state["routed"] = True
    style(theme())
    st.title(HEADINGS.get(chosen.title, chosen.title))
    chosen.run()


def theme() -> Theme:
    """The theme that the browser shows now."""
    return "dark" if st.context.theme.type == "dark" else "light"
