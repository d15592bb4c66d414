"""Progress and classes: scores, what is kept for whom, limits, and what survives parallel sessions and restarts."""

from __future__ import annotations

import csv
import io
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from pruning.history import opening
from pruning.history.database import History
from pruning.history.opening import migrate, open_engine
from pruning.history.records import Record
from pruning.history.tables import RECORDS, to_row
from pruning.learning import database
from pruning.learning.database import MOST_MEMBERS, Learning
from pruning.learning.files import COLUMNS, as_csv
from pruning.learning.records import (
    CODE_LENGTH,
    LETTERS,
    Answer,
    LearningError,
    Scale,
    Truth,
    first_answers,
    new_code,
    read_code,
    score,
)
from pruning.masks import Mask

SCALE = Scale(0, 50, 1, "{value} points")


def answer(owner: str = "me", guess: float = 12, **changes: Any) -> Answer:
    truth = Truth(10, 8, 13)
    plain = Answer(owner, "why", guess, truth, SCALE, score(guess, truth, SCALE), {"share": 0.5}, "demo", "demo")
    return replace(plain, **changes)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'history.sqlite'}"


@pytest.fixture
def learning(url: str) -> Iterator[Learning]:
    engine = open_engine(url)
    yield Learning(engine)
    engine.dispose()


# Scores ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("guess", "truth", "points"),
    [
        (10, Truth(10), 100),
        (10.5, Truth(10), 100),  # within half a step: the slider cannot say more
        (15, Truth(10), 90),
        (13, Truth(10, 8, 13), 100),
        (15, Truth(10, 8, 13), 96),
        (0, Truth(10, 8, 13), 84),
        (50, Truth(-20), 0),
        (0, Truth(-20), 100),  # nobody could have said less
        (50, Truth(60, 55, 65), 100),
        (0, Truth(50), 0),
    ],
)
def test_a_hundredth_of_the_slider_costs_a_point(guess: float, truth: Truth, points: int) -> None:
    assert score(guess, truth, SCALE) == points


def test_a_truth_that_is_no_number_is_refused() -> None:
    with pytest.raises(LearningError, match="are numbers, not nan"):
        answer(truth=Truth(float("nan")))


# Progress --------------------------------------------------------------------------------------------------------


def test_everything_comes_back_after_a_restart(learning: Learning, url: str) -> None:
    mask = Mask.parse_heads("0:3,2:5")
    kept = learning.add(answer(mask=mask, settings={"share": 0.5, "how": "全局"}))
    learning.engine.dispose()
    engine = open_engine(url)
    assert Learning(engine).answers("me") == [kept]
    assert kept.mask == mask
    engine.dispose()


def test_the_first_answer_counts(learning: Learning) -> None:
    for guess in (30, 10, 12):
        learning.add(answer(guess=guess))
    learning.add(answer(guess=1, lesson="speed"))
    firsts = first_answers(learning.answers("me"))
    assert {lesson: one.guess for lesson, one in firsts.items()} == {"why": 30, "speed": 1}


def test_nobody_sees_or_loses_what_is_anothers(learning: Learning) -> None:
    learning.add(answer("me"))
    learning.add(answer("you", 20))
    learning.reset("me")
    assert learning.answers("me") == []
    assert [one.guess for one in learning.answers("you")] == [20]


def test_practice_is_bounded_and_first_answers_stay(learning: Learning, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "MOST_ANSWERS", 3)
    for guess in range(8):
        learning.add(answer(guess=guess))
    assert [one.guess for one in learning.answers("me")] == [0, 5, 6, 7]


def test_a_session_hands_over_to_its_browser(learning: Learning) -> None:
    room = learning.open_class("session")
    learning.join(room.code, "student session")
    learning.add(answer("student session", 11, code=room.code))
    learning.hand_over("student session", "student")
    learning.hand_over("session", "teacher")
    assert learning.class_of("teacher") == replace(room, owner="teacher", touched=learning.class_of("teacher").touched)
    assert [one.number for one in learning.members("teacher")] == [1]
    assert [one.guess for one in learning.answers("student")] == [11]

    learning.join(room.code, "second session")  # the same browser in a second window, before it is known
    learning.add(answer("second session", 40, code=room.code))
    learning.hand_over("second session", "student")
    assert [one.number for one in learning.members("teacher")] == [1]
    assert [(one.member, one.guess) for one in learning.class_answers("teacher")] == [(1, 11), (1, 40)]


# Classes ---------------------------------------------------------------------------------------------------------


def test_codes_have_no_letters_that_look_alike() -> None:
    codes = {new_code() for _ in range(200)}
    assert len(codes) == 200
    assert all(len(code) == CODE_LENGTH and set(code) <= set(LETTERS) for code in codes)
    assert not set(LETTERS) & set("AEIOUL01")
    assert [read_code(text) for text in ("bcdfgh ", "BCDFG", "BCDFGA", "")] == ["BCDFGH", "", "", ""]


def test_one_class_for_each_owner(learning: Learning) -> None:
    room = learning.open_class("teacher")
    assert learning.open_class("teacher") == room
    assert learning.open_class("other").code != room.code
    assert learning.class_of("teacher") == room
    assert learning.class_of("student") is None


def test_only_the_owner_sees_a_class(learning: Learning) -> None:
    room = learning.open_class("teacher")
    learning.join(room.code, "student")
    learning.add(answer("student", code=room.code))
    assert [one.owner for one in learning.class_answers("teacher")] == [""]  # and not whose browser it was
    for nosy in ("student", "other", room.code, ""):
        assert learning.members(nosy) == []
        assert learning.class_answers(nosy) == []


