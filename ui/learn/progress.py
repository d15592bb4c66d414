"""The answers of the person at this browser, and what follows from them."""

from __future__ import annotations

import streamlit as st

from pruning.language import tr
from pruning.learning.records import Answer
from ui.browser import owner
from ui.learn.learner import Learner
from ui.store import session_id, store
from ui.theme import plain


def learner() -> Learner:
    return store().learner


def me() -> str:
    """Who answers; what was answered before the browser was known is handed over once."""
    now, session = owner(), session_id()
    if now != session and st.session_state.get("learn_owner") != now:
        st.session_state["learn_owner"] = now
        learner().records.attempt(lambda learning: learning.hand_over(session, now), None)
    return now


def my_answers() -> list[Answer]:
    """All of them, the oldest first."""
    mine, nothing = me(), list[Answer]()
    return learner().records.attempt(lambda learning: learning.answers(mine), nothing)


def reset() -> None:
    """Forget them, and what is on the screen of them."""
    mine = me()
    learner().records.attempt(lambda learning: learning.reset(mine), None)
    st.session_state.pop("learn_attempts", None)


def trouble() -> None:
    """Say where progress is not kept, or not for long."""
    records = learner().records
    if records.lost is not None:
        st.warning(plain(tr("Something could not be kept: {error}.", error=records.lost)))
    elif records.problem:
        text = tr("Progress is kept until this server stops, and no longer: {reason}.", reason=records.problem)
        st.caption(plain(text))
