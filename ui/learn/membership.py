"""Being in a class: coming in by its link, a nickname, and leaving."""

from __future__ import annotations

import streamlit as st

from pruning.errors import PruningError
from pruning.language import tr
from pruning.learning.records import LONGEST_NICKNAME, LearningError, Member, read_code
from ui import state
from ui.learn.progress import learner, me
from ui.theme import plain

BEAT_SECONDS = 20.0  # how often a page says that somebody is here


def own_class() -> str:
    """The code of the class that this browser has open; empty where it has none."""
    mine = me()
    found = learner().records.attempt(lambda learning: learning.class_of(mine), None)
    return found.code if found else ""


def class_line(own: str) -> str:
    """One line about the class, if there is any; and the code of the class for which answers count.

    Args:
        own: The class that this browser has open: its teacher is no member.
    """
    wish = state.current().group
    code = read_code(wish)
    if own and (not wish or code == own):
        with st.container(horizontal=True, vertical_alignment="center", key="class_line"):
            st.markdown(tr("Your class **{code}** is open.", code=own), width="content")
            st.page_link("pages/classroom.py", label=tr("See its answers"), width="content")
        return ""
    if not wish:
        return ""
    try:
        if not code:
            raise LearningError("there is no open class {code}", code=wish[:20])
        member = learner().records.learning().join(code, me())
    except PruningError as error:
        st.warning(plain(tr("You are in no class: {error}. Your answers are your own.", error=error)))
        st.button(tr("Leave"), on_click=leave)
        return ""
    _line(member)
    st.fragment(_beat, run_every=BEAT_SECONDS)(code)
    return code


def called(number: int, nickname: str) -> str:
    """What somebody in a class is called."""
    return nickname or tr("Student {number}", number=number)


def leave() -> None:
    """Answers count for the class no more; those that it has stay there."""
    state.update(group="")


def _line(member: Member) -> None:
    name = called(member.number, member.nickname)
    with st.container(horizontal=True, vertical_alignment="center", key="class_line"):
        text = tr("Class **{code}** · you are **{name}**", code=member.code, name=plain(name))
        st.markdown(text, width="content")
        if not member.nickname:
            with st.popover(tr("Take a nickname"), width="content"):
                st.text_input(
                    tr("Nickname"),
                    max_chars=LONGEST_NICKNAME,
                    key="learn_nickname",
                    on_change=_call,
                    args=(member.code,),
                    help=tr("Your teacher sees it beside your answers. It can be chosen once. Enter takes it."),
                )
        st.button(tr("Leave"), on_click=leave, width="content")


def _call(code: str) -> None:
    name, mine = str(st.session_state.get("learn_nickname", "")), me()
    if name.strip():
        learner().records.attempt(lambda learning: learning.call(code, mine, name), None)


def _beat(code: str) -> None:
    """Say that somebody is here; when the class has been closed, draw the page anew."""
    state.note_url()
    mine = me()
    if not learner().records.attempt(lambda learning: learning.is_here(code, mine), True):
        st.rerun()
