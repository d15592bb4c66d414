"""How questions and their answers are drawn."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from urllib.parse import urlencode

import streamlit as st

from pruning.language import language, tr
from ui import state
from ui.learn.content import lessons, references
from ui.questions import testing
from ui.questions.content import KINDS, LEVELS, TOPICS, Question, program
from ui.questions.filters import wishes
from ui.theme import plain


def draw_list(found: Iterable[Question]) -> None:
    """A line for each question, under its topic; what is inside is made when it is opened."""
    for topic, some in groupby(found, key=lambda one: one.topic):
        st.header(tr(TOPICS[topic]), anchor=False)
        with st.container(gap="small"):
            for one in some:
                _line(one)


def _line(question: Question) -> None:
    label = f"{question.question} :gray[{facts(question)}]"
    panel = st.expander(label, key=f"question_{question.id}", icon=testing.icon(question), on_change="rerun")
    if panel.open:
        with panel:
            draw_answer(question)


def draw_single(question: Question) -> None:
    """The question that a link names, by itself."""
    st.header(question.question, anchor=False)
    st.caption(f"{tr(TOPICS[question.topic])} · {facts(question)}")
    draw_answer(question)


def facts(question: Question) -> str:
    return f"{tr(LEVELS[question.level])} · {tr(KINDS[question.kind])}"


def draw_answer(question: Question) -> None:
    """The short answer, and on demand the full one; in a self-test neither before it is asked for."""
    if testing.hidden(question):
        st.button(tr("Show the answer"), key=f"show_{question.id}", on_click=testing.show, args=(question,))
        return
    st.markdown(f"**{tr('Short answer')}**  \n{question.short}")
    if testing.full(question):
        _full(question)
    else:
        label = tr("Full answer and program") if question.code else tr("Full answer")
        st.button(label, key=f"full_{question.id}", on_click=testing.show_full, args=(question,))
    if question.misconception:
        st.warning(f"**{tr('A common misconception')}**  \n{question.misconception}")
    if question.references and testing.full(question):
        papers = [references()[key] for key in question.references]
        st.caption("  \n".join([tr("Read more:"), *(f"[{plain(one.cite)}]({one.url})" for one in papers)]))
    if wishes().hidden:
        testing.judge_buttons(question)
    _ways(question)


def _full(question: Question) -> None:
    st.markdown(f"**{tr('Full answer')}**\n\n{question.full}")
    if question.code:
        code, printed = program(question.code)
        st.markdown(f"**{tr('Program')}**")
        st.code(code, language="python", wrap_lines=True)  # what scrolls sideways escapes the keyboard
        st.markdown(f"**{tr('What it prints')}**")
        st.code(printed, language=None, wrap_lines=True)


def _ways(question: Question) -> None:
    """The lesson that fits, if it is written, and the link."""
    title = next((one.title for one in lessons(language()) if one.slug == question.topic), "")
    with st.container(horizontal=True):
        if title and st.button(
            tr("Lesson: {title}", title=title), key=f"lesson_{question.id}", icon=":material/arrow_forward:",
            width="content",
        ):  # fmt: skip
            state.update(lesson=question.topic)
            st.switch_page("pages/learn.py")
        with st.popover(tr("Copy link to this question"), key=f"link_{question.id}", width="content"):
            st.code(question_link(question), language=None, wrap_lines=True)


def question_link(question: Question) -> str:
    """The address that opens one question, in the language that was chosen."""
    chosen = state.current().language
    parameters = {"question": question.id} | ({"lang": chosen} if chosen else {})
    base = (st.context.url or "").partition("?")[0]
    return f"{base}?{urlencode(parameters)}"
