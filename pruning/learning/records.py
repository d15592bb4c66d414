"""Guesses and their scores, classes and their members."""

from __future__ import annotations

import math
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pruning.errors import PruningError
from pruning.masks import Mask

LETTERS = "BCDFGHJKMNPQRSTVWXYZ"  # no vowels, so that no word comes out, and none that looks like another or a digit
CODE_LENGTH = 6  # 64 million codes
LONGEST_NICKNAME = 24


class LearningError(PruningError):
    """Progress or a class that cannot be kept, or a class that cannot be joined."""


@dataclass(frozen=True)
class Scale:
    """The slider of a guess, in the unit of the truth.

    Attributes:
        unit: An English message with ``{value}``.
        digits: After the decimal point.
    """

    low: float
    high: float
    step: float
    unit: str = "{value}"
    digits: int = 0


@dataclass(frozen=True)
class Truth:
    """What was to be guessed, with its 95% interval where there is one."""

    value: float
    low: float | None = None
    high: float | None = None

    def missed_by(self, guess: float, scale: Scale) -> float:
        """How far a guess is from the interval, or from the value; 0 within half a step of the slider.

        A truth beyond the slider's end counts as that end: nobody could have said more.
        """
        ends = [end for end in (self.low, self.high, self.value) if end is not None and math.isfinite(end)]
        low, high = (min(max(end, scale.low), scale.high) for end in (min(ends), max(ends)))
        distance = max(low - guess, guess - high, 0.0)
        return 0.0 if distance <= scale.step / 2 + 1e-9 else distance


def score(guess: float, truth: Truth, scale: Scale) -> int:
    """How good a guess is, from 0 to 100: 100 inside the interval, and one point less for each hundredth of the slider.

    >>> scale = Scale(0, 50, 1)
    >>> score(11, Truth(12, 10, 14), scale), score(24, Truth(12, 10, 14), scale), score(50, Truth(0), scale)
    (100, 80, 0)
    """
    return round(100 * (1 - truth.missed_by(guess, scale) / (scale.high - scale.low)))


@dataclass(frozen=True)
class Answer:
    """One guess and what came of it.

    Attributes:
        owner: Whose it is; empty where a class alone keeps it.
        settings: Of the experiment, as JSON values.
        model, data: As the menus call them.
        code, member: The class it was given in, and by whom there; empty and 0 outside a class.

    Raises:
        LearningError: The guess or the truth is no number.
    """

    owner: str
    lesson: str
    guess: float
    truth: Truth
    scale: Scale
    score: int
    settings: dict[str, Any] = field(default_factory=dict)
    model: str = ""
    data: str = ""
    mask: Mask = field(default_factory=Mask)
    code: str = ""
    member: int = 0
    id: int | None = None
    made: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __post_init__(self) -> None:
        for value in (self.guess, self.truth.value):
            if not math.isfinite(value):
                raise LearningError("a guess and its truth are numbers, not {value}", value=value)

    @property
    def subject(self) -> tuple[str, str, str, str]:
        """What was to be guessed: answers that agree in it have one truth."""
        return repr(sorted(self.settings.items())), self.model, self.data, self.mask.to_code()

    @property
    def missed_by(self) -> float:
        return self.truth.missed_by(self.guess, self.scale)


@dataclass(frozen=True)
class Classroom:
    """An open class."""

    code: str
    owner: str
    opened: datetime
    touched: datetime


@dataclass(frozen=True)
class Member:
    """Somebody in a class; the number is what one is called without a nickname."""

    code: str
    number: int
    nickname: str
    joined: datetime
    seen: datetime


def first_answers(answers: Iterable[Answer]) -> dict[str, Answer]:
    """The first answer to each lesson, which counts; later ones are practice."""
    found: dict[str, Answer] = {}
    for answer in answers:
        found.setdefault(answer.lesson, answer)
    return found


def new_code() -> str:
    return "".join(secrets.choice(LETTERS) for _ in range(CODE_LENGTH))


def read_code(text: str) -> str:
    """A code as it is kept, from what somebody has typed; empty where it can be none.

    >>> read_code(" bcdfgh"), read_code("HELLO"), read_code("BCD-FGH")
    ('BCDFGH', '', 'BCDFGH')
    """
    code = "".join(letter for letter in text.upper() if letter.isalnum())
    return code if len(code) == CODE_LENGTH and set(code) <= set(LETTERS) else ""
