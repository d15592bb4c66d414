"""How sure a ranking is, and how far two rankings agree: bootstrap intervals over the examples.

Efron & Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13 (percentile intervals). Ranks from fewer
examples agree less, so intervals of agreement reach further down than up; each holds the value itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from pruning.errors import PruningError
from pruning.importance.base import Criterion, ImportanceMap, Progress, check_alike
from pruning.statistics import Estimate, percentile_interval

if TYPE_CHECKING:
    import pandas as pd

    from pruning.models import LoadedModel
    from pruning.tasks import Examples

RESAMPLES = 500  # of rankings
MEANS = 1000  # resamples of each unit's mean
CHUNK = 512  # units at a time
T = TypeVar("T")
Measure = Callable[[np.ndarray, np.ndarray], np.ndarray]
Intervals = tuple[tuple[Estimate, ...], ...]  # [part][unit]


@dataclass(frozen=True)
class Agreement:
    """Agreement of two rankings of the same units, from the least to the most important.

    Attributes:
        spearman: Spearman's rank correlation.
        kendall: Kendall's tau-b.
        overlap: Share of the ``k`` least important units that both rankings have in common.
        resampled: Whether the intervals come from resampling examples; without scores of examples there is nothing to
            resample, and each interval is the value itself.
    """

    spearman: Estimate
    kendall: Estimate
    overlap: Estimate
    k: int
    resampled: bool


def head_intervals(importance: ImportanceMap, level: float = 0.95, seed: int = 0) -> Intervals | None:
    """An interval of each unit's importance, ``[part][unit]``, in the map's own unit.

    The bootstrap over examples where the map holds their scores, else the normal interval of the standard error, and
    ``None`` where there is neither.

    Raises:
        PruningError: The level is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise PruningError("a level of {level} is not possible: give one between 0 and 1, like 0.95", level=level)
    values = importance.flat()
    if importance.scores is not None and _has_scores(importance):
        low, high = _bootstrap_means(importance.scores, level, seed)
    elif importance.standard_errors:
        from scipy.stats import norm

        half = norm.ppf((1 + level) / 2) * np.array([error for row in importance.standard_errors for error in row])
        low, high = values - half, values + half
    else:
        return None
    found = iter(Estimate(*map(float, one)) for one in zip(values, low, high, strict=True))
    return tuple(tuple(next(found) for _ in row) for row in importance.values)


def agree(a: ImportanceMap, b: ImportanceMap, k: int | None = None, seed: int = 0) -> Agreement:
    """How far two maps rank the same units alike, with 95% intervals.

    Where both score the same examples, these are resampled together; else each map that scores examples by itself.

    Args:
        k: How many of the least important units to compare; a quarter of them by default.

    Raises:
        PruningError: The maps are of different models, scopes or shapes, or there are fewer than ``k`` units.
    """
    check_alike((a, b))
    k = _checked_k(k, len(a.flat()))
    resampled = _resampled_pair(a, b, seed)

    def estimate(measure: Measure) -> Estimate:
        value = float(measure(_keep(a), _keep(b))[0])
        return percentile_interval(value, measure(*resampled)) if resampled else Estimate(value, value, value)

    shared = estimate(lambda one, two: overlap(one, two, k))
    return Agreement(estimate(spearman), estimate(kendall), shared, k, resampled is not None)


def agreement_matrix(maps: Sequence[ImportanceMap]) -> pd.DataFrame:
    """Spearman's correlation of every pair of maps, in keep order; rows and columns are named by their criteria.

    Raises:
        PruningError: The maps are of different models, scopes or shapes.
    """
    import pandas as pd

    check_alike(maps)
    names = [one.criterion for one in maps]
    rows = [[float(spearman(_keep(one), _keep(two))[0]) for two in maps] for one in maps]
    return pd.DataFrame(rows, index=names, columns=names)


