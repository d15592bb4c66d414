"""Questions: what is asked about pruning in interviews and examinations, to search, to read and to test oneself."""

import streamlit as st

from pruning.language import language, tr
from ui import state
from ui.page import begin
from ui.questions.content import find_question, questions, search
from ui.questions.filters import clear, draw_filters, wanted_topic, wishes
from ui.questions.testing import progress_line
from ui.questions.view import draw_list, draw_single


def main() -> None:
    begin("Questions", tr("What is asked about pruning in interviews and examinations, with programs that run."))
    named = state.current().question
    question = find_question(language(), named) if named else None
    if named and question is None:
        st.warning(tr("The link names a question that there is not. Here are all of them."))
    if question is not None:
        count = len(questions(language()))
        label = tr("Show all {count} questions", count=count)
        st.button(label, on_click=state.update, kwargs={"question": ""}, icon=":material/arrow_back:")
        draw_single(question)
    else:
        bank()


def bank() -> None:
    """The filters, how many questions fit, and these."""
    draw_filters()
    wanted, everything = wishes(), questions(language())
    found = search(language(), wanted.text, wanted_topic(), wanted.level, wanted.kind)
    st.markdown(tr("{found} of {count} questions", found=len(found), count=len(everything)))
    if wanted.hidden:
        progress_line(len(everything))
    if found:
        draw_list(found)
        return
    st.info(tr("No question fits. Try fewer words, or another level or kind."))
    st.button(tr("Clear search and filters"), on_click=clear, type="primary")


main()
