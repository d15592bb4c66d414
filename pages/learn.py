"""Learn: twelve lessons, each with a guess to make and an experiment on the loaded model."""

import streamlit as st

from pruning.language import tr
from ui import state
from ui.learn.contents import available, contents
from ui.learn.lesson import lesson_page
from ui.learn.membership import class_line, own_class
from ui.page import begin
from ui.theme import plain


def main() -> None:
    page = begin("Learn", tr("Pruning in twelve short lessons: guess first, then see it happen on the loaded model."))
    own = own_class()
    code = class_line(own)
    wanted = state.current().lesson
    found = next((lesson for lesson in available() if lesson.slug == wanted), None)
    if wanted and found is None:
        st.warning(plain(tr("There is no lesson {name}. Here are all of them.", name=repr(wanted[:40]))))
    if found is None:
        contents()
    else:
        lesson_page(found, page.theme, code, own or code)


main()
