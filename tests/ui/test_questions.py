"""The question bank on its page: searching, filtering, testing oneself, and the link to one question."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from pruning.language import LANGUAGES, speaking
from tests.ui.conftest import Pages
from ui import state
from ui.questions.content import TOPICS, find_question, questions
from ui.questions.filters import Wishes

CODE = "two-of-four"
COUNT = len(questions("en"))


def fine(script: AppTest) -> AppTest:
    assert [error.value for error in script.exception] == []
    return script


def said(script: AppTest) -> str:
    parts = [*script.markdown, *script.header, *script.caption, *script.info, *script.warning, *script.code]
    return "\n".join(part.value for part in parts)


def press(script: AppTest, label: str) -> AppTest:
    (button,) = [button for button in script.button if button.label == label]
    return fine(button.click().run())


def choose(script: AppTest, label: str, value: str) -> AppTest:
    (box,) = [box for box in script.main.selectbox if box.label == label]
    return fine(box.select(value).run())


def lines(script: AppTest) -> list[str]:
    """The questions that are listed."""
    return [line.label.partition(" :gray[")[0] for line in script.main.expander]


def test_all_are_listed_under_their_topics(pages: Pages) -> None:
    script = fine(pages.open("questions"))
    assert f"{COUNT} of {COUNT} questions" in said(script)
    assert lines(script) == [one.question for one in questions("en")]
    assert [header.value for header in script.header] == list(TOPICS.values())
    assert "Short answer" not in said(script)  # nothing inside is made before it is opened


def test_search_and_filters_narrow_and_can_be_cleared(pages: Pages) -> None:
    script = fine(pages.open("questions"))
    script = choose(script, "Topic", "kinds")
    assert f"6 of {COUNT} questions" in said(script)
    assert script.query_params["topic"] in ("kinds", ["kinds"])
    script = choose(script, "Kind", "coding")
    assert len(lines(script)) == 2
    script = fine(script.main.text_input[0].input("2:4 zebra").run())
    assert lines(script) == []
    assert "No question fits" in said(script)
    script = press(script, "Clear search and filters")
    assert len(lines(script)) == COUNT
    assert script.main.text_input[0].value == ""


def test_filters_survive_a_visit_to_another_page(pages: Pages) -> None:
    script = choose(fine(pages.open("questions")), "Level", "advanced")
    before = lines(script)
    assert 0 < len(before) < COUNT
    script = fine(script.switch_page("pages/history.py").run())
    assert lines(fine(script.switch_page("pages/questions.py").run())) == before


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_link_opens_one_question(pages: Pages, language: str) -> None:
    with speaking(language):  # this process reads the menus, too
        script = fine(pages.open("questions", question=CODE, lang=language))
        question = find_question(language, CODE)
        assert question is not None
        assert script.header[0].value == question.question
        assert question.short in said(script)
        assert question.full not in said(script)
        assert len(lines(script)) == 0
        script = fine(next(one for one in script.button if one.key == f"full_{CODE}").click().run())
    assert question.full in said(script)
    assert "def prune_n_of_m" in said(script)  # the program
    assert "bits for four weights: 64 before, 36 after" in said(script)  # and what it prints
    assert "Mishra" in said(script)
    assert f"question={CODE}&lang={language}" in said(script)


def test_from_one_question_to_all(pages: Pages) -> None:
    script = press(fine(pages.open("questions", question=CODE)), f"Show all {COUNT} questions")
    assert len(lines(script)) == COUNT
    assert "question" not in script.query_params


def test_a_link_that_fits_nothing_says_so(pages: Pages) -> None:
    script = fine(pages.open("questions", question="no-such", topic="no-such"))
    assert "names a question that there is not" in said(script)
    assert len(lines(script)) == COUNT


def test_self_test_hides_and_counts(pages: Pages) -> None:
    script = fine(pages.open("questions"))
    script = fine(script.main.toggle[0].set_value(True).run())
    assert f"Self-test: 0 known, 0 to look at again, {COUNT} of {COUNT} left" in said(script)
    script = fine(pages.open("questions", question="what-is-pruning"))
    script.session_state["questions_wishes"] = Wishes(hidden=True)
    script = fine(script.run())
    question = find_question("en", "what-is-pruning")
    assert question is not None
    assert question.short not in said(script)
    assert question.misconception not in said(script)
    script = press(script, "Show the answer")
    assert question.short in said(script)
    assert question.misconception in said(script)
    script = press(script, "I did not")
    script = press(script, "I knew it")  # one may think again
    script = press(script, f"Show all {COUNT} questions")
    assert f"Self-test: 1 known, 0 to look at again, {COUNT - 1} of {COUNT} left" in said(script)
    script = press(script, "Start again")
    assert f"{COUNT} of {COUNT} left" in said(script)


def test_the_link_holds_topic_and_question_on_this_page_alone() -> None:
    session = state.Session(topic="kinds", question=CODE)
    assert state.url_parameters(session, "Questions") == {"topic": "kinds", "question": CODE}
    assert state.url_parameters(session, "Prune") == {}
