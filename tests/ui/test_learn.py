"""Learn and Class without a browser: the way through a lesson, progress, thirty students, and what a teacher sees."""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import ClassVar

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from pruning.errors import UnsupportedError
from pruning.evaluation import evaluate
from pruning.language import Later, later, speaking
from pruning.learning import database
from pruning.learning.records import Answer, Member, Scale, Truth, score
from pruning.masks import HeadId, Mask
from pruning.models import LoadedModel
from tests.families import examples_of, model_of
from tests.ui.conftest import ROOT, served
from ui.classroom import answers as sums
from ui.classroom.charts import finding, guesses, stacked
from ui.classroom.live import SETTINGS, settings_text
from ui.classroom.room import LOCAL
from ui.jobs import Job
from ui.learn import base, contents, trying
from ui.learn.base import Experiment, Guess, Outcome, Report, Subject
from ui.learn.content import Lesson, Reference
from ui.learn.learner import Attempt, about
from ui.learn.pictures import guess_and_truth
from ui.learn.words import amount, slider_format, told, verdict
from ui.store import store

SCALE = Scale(0, 50, 1, "{value} points")
TEXTS = ("The idea.", "How many points?", ("First.", "Second."), "This is it.", "Play on in Explore", "It is not so.")


@dataclass(frozen=True)
class Removing(Experiment):
    """Remove the first heads of the first layer."""

    name: ClassVar[str] = "why"
    runs: ClassVar[list[int]] = []
    refused: ClassVar[Later | None] = None
    heads: int = 1

    @classmethod
    def refusal(cls, subject: Subject) -> Later | None:
        return cls.refused

    @classmethod
    def choose(cls, subject: Subject) -> Removing:
        return cls(st.selectbox("Heads", [1, 2, 3], key="lesson_why_heads"))

    def guess(self, subject: Subject) -> Guess:
        return Guess(0, 100, 1, 50, "{value} points")

    def run(self, subject: Subject, report: Report) -> Outcome:
        report(0, 1, "Measuring")
        self.runs.append(self.heads)
        if self.heads > 4:
            raise UnsupportedError("there are only {n} heads", n=4)
        gone = Mask(heads=frozenset(HeadId(0, head) for head in range(self.heads)))
        found = evaluate(subject.model, subject.evaluation, subject.mask | gone)
        return Outcome(100 * found.metrics["accuracy"].value, samples=len(subject.evaluation))

    def draw(self, subject: Subject, outcome: Outcome, theme: str) -> None:
        st.markdown(f"drawn {outcome.truth:.3f}")


class Waiting(Removing):
    """One that can be interrupted while it works."""

    started: ClassVar[threading.Event] = threading.Event()

    def run(self, subject: Subject, report: Report) -> Outcome:
        while True:
            report(1, 10, "Waiting")
            self.started.set()


def lesson(number: int, slug: str) -> Lesson:
    return Lesson(slug, number, "explore", ("paper",), slug.capitalize(), *TEXTS)


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[LoadedModel]:
    """A tiny model behind the pages, two lessons, and a database of this test."""
    monkeypatch.setenv("HEADROOM_DATABASE", f"sqlite:///{tmp_path / 'history.sqlite'}")
    monkeypatch.setattr(contents, "lessons", lambda language: (lesson(1, "why"), lesson(2, "speed")))
    monkeypatch.setattr(contents, "experiments", lambda: {"why": Removing, "speed": Removing})
    monkeypatch.setattr(trying, "get_experiment", lambda slug: Removing)
    paper = Reference("Ann", 2020, "Heads", "ACL", "https://example.org/paper")
    monkeypatch.setattr("ui.learn.lesson.references", lambda: {"paper": paper})
    Removing.runs.clear()
    tiny = model_of("bert")
    with served(tiny, examples_of("bert", 24), monkeypatch) as model:
        yield model
        store().recorder.close()


def opened(page: str = "learn", **parameters: str) -> AppTest:
    script = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    script.query_params.update(parameters)
    script.run()
    script = script.switch_page(f"pages/{page}.py").run()
    for job in (store().learner.reader.latest((script.session_state["session_id"], "lesson rows")),):
        if job is not None:
            assert job.finished.wait(60)
            script.run()
    assert not script.exception
    return script


def press(script: AppTest, label: str) -> AppTest:
    (button,) = [one for one in script.button if one.label.strip("*") == label]
    button.click().run()
    assert not script.exception
    return script


