"""What the answers of a class come to: by lesson, by question, by member. No streamlit here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import mean, median

from pruning.learning.records import Answer, Member

HERE_SECONDS = 60.0  # since a page has last said that somebody looks at it


@dataclass(frozen=True)
class Question:
    """The answers that have one truth: the same lesson, settings, model, data and mask.

    Attributes:
        answers: The first one of each member, the oldest first; never empty.
    """

    lesson: str
    answers: tuple[Answer, ...]

    @property
    def median_error(self) -> float:
        """In the unit of the truth."""
        return median(one.missed_by for one in self.answers)


def counted(answers: Iterable[Answer]) -> list[Answer]:
    """The first answer of each member to each lesson, the oldest first."""
    found: dict[tuple[int, str], Answer] = {}
    for answer in answers:
        found.setdefault((answer.member, answer.lesson), answer)
    return list(found.values())


def questions(answers: Sequence[Answer], lesson: str) -> list[Question]:
    """What the class was asked in a lesson; the question that most have answered comes first."""
    groups: dict[object, list[Answer]] = {}
    for answer in answers:
        if answer.lesson == lesson:
            groups.setdefault(answer.subject, []).append(answer)
    found = [Question(lesson, tuple(group)) for group in groups.values()]
    return sorted(found, key=lambda question: -len(question.answers))


def median_share(answers: Iterable[Answer]) -> float:
    """The median error as a share of the slider, so that different questions can be put together."""
    return median(one.missed_by / (one.scale.high - one.scale.low) for one in answers)


def mean_score(answers: Iterable[Answer]) -> float:
    return mean(one.score for one in answers)


def here(members: Iterable[Member], now: datetime) -> int:
    """How many look at the lessons at this moment."""
    return sum(now - member.seen <= timedelta(seconds=HERE_SECONDS) for member in members)
