"""What an experiment of a lesson is: settings, a number to guess, work on the loaded model, and a picture of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pruning.language import Later
from pruning.masks import Mask
from pruning.registry import Registry
from ui.theme import Theme

if TYPE_CHECKING:
    from pruning.models import LoadedModel
    from pruning.tasks import Examples

Report = Callable[[int, int, "str | Later"], None]  # done, total, what is being done; raises Cancelled
Told = Mapping[str, Callable[[Any], str]]  # by setting
EVALUATION_ROWS, CALIBRATION_ROWS = 256, 128  # the first ones: a lesson answers within seconds


@dataclass(frozen=True)
class Subject:
    """What an experiment works on: the session's model and data, and the mask of the link that opened the lesson.

    Attributes:
        calibration, evaluation: The first rows of each part, at most `CALIBRATION_ROWS` and `EVALUATION_ROWS`.
    """

    model: LoadedModel
    data: str
    calibration: Examples
    evaluation: Examples
    mask: Mask


@dataclass(frozen=True)
class Guess:
    """The slider that asks for a prediction, in the unit of the truth.

    Attributes:
        unit: An English message with ``{value}``: ``"{value} points"``; translated where it is drawn.
        digits: After the decimal point.
    """

    low: float
    high: float
    step: float
    start: float
    unit: str
    digits: int = 0


@dataclass(frozen=True)
class Outcome:
    """What an experiment has found; children add what their picture needs.

    Attributes:
        truth: What was to be guessed, in the unit of the guess.
        low, high: Its 95% interval, where there is one.
        samples: On how many examples it stands; 0 where it is counted, not measured.
    """

    truth: float
    low: float | None = None
    high: float | None = None
    samples: int = 0


@dataclass(frozen=True)
class Experiment:
    """One lesson's experiment. Children are frozen dataclasses whose fields are their settings."""

    name: ClassVar[str]  # the lesson's slug
    told: ClassVar[Told] = {}  # how a setting's value is told, where not as it is written

    @classmethod
    def refusal(cls, subject: Subject) -> Later | None:
        """Why it cannot be done with this model or data; None where it can."""
        return None

    @classmethod
    def choose(cls, subject: Subject) -> Self:
        """Draw the settings, if there are any to choose, and return the experiment with them."""
        return cls()

    def guess(self, subject: Subject) -> Guess:
        """What is to be guessed."""
        raise NotImplementedError

    def run(self, subject: Subject, report: Report) -> Outcome:
        """Do it, away from the page: nothing is drawn here. Equal settings on equal subjects give equal outcomes."""
        raise NotImplementedError

    def draw(self, subject: Subject, outcome: Outcome, theme: Theme) -> None:
        """Show what was found: a figure whose title states the finding, and a table twin."""
        raise NotImplementedError


_EXPERIMENTS: Registry[type[Experiment]] = Registry("experiment")
register, experiments, get_experiment = _EXPERIMENTS.add, _EXPERIMENTS.all, _EXPERIMENTS.get