def stability(
    model: LoadedModel,
    criterion: Criterion | str,
    examples: Examples,
    sizes: Sequence[int] = (16, 64, 256),
    seeds: Sequence[int] = (0, 1, 2),
    *,
    k: int | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> pd.DataFrame:
    """How near the ranking from fewer examples comes to the ranking from all of them.

    Subsets are drawn without replacement, one for each size and seed. A criterion that scores each example by itself
    is run once, and subsets of its scores averaged, which gives the same numbers; others are run on each subset.

    Args:
        k: How many of the least important units to compare; a quarter of them by default.
        progress: Called with the rankings that are done and how many there are; it may raise `Cancelled`.
        options: Handed on to `score`.

    Returns:
        Columns ``size``, ``seed``, ``spearman`` and ``overlap``; both compare with the ranking from all examples.

    Raises:
        PruningError: There are fewer examples than a size asks for, or the criterion looks at none.
    """
    import pandas as pd

    from pruning.importance.scoring import score

    _check_sizes(sizes, len(examples))
    total = 1 + len(sizes) * len(seeds)
    rows: list[tuple[int, int, float, float]] = []

    def scored(some: Examples) -> ImportanceMap:
        follow = (lambda done, whole: progress(len(rows), total)) if progress else None
        return score(model, criterion, some, progress=follow, **options)

    full = scored(examples)
    if not full.samples:
        raise PruningError(
            "{criterion} looks at no examples, so its ranking does not depend on their number", criterion=full.criterion
        )
    k = _checked_k(k, full.flat().size)
    for size in sizes:
        for seed in seeds:
            chosen = subset_rows(len(examples), size, seed)
            if full.scores is None:
                keep = _keep(scored(examples.at(chosen.tolist())))
            else:
                keep = full.sign * full.scores[chosen].mean(axis=0, keepdims=True)
            near = float(spearman(keep, _keep(full))[0]), float(overlap(keep, _keep(full), k)[0])
            rows.append((size, seed, *near))
            if progress:
                progress(1 + len(rows), total)
    return pd.DataFrame(rows, columns=["size", "seed", "spearman", "overlap"])


def subset_rows(count: int, size: int, seed: int) -> np.ndarray:
    """``size`` of ``count`` positions, drawn without replacement, ascending."""
    return np.sort(np.random.default_rng(seed).choice(count, size, replace=False))


# Coefficients ------------------------------------------------------------------------------------------------------
# of keep values ``(ranking, unit)``, or ``(1, unit)`` for one ranking against many, to ``(ranking,)``


def spearman(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Spearman's rank correlation; nan where one side tells no units apart."""
    from scipy.stats import rankdata

    one, two = (ranks - ranks.mean(axis=1, keepdims=True) for ranks in (rankdata(a, axis=1), rankdata(b, axis=1)))
    spread = np.sqrt((one**2).sum(axis=1) * (two**2).sum(axis=1))
    return np.divide((one * two).sum(axis=1), spread, out=np.full(len(spread), np.nan), where=spread > 0)


def kendall(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Kendall's tau-b; nan where one side tells no units apart."""
    from scipy.stats import kendalltau

    one, two = np.broadcast_arrays(a, b)
    return np.atleast_1d(kendalltau(one, two, axis=1).statistic)


def overlap(a: np.ndarray, b: np.ndarray, k: int) -> np.ndarray:
    """Share of the ``k`` lowest units in common; equals stay in the model's order."""
    return (_lowest(a, k) & _lowest(b, k)).sum(axis=1) / k


def _lowest(keep: np.ndarray, k: int) -> np.ndarray:
    """Which units are among the ``k`` lowest, ``(ranking, unit)``."""
    found = np.zeros(keep.shape, dtype=bool)
    np.put_along_axis(found, np.argsort(keep, axis=1, kind="stable")[:, :k], True, axis=1)
    return found


# Resampling -------------------------------------------------------------------------------------------------------


def _keep(importance: ImportanceMap) -> np.ndarray:
    """``(1, unit)``, turned so that more is always more important."""
    return importance.sign * importance.flat()[None]


def _draws(samples: int, count: int, generator: np.random.Generator) -> np.ndarray:
    """How often each example is drawn in each resample, as a share, ``(resample, example)``."""
    return generator.multinomial(samples, np.full(samples, 1 / samples), size=count) / samples


def _resampled_pair(a: ImportanceMap, b: ImportanceMap, seed: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Keep values of both maps in each resample, ``(resample or 1, unit)``; ``None`` where neither has scores."""
    generator = np.random.default_rng(seed)
    draws: dict[tuple[str, int], np.ndarray] = {}  # by the examples, so that the same ones are drawn for both maps

    def keep(one: ImportanceMap) -> np.ndarray:
        if not _has_scores(one):
            return _keep(one)
        key = (one.data, one.samples)
        if key not in draws:
            draws[key] = _draws(one.samples, RESAMPLES, generator)
        return one.sign * (draws[key] @ one.scores)

    pair = keep(a), keep(b)
    return pair if draws else None


def _has_scores(importance: ImportanceMap) -> bool:
    return importance.scores is not None and len(importance.scores) > 1


def _bootstrap_means(scores: np.ndarray, level: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Percentile interval of each unit's mean, in chunks of units: neurons are many."""
    draws = _draws(len(scores), MEANS, np.random.default_rng(seed))
    ends = (1 - level) / 2, (1 + level) / 2
    chunks = [scores[:, start : start + CHUNK] for start in range(0, scores.shape[1], CHUNK)]
    low, high = np.concatenate([np.quantile(draws @ chunk, ends, axis=0) for chunk in chunks], axis=1)
    return np.minimum(low, scores.mean(axis=0)), np.maximum(high, scores.mean(axis=0))


def _checked_k(k: int | None, units: int) -> int:
    if units < 2:
        raise PruningError("a ranking needs at least two units: this model has {units}", units=units)
    if k is None:
        return max(1, units // 4)
    if not 1 <= k <= units:
        raise PruningError("k = {k} is not possible: give 1 to {units}, the number of units", k=k, units=units)
    return k


def _check_sizes(sizes: Sequence[int], count: int) -> None:
    for size in sizes:
        if not 1 <= size <= count:
            raise PruningError("a subset of {size} examples is not possible: there are {count}", size=size, count=count)
