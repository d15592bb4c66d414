"""How the lessons judge a model: by accuracy in points where there are classes, by the loss where there are none."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pruning.language import Later, mark, tr
from pruning.statistics import Estimate
from ui import theme as look
from ui.learn.base import Guess, Report

if TYPE_CHECKING:
    from pruning.evaluation import Evaluation
    from pruning.importance.base import Progress
    from pruning.models import LoadedModel
    from pruning.tasks import Examples

WORK_MACS = 320e9  # about eight seconds of one core: four passes of the built-in model over 256 rows
LEAST_ROWS = {True: 32, False: 16}  # with and without classes: a row of a language model holds many predictions
PARTS = 1000  # of the progress of one pass
POINTS, LOSS = mark("{value} points"), mark("{value} in loss")


def value_of(evaluation: Evaluation) -> Estimate:
    """Accuracy as a fraction where there are classes, the loss where there are none."""
    return evaluation.metrics["accuracy" if evaluation.class_names else "loss"]


def lost(before: Evaluation, after: Evaluation) -> Estimate:
    """How much worse the second is on the same examples: points of accuracy, or by how much its loss is higher."""
    from pruning.evaluation import compare

    differences = compare(before, after).differences
    if not before.class_names:
        return differences["loss"]
    change = differences["accuracy"]
    return Estimate(0.0 - 100 * change.value, 0.0 - 100 * change.high, 0.0 - 100 * change.low)


def guess_of(
    classes: bool, points: tuple[float, float, float, float], loss: tuple[float, float, float, float]
) -> Guess:
    """The slider for a difference.

    Args:
        points, loss: Lowest, highest, step and start, with and without classes.
    """
    return Guess(*points, POINTS) if classes else Guess(*loss, LOSS, digits=2)


def value_text(value: Estimate, classes: bool) -> str:
    """An accuracy or a loss with its interval."""
    return look.proportion(value) if classes else tr("loss {value}", value=look.measured(value))


def difference_text(difference: Estimate, classes: bool) -> str:
    """What `lost` gave, without a sign: ``7.8 points (3.1 to 12.5)``."""
    if not classes:
        return tr("{difference} in loss", difference=look.measured(difference))
    low_high = tr("{low} to {high}", low=tenths(difference.low), high=tenths(difference.high))
    return tr("{value} points", value=tenths(difference.value)) + f" ({low_high})"


def tenths(value: float) -> str:
    """One digit after the point, with a true minus.

    >>> tenths(-1.26), tenths(-0.01)
    ('−1.3', '0.0')
    """
    text = f"{value:.1f}"
    return "0.0" if text == "-0.0" else text.replace("-", look.MINUS)


def affordable(model: LoadedModel, examples: Examples, passes: float, most: int | None = None) -> Examples:
    """So many of the first examples that ``passes`` forward passes over them take seconds, and never only a few.

    Args:
        most: No more than these.
    """
    from pruning.macs import count_macs

    tokens = max(2, round(examples.tokens)) if examples.tokens else 1
    rows = WORK_MACS / max(1.0, passes * count_macs(model.module, tokens)[0])
    count = min(len(examples), most or len(examples), max(LEAST_ROWS[bool(examples.class_names)], int(rows)))
    return examples if count == len(examples) else examples.at(range(count))


def counted(report: Report, passes: int) -> Callable[[str | Later], Progress]:
    """Progress of a known number of passes: called at the start of each, it gives what that pass reports to."""
    started = iter(range(passes))

    def begin(step: str | Later) -> Progress:
        number = next(started)

        def progress(done: int, total: int) -> None:
            report(PARTS * number + PARTS * done // max(1, total), PARTS * passes, step)

        progress(0, 1)
        return progress

    return begin