def guess(script: AppTest, value: float) -> AppTest:
    """Guess, lock it in, and wait for the truth."""
    script.slider[0].set_value(value).run()
    press(script, "Lock in and run")
    assert finished(script).state == "done"
    return script.run()


def finished(script: AppTest) -> Job:
    job = store().learner.latest(script.session_state["session_id"])
    assert job is not None
    assert job.finished.wait(60)
    return job


def texts(script: AppTest) -> str:
    parts = (*script.markdown, *script.header, *script.subheader, *script.caption, *script.info, *script.warning)
    return "\n".join(part.value for part in (*parts, *script.error))


def buttons(script: AppTest) -> list[str]:
    return [one.label.strip("*") for one in script.button]


# A lesson --------------------------------------------------------------------------------------------------------


def test_from_the_contents_through_a_lesson_and_back(model: LoadedModel) -> None:
    script = opened()
    assert texts(script).count("Not done yet") == 2
    press(script, "Begin").run()
    assert script.query_params["lesson"] == "why"
    assert "The idea." in texts(script)
    assert "What to notice" not in texts(script)
    script = opened(lesson="why")
    guess(script, 80)
    subject = store().learner.subject(model, "demo", Mask())
    truth = 100 * evaluate(model, subject.evaluation, Mask.parse_heads("0:0")).metrics["accuracy"].value
    points = score(80, Truth(truth), Scale(0, 100, 1))
    assert f"drawn {truth:.3f}" in texts(script)
    assert f"Your score: {points} of 100. This is it." in texts(script)
    assert "What to notice" in texts(script)
    assert "https://example.org/paper" in texts(script)
    picture = json.loads(script.get("plotly_chart")[0].proto.spec)
    assert [trace["x"] for trace in picture["data"]] == [[truth], [80.0]]
    press(script, "All lessons").run()
    assert f"Done: {points} of 100" in texts(script)
    assert "Continue" in buttons(script)
    press(script, "Continue").run()
    assert "2. Speed" in texts(script)


def test_another_guess_is_practice(model: LoadedModel) -> None:
    script = guess(opened(lesson="why"), 80)
    press(script, "Guess again")
    assert "What to notice" not in texts(script)
    script.selectbox(key="lesson_why_heads").set_value(3).run()
    guess(script, 10)
    assert "Your first guess counts" in texts(script)
    press(script, "Guess again")
    guess(script, 90)
    assert Removing.runs == [1, 3]  # what is known is not computed again
    session = script.session_state["session_id"]
    kept = store().learner.records.learning().answers(session)
    assert [(one.guess, one.settings) for one in kept] == [(80, {"heads": 1}), (10, {"heads": 3}), (90, {"heads": 3})]


def test_going_back_to_a_setting_shows_its_truth_again(model: LoadedModel) -> None:
    script = guess(opened(lesson="why"), 80)
    script.selectbox(key="lesson_why_heads").set_value(2).run()
    assert "drawn" not in texts(script)
    assert script.slider[0].value == 80  # the guess stays where it was
    script.selectbox(key="lesson_why_heads").set_value(1).run()
    assert "drawn" in texts(script)


def test_the_mask_of_the_link_counts(model: LoadedModel) -> None:
    mask = Mask.parse_heads("1:0,1:1")
    script = guess(opened(lesson="why", mask=mask.to_code()), 80)
    subject = store().learner.subject(model, "demo", mask)
    wanted = evaluate(model, subject.evaluation, mask | Mask.parse_heads("0:0")).metrics["accuracy"].value
    assert f"drawn {100 * wanted:.3f}" in texts(script)
    (kept,) = store().learner.records.learning().answers(script.session_state["session_id"])
    assert kept.mask == mask


def test_a_refusal_gives_its_reason_and_leaves_the_text(model: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Removing, "refused", later("it has no {what}", what="labels"))
    script = opened(lesson="why")
    assert "cannot be done here: it has no labels" in texts(script)
    assert "The idea." in texts(script)
    assert "Lock in and run" not in buttons(script)


def test_an_error_is_told_and_can_be_tried_again(model: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Removing, "choose", classmethod(lambda cls, subject: cls(5)))
    script = opened(lesson="why")
    press(script, "Lock in and run")
    assert finished(script).state == "failed"
    script.run()
    assert "there are only 4 heads" in texts(script)
    press(script, "Lock in and run")
    assert finished(script).state == "failed"
    assert Removing.runs == [5, 5]
    assert store().learner.records.learning().answers(script.session_state["session_id"]) == []


