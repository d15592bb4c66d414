"""The contents of Learn: a card for each lesson, how far one has come, and where to go on."""

from __future__ import annotations

import html
from collections.abc import Collection, Mapping, Sequence

import streamlit as st

import ui.learn.experiments  # noqa: F401  it registers them
from pruning.language import language, tr, trn
from pruning.learning.records import Answer, first_answers
from ui import state
from ui.learn.base import experiments
from ui.learn.content import Lesson, lessons
from ui.learn.progress import my_answers, reset, trouble
from ui.theme import tokens

COLUMNS = 3
LIGHT, DARK = tokens("light"), tokens("dark")
DOT = "display:inline-block;width:10px;height:10px;border-radius:5px;margin-right:6px;border:2px solid {};background:{}"


def available() -> tuple[Lesson, ...]:
    """The lessons in the language of now."""
    return tuple(one for one in lessons(language()) if one.slug in experiments())


def open_lesson(slug: str) -> None:
    """For buttons; an empty slug leads to the contents."""
    state.update(lesson=slug)


def contents() -> None:
    """All lessons."""
    shown, done = available(), first_answers(my_answers())
    _summary(shown, done)
    for start in range(0, len(shown), COLUMNS):
        for column, lesson in zip(st.columns(COLUMNS), shown[start : start + COLUMNS], strict=False):
            with column:
                _card(lesson, done.get(lesson.slug))
    trouble()
    if done:
        with st.popover(tr("Reset progress")):
            st.markdown(tr("This forgets all your guesses and scores in this browser. It cannot be undone."))
            st.button(tr("Forget my progress"), on_click=reset)


def _summary(shown: Sequence[Lesson], done: Mapping[str, Answer]) -> None:
    scores = [done[lesson.slug].score for lesson in shown if lesson.slug in done]
    rest = [lesson for lesson in shown if lesson.slug not in done]
    with st.container(horizontal=True, vertical_alignment="center"):
        dots([lesson.slug for lesson in shown], done)
        if scores:
            mean = round(sum(scores) / len(scores))
            text = tr(
                "{done} of {total} lessons done, mean score {mean}", done=len(scores), total=len(shown), mean=mean
            )
            st.markdown(text, width="content")
        if rest:
            label = tr("Continue") if done else tr("Begin")
            st.button(label, type="primary", on_click=open_lesson, args=(rest[0].slug,), width="content")


def _card(lesson: Lesson, answer: Answer | None) -> None:
    with st.container(border=True, gap="small", key=f"card_{lesson.slug}"):
        st.button(
            f"**{lesson.number}. {lesson.title}**",
            key=f"open_{lesson.slug}",
            type="tertiary",
            on_click=open_lesson,
            args=(lesson.slug,),
        )
        st.caption(tr("Done: {score} of 100", score=answer.score) if answer else tr("Not done yet"))


def dots(slugs: Sequence[str], done: Collection[str], here: str = "") -> None:
    """A dot for each lesson: full where it is done, with a ring where one is."""
    kept, line, accent = (
        f"light-dark({getattr(LIGHT, n)}, {getattr(DARK, n)})" for n in ("kept", "secondary", "accent")
    )
    full = [kept if slug in done else "transparent" for slug in slugs]
    ring = [accent if slug == here else kept if slug in done else line for slug in slugs]
    count = sum(slug in done for slug in slugs)
    label = trn("{n} of {total} lesson done", "{n} of {total} lessons done", count, total=len(slugs))
    spans = "".join(f'<span style="{DOT.format(*colours)}"></span>' for colours in zip(ring, full, strict=True))
    whole = f'<div role="img" aria-label="{html.escape(label)}" style="white-space:nowrap">{spans}</div>'
    st.html(whole, width="content")
