"""Page set-up and navigation. It imports little: the heading is on the screen before a page is imported."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from pruning.language import mark, tr
from ui import speaking  # noqa: F401  it tells the engine whom to speak to
from ui.style import style
from ui.theme import Theme

ROOT = Path(__file__).resolve().parents[1]
HEADINGS = {"": mark("How much can this model lose?")}  # by address, where the page's name says too little


def pages() -> list[st.Page]:
    """The navigation, flat."""
    return [
        st.Page("pages/home.py", title=tr("Home"), default=True),
        st.Page("pages/data.py", title=tr("Data and model"), url_path="data"),
        st.Page("pages/explore.py", title=tr("Explore"), url_path="explore"),
        st.Page("pages/head.py", title=tr("Head"), url_path="head"),
        st.Page("pages/prune.py", title=tr("Prune"), url_path="prune"),
        st.Page("pages/compare.py", title=tr("Compare"), url_path="compare"),
        st.Page("pages/present.py", title=tr("Present"), url_path="present"),
        st.Page("pages/tradeoff.py", title=tr("Trade-off"), url_path="tradeoff"),
        st.Page("pages/recover.py", title=tr("Recover"), url_path="recover"),
        st.Page("pages/export.py", title=tr("Export"), url_path="export"),
        st.Page("pages/learn.py", title=tr("Learn"), url_path="learn"),
        st.Page("pages/questions.py", title=tr("Questions"), url_path="questions"),
        st.Page("pages/classroom.py", title=tr("Class"), url_path="classroom"),
        st.Page("pages/history.py", title=tr("History"), url_path="history"),
    ]


def run_router() -> None:
    """Set the page up, draw its heading and run the one that the URL names. Called by ``app.py`` and nowhere else."""
    st.set_page_config(page_title="Headroom", page_icon=str(ROOT / "assets" / "logo.svg"), layout="wide")
    chosen = st.navigation(pages(), expanded=True)  # more than twelve would be folded away
    st.session_state["routed"] = True
    style(theme())
    st.title(tr(HEADINGS[chosen.url_path]) if chosen.url_path in HEADINGS else chosen.title)
    chosen.run()


def theme() -> Theme:
    """The theme that the browser shows now."""
    return "dark" if st.context.theme.type == "dark" else "light"