def test_a_member_comes_back_as_the_same(learning: Learning) -> None:
    room = learning.open_class("teacher")
    numbers = [learning.join(room.code, who).number for who in ("a", "b", "a", "c")]
    assert numbers == [1, 2, 1, 3]
    learning.call(room.code, "b", "  Ada \0  Lovelace, Countess of so much  ")
    assert learning.members("teacher")[1].nickname.startswith("Ada")
    assert len(learning.members("teacher")[1].nickname) <= 24


def test_answers_of_no_member_stay_outside(learning: Learning) -> None:
    room = learning.open_class("teacher")
    kept = learning.add(answer("stranger", code=room.code))
    assert (kept.code, kept.member) == ("", 0)
    assert learning.class_answers("teacher") == []


def test_a_reset_leaves_the_class_its_answers(learning: Learning) -> None:
    room = learning.open_class("teacher")
    learning.join(room.code, "student")
    learning.add(answer("student", 7, code=room.code))
    learning.reset("student")
    assert learning.answers("student") == []
    assert [(one.member, one.guess) for one in learning.class_answers("teacher")] == [(1, 7)]


def test_a_closed_class_leaves_everybody_their_own(learning: Learning) -> None:
    room = learning.open_class("teacher")
    learning.join(room.code, "student")
    learning.add(answer("student", 7, code=room.code))
    learning.close_class("teacher")
    assert learning.class_of("teacher") is None
    assert not learning.is_here(room.code, "student")
    (kept,) = learning.answers("student")
    assert (kept.guess, kept.code, kept.member) == (7, "", 0)
    assert learning.add(answer("student", 8, code=room.code)).code == ""
    with pytest.raises(LearningError, match=f"no open class {room.code}"):
        learning.join(room.code, "student")


def test_limits_of_classes_and_members(learning: Learning, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MOST_MEMBERS == 200
    monkeypatch.setattr(database, "MOST_CLASSES", 2)
    monkeypatch.setattr(database, "MOST_MEMBERS", 2)
    rooms = [learning.open_class(owner) for owner in ("a", "b")]
    with pytest.raises(LearningError, match="2 classes are open here"):
        learning.open_class("c")
    for who in ("x", "y"):
        learning.join(rooms[0].code, who)
    with pytest.raises(LearningError, match=r"is full: 2 are in it"):
        learning.join(rooms[0].code, "z")
    assert learning.join(rooms[0].code, "x").number == 1  # who is in it may come back


def test_a_class_closes_after_a_day_without_an_answer(learning: Learning, monkeypatch: pytest.MonkeyPatch) -> None:
    room, now = learning.open_class("teacher"), database.now()
    learning.join(room.code, "student")

    def in_hours(hours: float) -> None:
        monkeypatch.setattr(database, "now", lambda: now + timedelta(hours=hours))

    in_hours(23)
    learning.add(answer("student", code=room.code))
    in_hours(46)
    assert learning.class_of("teacher") is not None
    in_hours(47.5)
    assert learning.class_of("teacher") is None
    assert learning.members("teacher") == learning.class_answers("teacher") == []
    assert not learning.is_open(room.code)
    assert learning.open_class("teacher").code != room.code


def test_thirty_students_at_once(learning: Learning) -> None:
    room = learning.open_class("teacher")

    def study(number: int) -> None:
        who = f"student {number}"
        learning.join(room.code, who)
        for guess in (number, number + 10):
            learning.add(answer(who, guess, code=room.code))
        learning.is_here(room.code, who)

    threads = [threading.Thread(target=study, args=(number,)) for number in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(one.number for one in learning.members("teacher")) == list(range(1, 31))
    for number in range(30):
        assert [one.guess for one in learning.answers(f"student {number}")] == [number, number + 10]
    assert len({one.member for one in learning.class_answers("teacher")}) == 30


def test_the_file_of_a_class(learning: Learning) -> None:
    room = learning.open_class("teacher")
    learning.join(room.code, "student")
    for guess in (12, 20):
        learning.add(answer("student", guess, code=room.code))
    rows = list(csv.DictReader(io.StringIO(as_csv(learning.class_answers("teacher"), {1: "=1+1"}))))
    assert tuple(rows[0]) == COLUMNS
    assert [(row["name"], row["guess"], row["first"]) for row in rows] == [
        ("'=1+1", "12.0", "True"),
        ("'=1+1", "20.0", "False"),
    ]
    assert (rows[1]["missed_by"], rows[1]["score"], rows[1]["truth"]) == ("7.0", "86", "10.0")
    assert datetime.fromisoformat(rows[0]["made"]).tzinfo is not None


# The database ----------------------------------------------------------------------------------------------------


def test_an_older_database_is_brought_up_to_date(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(opening, "migrate", lambda engine: migrate(engine, "2"))
        engine = open_engine(url)
    record = Record("evaluation", "me", "demo", "w", "demo", "r")
    with engine.begin() as connection:
        row = to_row(record)
        row.pop("points")  # a later revision's
        connection.execute(insert(RECORDS).values(row))
    engine.dispose()
    history = History(url)
    assert history.count("me") == 1
    learning = Learning(history.engine)
    learning.add(answer())
    assert len(learning.answers("me")) == 1
    history.close()


def test_a_database_that_has_gone_says_so(learning: Learning) -> None:
    with learning.engine.execution_options(writes=True).begin() as connection:
        connection.exec_driver_sql("DROP TABLE headroom_answers")
    with pytest.raises(LearningError, match="progress cannot be kept now: no such table"):
        learning.answers("me")
