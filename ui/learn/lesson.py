"""One lesson on one screen: its text, its experiment, and what to see in it."""

from __future__ import annotations

from urllib.parse import urlencode

import streamlit as st

from pruning.language import tr
from pruning.learning.records import first_answers
from ui import state
from ui.learn.content import Lesson, Reference, references
from ui.learn.contents import available, dots, open_lesson
from ui.learn.progress import my_answers, trouble
from ui.learn.trying import experiment_of
from ui.theme import Theme, plain

# Beside the experiment is the text, and below that what to notice; on a telephone one comes after the other.
LAYOUT = """<style>
.st-key-lesson > [data-testid="stLayoutWrapper"] > [data-testid="stHorizontalBlock"] {
  display: grid; grid-template-columns: minmax(0, 1fr); column-gap: 3rem; row-gap: 1.5rem; }
.st-key-lesson > [data-testid="stLayoutWrapper"] > [data-testid="stHorizontalBlock"] > [data-testid="stColumn"] {
  width: auto; min-width: 0; }
@media (min-width: 900px) {
  .st-key-lesson > [data-testid="stLayoutWrapper"] > [data-testid="stHorizontalBlock"] {
    grid-template-columns: minmax(0, 45fr) minmax(0, 55fr); grid-template-rows: auto 1fr; }
  .st-key-lesson > [data-testid="stLayoutWrapper"] > [data-testid="stHorizontalBlock"]
    > [data-testid="stColumn"]:nth-child(2) { grid-area: 1 / 2 / span 2 / 3; }
}
</style>"""


def lesson_page(lesson: Lesson, theme: Theme, code: str, shared: str) -> None:
    """Draw a lesson.

    Args:
        code: Of the class for which answers count; empty outside.
        shared: Of the class that a link from here leads into; empty for none.
    """
    st.html(LAYOUT)
    with st.container(key="lesson"):
        idea, experiment, after = st.columns(3, gap="large")
    with idea:
        st.header(f"{lesson.number}. {lesson.title}", anchor=False)
        st.markdown(lesson.idea)
    with experiment:
        revealed = experiment_of(lesson, theme, code)
    with after:
        _after(lesson, revealed)
    trouble()
    _ways(lesson, shared)


def _after(lesson: Lesson, revealed: bool) -> None:
    """What to notice, once there is something to see; the reference at any time."""
    if revealed:
        st.subheader(tr("What to notice"), anchor=False)
        st.markdown("\n".join(f"- {one}" for one in lesson.notice))
        if lesson.misconception:
            st.info(f"**{tr('A common belief')}**  \n{lesson.misconception}")
        if st.button(lesson.door, key="door", icon=":material/arrow_forward:"):
            st.switch_page(f"pages/{lesson.page}.py")
    found = [references()[key] for key in lesson.references if key in references()]
    for one in found:
        st.caption(tr("Read more: {reference}", reference=cited(one)))


def cited(reference: Reference) -> str:
    """A reference that leads to its paper."""
    return f"[{plain(reference.cite)}]({reference.url})"


def _ways(lesson: Lesson, shared: str) -> None:
    """Back, next, all, and the link."""
    slugs = [one.slug for one in available()]
    place, done = slugs.index(lesson.slug), first_answers(my_answers())
    with st.container(horizontal=True, vertical_alignment="center", key="ways"):
        if place:
            st.button(tr("Previous lesson"), on_click=open_lesson, args=(slugs[place - 1],), width="content")
        dots(slugs, done, lesson.slug)
        if place + 1 < len(slugs):
            st.button(
                tr("Next lesson"),
                type="primary" if lesson.slug in done else "secondary",
                on_click=open_lesson,
                args=(slugs[place + 1],),
                width="content",
            )
        st.button(tr("All lessons"), on_click=open_lesson, args=("",), width="content")
        with st.popover(tr("Copy link for the class"), width="content"):
            text = tr("It opens this lesson with the model, the data and the mask that you see now.")
            group = tr("Whoever opens it is in class {code}.", code=shared) if shared else ""
            st.caption(tr("{first} {second}", first=text, second=group) if group else text)
            st.code(class_link(shared), language=None, wrap_lines=True)


def class_link(code: str) -> str:
    """The address of what is on the screen, in a class where there is one."""
    parameters = state.link() | ({"group": code} if code else {})
    base = (st.context.url or "").partition("?")[0]
    return f"{base}?{urlencode(parameters)}"
