"""The self-test: which answers a session has looked at, and which it says it knew."""

from __future__ import annotations

import streamlit as st

from pruning.language import tr
from ui.questions.content import Question
from ui.questions.filters import wishes

SHOWN, FULL, KNOWN = "questions_shown", "questions_full", "questions_known"


def hidden(question: Question) -> bool:
    """Whether its answer is yet to be asked for."""
    return wishes().hidden and question.id not in _ids(SHOWN)


def show(question: Question) -> None:
    _ids(SHOWN).add(question.id)


def full(question: Question) -> bool:
    """Whether its full answer has been asked for."""
    return question.id in _ids(FULL)


def show_full(question: Question) -> None:
    _ids(FULL).add(question.id)


def judged() -> dict[str, bool]:
    """By id: whether it was known."""
    return st.session_state.setdefault(KNOWN, {})


def judge(question: Question, known: bool) -> None:
    judged()[question.id] = known


def start_again() -> None:
    for key in (SHOWN, FULL, KNOWN):
        st.session_state.pop(key, None)


def icon(question: Question) -> str | None:
    """What its line shows of the self-test."""
    known = judged().get(question.id) if wishes().hidden else None
    return None if known is None else ":material/check:" if known else ":material/replay:"


def progress_line(count: int) -> None:
    """How far the self-test is, of ``count`` questions in all."""
    known, answered = sum(judged().values()), len(judged())
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(
            tr(
                "Self-test: {known} known, {missed} to look at again, {left} of {count} left",
                known=known, missed=answered - known, left=count - answered, count=count,
            ),
            width="content",
        )  # fmt: skip
        if answered:
            st.button(tr("Start again"), on_click=start_again, type="tertiary", width="content")


def judge_buttons(question: Question) -> None:
    """What the reader says of himself; the other answer can still be given."""
    said = judged().get(question.id)
    with st.container(horizontal=True):
        for known, label in ((True, tr("I knew it")), (False, tr("I did not"))):
            st.button(
                label,
                key=f"judge_{known}_{question.id}",
                on_click=judge,
                args=(question, known),
                icon=(":material/check:" if known else ":material/replay:") if said is known else None,
                width="content",
            )


def _ids(key: str) -> set[str]:
    return st.session_state.setdefault(key, set())