def test_cancelling_is_no_answer(model: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trying, "get_experiment", lambda slug: Waiting)
    script = opened(lesson="why")
    press(script, "Lock in and run")
    assert Waiting.started.wait(60)
    script.run()
    assert script.slider[0].disabled
    press(script, "Cancel")
    assert finished(script).state == "cancelled"
    script.run()
    assert not script.slider[0].disabled
    assert store().learner.records.learning().answers(script.session_state["session_id"]) == []


def test_an_unknown_lesson_leads_to_all(model: LoadedModel) -> None:
    script = opened(lesson="nothing")
    assert "There is no lesson 'nothing'" in texts(script)
    assert texts(script).count("Not done yet") == 2


def test_progress_can_be_forgotten(model: LoadedModel) -> None:
    script = guess(opened(lesson="why"), 80)
    press(script, "All lessons").run()
    press(script, "Forget my progress").run()
    assert texts(script).count("Not done yet") == 2
    assert "Reset progress" not in buttons(script)


def test_without_a_database_progress_lasts_while_the_server_runs(
    model: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADROOM_DATABASE", "off")
    store.clear()
    script = guess(opened(lesson="why"), 80)
    assert "Progress is kept until this server stops, and no longer: HEADROOM" in texts(script)
    press(script, "All lessons").run()
    assert "Done:" in texts(script)


def test_a_database_that_breaks_leaves_the_lesson(model: LoadedModel) -> None:
    script = opened(lesson="why")
    with store().learner.records.learning().engine.execution_options(writes=True).begin() as connection:
        connection.exec_driver_sql("DROP TABLE headroom_answers")
    guess(script, 80)
    assert "drawn" in texts(script)
    assert "Something could not be kept" in texts(script)


def test_words_in_chinese() -> None:
    with speaking("zh"):
        assert verdict(10, Truth(10), SCALE) == "完全猜中"
        assert told(Truth(1, -1, 2), replace(SCALE, unit="{value}"), 64) == "1（−1至2，n = 64）"


# Thirty students -------------------------------------------------------------------------------------------------


def test_thirty_students_get_right_and_separate_answers(model: LoadedModel) -> None:
    learner = store().learner
    learner._rows.put(rows_key(model), (examples_of("bert", 24),) * 2)
    subject = learner.subject(model, "demo", Mask())
    records = learner.records.learning()
    room = records.open_class("teacher")
    jobs: dict[int, Job] = {}

    def study(number: int) -> None:
        session, experiment = f"student {number}", Removing(1 + number % 3)
        mine = replace(subject, mask=Mask.parse_heads(f"1:{number % 4}"))
        records.join(room.code, session)
        asked = experiment.guess(mine)
        attempt = Attempt(1, experiment, about(experiment, mine), asked, float(number), "demo", room.code)
        jobs[number] = learner.run(session, attempt, mine)

    threads = [threading.Thread(target=study, args=(number,)) for number in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(Removing.runs) <= 12
    wanted = {}
    for heads in (1, 2, 3):
        for head in range(4):
            gone = Mask.parse_heads(f"0:0-{heads - 1},1:{head}")
            wanted[heads, head] = 100 * evaluate(model, subject.evaluation, gone).metrics["accuracy"].value
    for number, job in jobs.items():
        assert job.finished.wait(60)
        truth = wanted[1 + number % 3, number % 4]
        assert job.result.truth == truth
        (kept,) = records.answers(f"student {number}")
        assert (kept.guess, kept.truth.value, kept.settings) == (number, truth, {"heads": 1 + number % 3})
        assert kept.score == score(number, Truth(truth), kept.scale)
    assert len(Removing.runs) == 12  # thirty students, twelve different questions
    assert len({one.member for one in records.class_answers("teacher")}) == 30
    assert len(set(wanted.values())) > 2  # or a mix-up could not be seen


def test_a_restart_finds_what_was_worked_out(
    model: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ui.learn.experiments.why import Why

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("ui.measuring.RESULTS_MB", 4)

    def outcome(mask: Mask = Mask()) -> Outcome | None:  # noqa: B008  it is frozen
        store().recorder.close()
        store.clear()
        learner, experiment = store().learner, Why()
        learner._rows.put(rows_key(model), (examples_of("bert", 24),) * 2)
        subject = learner.subject(model, "demo", mask)
        attempt = Attempt(1, experiment, about(experiment, subject), experiment.guess(subject), 5.0, "demo")
        job = learner.run("someone", attempt, subject)
        assert job.finished.wait(60)
        return job.result

    def again(*_: object) -> None:
        raise UnsupportedError("this was found already")

    first = outcome()
    assert first is not None
    monkeypatch.setattr(Why, "run", again)
    assert outcome() == first
    assert outcome(Mask.parse_heads("0:1")) is None  # of another mask it was not


def rows_key(model: LoadedModel) -> object:
    from ui.learn.learner import _rows_key

    return _rows_key(model, "demo")


def test_five_pages_at_once_keep_to_themselves(model: LoadedModel) -> None:
    scripts = [opened(lesson="why") for _ in range(5)]
    for number, script in enumerate(scripts):
        script.selectbox(key="lesson_why_heads").set_value(1 + number % 3).run()
        script.slider[0].set_value(10 * number).run()
    for script in scripts:
        press(script, "Lock in and run")
    for number, script in enumerate(scripts):
        truth = finished(script).result.truth
        script.run()
        assert f"drawn {truth:.3f}" in texts(script)
        picture = json.loads(script.get("plotly_chart")[0].proto.spec)
        assert [trace["x"] for trace in picture["data"]] == [[truth], [10.0 * number]]


# A class ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def classroom(model: LoadedModel) -> Callable[..., tuple[AppTest, str]]:
    def open_class() -> tuple[AppTest, str]:
        script = opened("classroom")
        press(script, "Open a class").run()
        return script, script.header[0].value.split()[-1]

    return open_class


def test_a_class_from_its_opening_to_its_end(classroom: Callable[..., tuple[AppTest, str]]) -> None:
    teacher, code = classroom()
    assert f"/learn?group={code}" in teacher.code[0].value
    assert "Nobody has answered yet" in texts(teacher)
    student = opened(lesson="why", group=code.lower())
    assert f"Class **{code}** · you are **Student 1**" in texts(student)
    student.text_input(key="learn_nickname").set_value("Ada").run()
    assert "you are **Ada**" in texts(student)
    assert not [box for box in student.text_input if box.key == "learn_nickname"]  # it is chosen once
    guess(student, 80)
    other = guess(opened(lesson="why", group=code), 30)
    waiting = opened(group=code)

    teacher.run()
    assert "Done: Ada, Student 2" in texts(teacher)
    assert "Not yet: Student 3" in texts(teacher)
    assert [metric.value for metric in teacher.metric] == ["3", "3", "2"]
    picture = json.loads(teacher.get("plotly_chart")[0].proto.spec)
    assert sorted(picture["data"][0]["x"]) == [30, 80]
    assert picture["layout"].get("shapes", []) == []
    assert "Truth" not in json.dumps(picture)
    press(teacher, "Reveal the truth").run()
    picture = json.loads(teacher.get("plotly_chart")[0].proto.spec)
    assert len(picture["layout"]["shapes"]) == 1
    assert "median guess 55 points" in texts(teacher)

    press(teacher, "Close it now").run()
    assert "Open a class" in buttons(teacher)
    for script in (student.run(), other.run(), waiting.run()):
        assert f"You are in no class: there is no open class {code}" in texts(script)
    press(student, "Leave").run()
    assert "in no class" not in texts(student)
    assert "drawn" in texts(student)


def test_a_stranger_sees_no_class(classroom: Callable[..., tuple[AppTest, str]]) -> None:
    _, code = classroom()
    guess(opened(lesson="why", group=code), 80)
    stranger = opened("classroom", group=code)
    assert code not in texts(stranger)
    assert "Open a class" in buttons(stranger)


def test_a_code_that_cannot_be_one(model: LoadedModel) -> None:
    script = opened(group="<b>aaa</b>")
    assert "You are in no class: there is no open class \\<b\\>aaa\\</b\\>" in texts(script)


def test_the_teacher_is_no_student(classroom: Callable[..., tuple[AppTest, str]]) -> None:
    teacher, code = classroom()
    teacher.switch_page("pages/learn.py").run()
    assert f"Your class **{code}** is open" in texts(teacher)
    press(teacher, "1. Why").run()
    links = [block.value for block in teacher.code if "lesson=why" in block.value]
    assert links
    assert all(f"group={code}" in link for link in links if "learn" in link or link in links[:1])


# Words and pictures ----------------------------------------------------------------------------------------------


def test_kind_words() -> None:
    scale, truth = Scale(0, 100, 1, "{value} points"), Truth(40, 38, 42)
    said = {guess: verdict(guess, truth, scale) for guess in (39, 50, 64, 90, 0)}
    assert [said[guess] for guess in (39, 50, 64)] == ["Spot on", "Very close", "Not far off"]
    assert said[90] == "A surprise: it is 50 points less than you said"
    assert said[0] == "A surprise: it is 40 points more than you said"
    share = Scale(0, 100, 5, "{value}%")
    assert verdict(0, truth, share) == "A surprise: it is 40 points more than you said"


def test_numbers_have_their_units() -> None:
    scale = Scale(-10, 10, 0.1, "{value}% of it", 1)
    assert amount(-1.26, scale) == "−1.3% of it"
    assert amount(-0.01, scale) == "0.0% of it"
    assert slider_format(scale) == "%.1f%% of it"
    assert told(Truth(1, -1, 2), scale, 1500) == "1.0% of it (−1.0 to 2.0, n = 1,500)"
    assert told(Truth(1), scale) == "1.0% of it"


def test_the_picture_of_a_guess() -> None:
    drawn = json.loads(guess_and_truth(20, Truth(60, 55, 70), SCALE, "light", 64).to_json())
    assert [trace["x"] for trace in drawn["data"]] == [[60], [20]]
    band = drawn["layout"]["shapes"][1]
    assert (band["x0"], band["x1"]) == (55, 70)
    low, high = drawn["layout"]["xaxis"]["range"]
    assert low < 0
    assert high > 60  # a truth beyond the slider is on the picture
    assert "You said 20 points; it is 60 points" in drawn["layout"]["title"]["text"]


def class_answer(member: int, guess: float, lesson: str = "why", **changes: object) -> Answer:
    truth = Truth(10, 8, 13)
    plain = Answer("", lesson, guess, truth, SCALE, score(guess, truth, SCALE), {"heads": 1}, "demo", "demo")
    return replace(plain, member=member, code="BCDFGH", **changes)


def test_questions_are_told_apart_by_their_settings() -> None:
    rows = [class_answer(1, 5), class_answer(2, 20), class_answer(2, 9), class_answer(3, 30, settings={"heads": 2})]
    first = sums.counted(rows)
    assert [one.guess for one in first] == [5, 20, 30]
    one, other = sums.questions(first, "why")
    assert [len(group.answers) for group in (one, other)] == [2, 1]
    assert one.median_error == 5  # 3 and 7
    assert sums.median_share(first) == pytest.approx(7 / 50)
    assert sums.mean_score(first) == pytest.approx((94 + 86 + 66) / 3)


def test_a_question_of_the_class_is_told_in_words() -> None:
    real = [kind for kind in base.experiments().values() if kind.__module__.startswith("ui.")]
    fields = {one.name for kind in real for one in dataclasses.fields(kind)}
    assert fields <= SETTINGS.keys()
    one = class_answer(1, 5, settings={"share": 0.4, "order": "gradient"})
    assert settings_text(sums.Question("why", (one,))).startswith(
        "1 answer · Share: 40% · Which go first: the least important first · "
    )


def test_the_strip_stacks_equal_guesses_and_hides_the_truth() -> None:
    rows = tuple(class_answer(member, value) for member, value in enumerate((5, 5, 5, 30), 1))
    assert [(place, row) for place, row, _ in stacked(rows)] == [(5, 0), (5, 1), (5, 2), (30, 0)]
    question = sums.Question("why", rows)
    hidden = guesses(question, {1: "Ada"}, "dark", False).to_json()
    assert "Truth" not in hidden
    assert finding(question, False) == "The class guesses 5 points to 30 points"
    assert finding(sums.Question("why", rows[:3]), False) == "The class guesses 5 points"
    shown = json.loads(guesses(question, {1: "Ada"}, "dark", True).to_json())
    assert shown["data"][0]["text"][0] == "Ada: 5 points"
    assert len(shown["layout"]["shapes"]) == 2
    assert "0 of 4 were spot on" in finding(question, True)


def test_who_is_here() -> None:
    now = database.now()
    rows = [Member("BCDFGH", n, "", now, now - timedelta(seconds=seconds)) for n, seconds in enumerate((1, 50, 90))]
    assert sums.here(rows, now) == 2


def test_this_computer_is_known_as_such() -> None:
    assert "localhost" in LOCAL


def test_experiments_are_found_by_their_lesson() -> None:
    assert all(kind.name == name for name, kind in base.experiments().items())
