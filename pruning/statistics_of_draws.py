"""One model against several that were drawn by lot, all on the same examples: what the mean of their differences says.

A draw tells of chance only together with other draws: a single one may be lucky. Draws and examples are crossed, and
both are samples, so there are two 95% intervals. That of the data holds for these very draws on other examples. That of
both holds for the mean of all masks that might have been drawn, on all examples: half its width is that of the data and
that of Student's t over the draws' means, squared, added and rooted (MOVER; Zou & Donner, Statistics in Medicine 2008).
What draws and examples have together (two-way random effects; Cornfield & Tukey, Ann. Math. Statist. 1956)
is in both parts, so the interval is rather too wide than too narrow; of few draws it is very wide.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pruning.errors import PruningError
from pruning.statistics import FEWEST, RESAMPLES, Estimate

if TYPE_CHECKING:
    from pruning.evaluation import Evaluation

RATIOS = ("f1", "precision", "recall")


@dataclass(frozen=True)
class Pooled:
    """The mean difference over several draws.

    Attributes:
        of_data: With the interval for these draws on other examples.
        of_both: With the interval for other draws and other examples; ``None`` for a single draw, which cannot tell how
            much draws differ.
        single: The difference of each draw.
    """

    of_data: Estimate
    of_both: Estimate | None
    single: tuple[float, ...]

    @property
    def value(self) -> float:
        return self.of_data.value

    @property
    def ahead(self) -> int:
        """How many differences are above zero."""
        return sum(one > 0 for one in self.single)


def pooled_mean(differences: np.ndarray, proportion: bool = False) -> Pooled:
    """Pool differences of a mean, such as the loss. For a single draw the interval is that of `pruning.statistics`.

    Args:
        differences: ``(draw, example)``.
        proportion: They are differences of right (1) and wrong (0). One example is added each way, so that the interval
            has a width even where nothing has flipped (Bonett & Price, J. Educ. Behav. Stat. 2012).
    """
    plain = np.asarray(differences, dtype=np.float64)
    single, count = plain.mean(1), plain.shape[1]
    if not proportion:
        variance = float(plain.mean(0).var(ddof=1)) / count if count > 1 else math.inf
        return _pooled(single, single, variance, count - 1)
    padded = np.pad(plain, ((0, 0), (0, 2)))
    padded[:, -2:] = 1.0, -1.0
    variance = float(padded.mean(0).var()) / (count + 2)
    return _pooled(single, padded.mean(1), variance, math.inf, limit=1.0)


def pooled_statistic(single: np.ndarray, resampled: np.ndarray, count: int = FEWEST) -> Pooled:
    """Pool differences of any statistic, such as F1.

    Args:
        single: ``(draw,)``.
        resampled: ``(resample, draw)``: the same of bootstrap resamples of the examples, the same ones for every draw.
        count: Of the examples; below `FEWEST` there is no interval.
    """
    found = np.asarray(single, dtype=np.float64)
    variance = float(np.asarray(resampled).mean(1).var(ddof=1)) if count >= FEWEST else math.inf
    return _pooled(found, found, variance, math.inf, limit=1.0)


def _pooled(
    single: np.ndarray, centres: np.ndarray, variance: float, freedom: float, limit: float = math.inf
) -> Pooled:
    """Both intervals.

    Args:
        centres: Of the intervals, ``(draw,)``; their mean need not be that of ``single``.
        variance, freedom: Of the mean over these draws, as far as it comes from the examples.
        limit: No difference can be larger.
    """
    value, centre, draws = float(single.mean()), float(centres.mean()), len(single)
    of_examples = _half(variance, freedom)
    of_data, of_both = _interval(value, centre, of_examples, limit), None
    if draws > 1:
        of_draws = _half(float(centres.var(ddof=1)) / draws, draws - 1)
        of_both = _interval(value, centre, math.hypot(of_examples, of_draws), limit)
    return Pooled(of_data, of_both, tuple(map(float, single)))


def _half(variance: float, freedom: float) -> float:
    """Half the width of a 95% interval; infinite where the variance is not known."""
    from scipy.stats import t

    return float(t.ppf(0.975, freedom)) * math.sqrt(variance) if math.isfinite(variance) else math.inf


def _interval(value: float, centre: float, half: float, limit: float) -> Estimate:
    if not math.isfinite(half):
        return Estimate(value, -math.inf, math.inf)
    return Estimate(value, min(value, max(-limit, centre - half)), max(value, min(limit, centre + half)))


# Evaluations -----------------------------------------------------------------------------------------------------


def pooled_differences(before: Sequence[Evaluation], after: Sequence[Evaluation], seed: int = 0) -> dict[str, Pooled]:
    """The pooled differences of every metric, ``after`` minus ``before``, one pair a draw.

    Args:
        before, after: Complete evaluations; one of the two is the same model again and again.

    Raises:
        PruningError: They are not of the same examples.
    """
    first = before[0]
    if any(one.data != first.data or not np.array_equal(one.positions, first.positions) for one in (*before, *after)):
        raise PruningError("draws are pooled on the same examples, and these evaluations are of different ones")

    def differences(name: str) -> np.ndarray:
        pairs = zip(before, after, strict=True)
        return np.stack([getattr(b.outcome, name) - getattr(a.outcome, name) for a, b in pairs])

    classes = bool(first.class_names)
    found = {"accuracy": pooled_mean(differences("hits"), proportion=classes)}
    found |= {"loss": pooled_mean(differences("losses")), "confidence": pooled_mean(differences("confidences"))}
    return found | _resampled(before, after, seed) if classes else found


def _resampled(before: Sequence[Evaluation], after: Sequence[Evaluation], seed: int) -> dict[str, Pooled]:
    """Of the metrics that are no means; every model is resampled with the same examples.

    The examples are sorted first, as in `pruning.evaluation`, so that their order does not matter.
    """
    count, order = before[0].samples, _order(before, after)
    draws = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=RESAMPLES // 4)
    weights = np.concatenate([np.ones((1, count)), draws])  # the first row is the sample itself
    known = {id(one): _statistics(one, order, weights) for one in (*before, *after)}
    # (draw, metric, 1 + resample)
    found = np.stack([known[id(b)] - known[id(a)] for a, b in zip(before, after, strict=True)])
    names = (*RATIOS, "calibration_error")
    return {name: pooled_statistic(found[:, i, 0], found[:, i, 1:].T, count) for i, name in enumerate(names)}


def _order(before: Sequence[Evaluation], after: Sequence[Evaluation]) -> np.ndarray:
    """The examples by their classes before their confidences, which another processor rounds otherwise."""
    from pruning.calibration import bin_of

    models = [one.outcome for one in (*before, *after)]
    sure = [outcome.confidences for outcome in models]
    return np.lexsort((*sure, *map(bin_of, sure), *(outcome.predicted for outcome in models), before[0].targets))


def _statistics(one: Evaluation, order: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """F1, precision, recall and calibration error under each row of weights, ``(metric, row)``.

    Args:
        order: In which the examples are taken.
    """
    from pruning.tasks.classification import calibration_error, ratios

    names, outcome = np.eye(len(one.class_names)), one.outcome
    actual, claimed = names[one.targets[order]], names[outcome.predicted[order]]  # (example, class)
    scores = ratios(weights @ (actual * claimed), weights @ claimed, weights @ actual)
    return np.vstack([scores, calibration_error(outcome.confidences[order], outcome.hits[order], weights)])
