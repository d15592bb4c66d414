"""Which units are missed least, found with as few examples as that takes: a race by leave-one-out.

After each sample of examples every unit's rise of the loss is compared with every other's on the same examples. A unit
is decided, and not run again, once enough others are clearly above it, or below it. Where only the ranking matters this
saves most of the work; the values of units that were decided early stand on few examples.

Maron & Moore, "Hoeffding Races", NIPS 1993; for the k best, Heidrich-Meisner & Igel, "Hoeffding and Bernstein Races for
Selecting Policies in Evolutionary Direct Policy Search", ICML 2009. The bounds here are Student's, for paired
differences drawn from a finite set of examples.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from pruning.errors import PruningError
from pruning.importance.ablation import loss_rises
from pruning.importance.base import Progress
from pruning.importance.context import ScoringContext
from pruning.language import later, tr
from pruning.masks import Mask
from pruning.scopes import Scope, mask_of, unit_ids

if TYPE_CHECKING:
    from pruning.models import LoadedModel
    from pruning.tasks import Examples, Task

FIRST = 64  # examples; every later sample doubles what has been seen
ERROR_RATE = 0.05


@dataclass(frozen=True, eq=False)
class Race:
    """Who came in last.

    Attributes:
        lowest: The units that are missed least.
        samples: ``(unit,)``: how many examples each unit was run on.
        total: How many examples there are.
        rises: ``(unit,)``: mean rise of the loss on these examples.
        seconds: That it took.
        model, data: Fingerprints.
    """

    lowest: Mask
    samples: np.ndarray
    total: int
    rises: np.ndarray
    seconds: float
    model: str
    data: str

    @property
    def share(self) -> float:
        """Of the work of leave-one-out on all examples."""
        return float(self.samples.mean() / self.total)

    @property
    def statement(self) -> str:
        """What it claims, in the reader's language."""
        early = int((self.samples < self.total).sum())
        if not early:
            return tr(
                "All {units} units ran on all {total:,} examples: this is leave-one-out itself.",
                units=len(self.samples),
                total=self.total,
            )
        return tr(
            "{early} of {units} units were decided before all {total:,} examples were seen, with {share:.0%} of the "
            "work. With 95% confidence these are the units that leave-one-out on all of them would name.",
            early=early,
            units=len(self.samples),
            total=self.total,
            share=self.share,
        )


def race(
    model: LoadedModel,
    examples: Examples,
    count: int,
    *,
    scope: Scope = "heads",
    task: Task | None = None,
    batch_size: int = 32,
    seed: int = 0,
    progress: Progress | None = None,
) -> Race:
    """Find the ``count`` units whose removal raises the loss least, without the order among them.

    Args:
        seed: Of the order in which the examples are looked at.
        progress: Called with the rows that were run and those that there may be, over all units.

    Raises:
        PruningError: There are not so many units, or the model cannot be gated.
    """
    from pruning.tasks import task_of

    task, started, total = task or task_of(model), time.perf_counter(), len(examples)
    units = list(unit_ids(model.anatomy, scope))
    require_some(count, len(units), scope)
    order = np.random.default_rng(seed).permutation(total)
    ends = looks(total)
    rises = np.full((total, len(units)), np.nan)  # in the order in which the examples are looked at
    open_, chosen = np.arange(len(units)), np.zeros(len(units), bool)
    follow = progress or (lambda done, whole: None)
    for begin, end in pairwise([0, *ends]):
        some = examples.at(order[begin:end].tolist())
        step = _counted(follow, int((~np.isnan(rises)).sum()), rises.size)
        run = ScoringContext(model, task, some, batch_size, seed, step, scope)
        run.require_gates()
        rises[begin:end, open_] = loss_rises(run, open_.tolist())
        wanted = count - int(chosen.sum())
        low, high = decided(rises[:end, open_], total, wanted, ERROR_RATE / len(ends))
        chosen[open_[low]] = True
        open_ = open_[~(low | high)]
        if not len(open_):
            break
    follow(rises.size, rises.size)
    return Race(
        mask_of(scope, (unit for unit, taken in zip(units, chosen, strict=True) if taken)),
        (~np.isnan(rises)).sum(0),
        total,
        np.nanmean(rises, 0),
        time.perf_counter() - started,
        model.fingerprint,
        examples.fingerprint,
    )


def require_some(count: int, units: int, scope: Scope) -> None:
    """Refuse to look for none of the units, or for all.

    Raises:
        PruningError: With what is allowed.
    """
    if not 0 < count < units:
        raise PruningError(
            "the {count} lowest of {units} {scope} are not a question: ask for fewer than all",
            count=count,
            units=units,
            scope=later(scope),
        )


def _counted(follow: Progress, before: int, whole: int) -> Progress:
    """Progress of one sample, counted through all."""
    return lambda done, _: follow(before + done, whole)


def looks(total: int) -> list[int]:
    """After how many examples the units are compared.

    >>> looks(300)
    [64, 128, 256, 300]
    """
    ends = []
    end = FIRST
    while end < total:
        ends.append(end)
        end *= 2
    return [*ends, total]


def decided(rises: np.ndarray, total: int, wanted: int, error_rate: float) -> tuple[np.ndarray, np.ndarray]:
    """Which of the units are surely among the ``wanted`` lowest over all examples, and which are surely not.

    Args:
        rises: ``(example, unit)``, of a random sample without replacement.
        total: Size of the set that the sample is from; with all of it everything is decided.
        error_rate: Probability that any of these statements is wrong, at most.

    Returns:
        Two arrays ``(unit,)`` of truth values.
    """
    from scipy.stats import t

    seen, units = rises.shape
    means = rises.mean(0)
    if seen == total:
        order = np.argsort(means, kind="stable")
        low = np.isin(np.arange(units), order[:wanted])
        return low, ~low
    covariance = np.atleast_2d(np.cov(rises, rowvar=False))
    variances = np.diag(covariance)
    spread = np.sqrt(np.maximum(0, variances[:, None] + variances[None] - 2 * covariance))
    quantile = t.ppf(1 - error_rate / max(1, units * (units - 1)), seen - 1)
    margin = quantile * spread * np.sqrt((1 / seen) * (1 - seen / total))
    above = means[None] - means[:, None] > margin  # [unit, other]: the other is surely higher
    low = above.sum(1) >= units - wanted
    high = above.sum(0) >= wanted
    return low, high
