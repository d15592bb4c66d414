"""What a session wants to see of the bank. Kept under a key of its own, so that it survives a change of page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import streamlit as st

from pruning.language import tr
from ui import state
from ui.controls import mirror_key, on_move
from ui.questions.content import KINDS, LEVELS, TOPICS

KEPT = "questions_wishes"
LONGEST_SEARCH = 200  # letters


@dataclass(frozen=True)
class Wishes:
    """The filters; the topic is in the link, so it belongs to the session's state. Empty is: all of them."""

    text: str = ""
    level: str = ""
    kind: str = ""
    hidden: bool = False  # answers are, until they are asked for


def wishes() -> Wishes:
    return st.session_state.get(KEPT, Wishes())


def wanted_topic() -> str:
    """The session's topic, if there is such a one."""
    topic = state.current().topic
    return topic if topic in TOPICS else ""


def clear() -> None:
    """Want everything again; whether answers are hidden stays."""
    st.session_state[KEPT] = Wishes(hidden=wishes().hidden)
    state.update(topic="")


def draw_filters() -> None:
    """Search, topic, level, kind, and whether answers are hidden."""
    now = wishes()
    wide, *narrow = st.columns([2, 2, 1, 1])
    with wide:
        key = mirror_key("questions_text", now.text)
        st.text_input(
            tr("Search"),
            now.text,
            LONGEST_SEARCH,
            key=key,
            placeholder=tr("Words in question or answer"),
            on_change=on_move("questions_text", key, _keep("text")),
            help=tr("Finds questions that hold all of the words, in English or Chinese."),
        )
    with narrow[0]:
        _menu("topic", tr("Topic"), tr("All topics"), TOPICS, wanted_topic(), _keep_topic, tr("As in the lessons."))
    with narrow[1]:
        what = tr("From first steps to research.")
        _menu("level", tr("Level"), tr("All levels"), LEVELS, now.level, _keep("level"), what)
    with narrow[2]:
        what = tr("Coding questions come with a program and what it prints.")
        _menu("kind", tr("Kind"), tr("All kinds"), KINDS, now.kind, _keep("kind"), what)
    key = mirror_key("questions_hidden", now.hidden)
    st.toggle(
        tr("Self-test"),
        now.hidden,
        key=key,
        on_change=on_move("questions_hidden", key, _keep("hidden")),
        help=tr("Answers stay hidden until you ask for them; then say whether you knew."),
    )


def _menu(
    name: str, label: str, everything: str, labels: dict[str, str], now: str, keep: Callable[[Any], Any], about: str
) -> None:
    options = ["", *labels]
    key = mirror_key(f"questions_{name}", now)
    st.selectbox(
        label,
        options,
        options.index(now),
        key=key,
        format_func=lambda one: tr(labels[one]) if one else everything,
        on_change=on_move(f"questions_{name}", key, keep),
        help=about,
    )


def _keep(name: str) -> Callable[[Any], Any]:
    def keep(value: Any) -> Any:
        st.session_state[KEPT] = replace(wishes(), **{name: value})
        return value

    return keep


def _keep_topic(topic: Any) -> Any:
    state.update(topic=topic)
    return topic
