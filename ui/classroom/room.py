"""Opening a class, its link, and closing it."""

from __future__ import annotations

from urllib.parse import urlencode, urlsplit

import streamlit as st

from pruning.errors import PruningError
from pruning.language import tr
from pruning.learning.database import MOST_CLASSES, MOST_MEMBERS, OPEN_HOURS
from pruning.learning.records import Classroom
from ui import state
from ui.learn.contents import available
from ui.learn.progress import learner, me
from ui.theme import plain

LOCAL = ("localhost", "127.0.0.1", "::1")


def no_class() -> None:
    """How it works, and the button that begins it."""
    st.markdown(
        tr(
            "1. Open a class: you get a code and a link.\n"
            "2. Your students open the link, each on their own device, and guess; nobody needs an account.\n"
            "3. You see every guess here as it comes in, and reveal the truth when you like."
        )
    )
    st.button(tr("Open a class"), type="primary", on_click=_open)
    if problem := st.session_state.pop("class_problem", None):
        st.error(plain(tr("No class could be opened: {error}. Try again later.", error=problem)))
    limits = {"classes": MOST_CLASSES, "members": MOST_MEMBERS, "hours": OPEN_HOURS}
    st.caption(
        tr(
            "A server holds {classes} open classes of up to {members} students. A class closes by itself when nobody "
            "has joined or answered for {hours} hours.",
            **limits,
        )
    )


def _open() -> None:
    mine = me()
    try:
        learner().records.learning().open_class(mine)
    except PruningError as error:
        st.session_state["class_problem"] = error


def invitation(room: Classroom) -> None:
    """The code, large enough for a projector, and the link that leads into the class."""
    with st.container(horizontal=True, vertical_alignment="center", key="invitation"):
        st.header(tr("Class {code}", code=room.code), anchor=False, width="content")
        with st.popover(tr("Close the class"), width="content"):
            st.markdown(tr("The results go away, and your students keep their scores. Download the answers first."))
            st.button(tr("Close it now"), on_click=_close)
    shown = available()
    slugs = ["", *(lesson.slug for lesson in shown)]
    titles = {lesson.slug: f"{lesson.number}. {lesson.title}" for lesson in shown}
    left, right = st.columns([1, 2], gap="medium", vertical_alignment="bottom")
    with left:
        slug = st.selectbox(
            tr("The link opens"),
            slugs,
            key="class_lesson",
            format_func=lambda one: titles.get(one, tr("All lessons")),
            help=tr("With the model, the data and the mask of your sidebar."),
        )
    address = student_link(room.code, slug or "")
    with right:
        st.code(address, language=None, wrap_lines=True)
    if urlsplit(address).hostname in LOCAL:
        st.caption(tr("This address leads to this computer only. Open the dashboard by an address that others reach."))


def student_link(code: str, lesson: str) -> str:
    """The address that leads into a class."""
    base = (st.context.url or "").partition("?")[0].rstrip("/").removesuffix("/classroom")
    wanted = state.url_parameters(state.current()) | ({"lesson": lesson} if lesson else {}) | {"group": code}
    return f"{base}/learn?{urlencode(wanted)}"


def _close() -> None:
    mine = me()
    learner().records.attempt(lambda learning: learning.close_class(mine), None)
    st.session_state.pop("class_revealed", None)
