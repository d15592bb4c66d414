"""The smallest model that loses no more than so many points of accuracy, confirmed on examples kept apart.

The search sees 60% of the examples. The others confirm: sizes of cut are tested one after another, from the smallest
cut to the largest, and the first that cannot be confirmed ends it. In such a fixed sequence every test may use the
whole 5% (Maurer, Hothorn & Lehmacher 1995; as "fixed sequence testing" in Angelopoulos et al., "Learn then Test",
2021), so with 95% confidence none of the confirmed sizes loses more.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from pruning.errors import UnsupportedError
from pruning.masks import Mask
from pruning.plan import Guarantee, Plan
from pruning.search.budget import BudgetError, PlanError
from pruning.search.context import PROGRESS_STEPS
from pruning.search.planning import Planner, Request, search
from pruning.wording import english

if TYPE_CHECKING:
    from pruning.importance.base import Progress
    from pruning.models import LoadedModel
    from pruning.tasks import Examples, Task

CONFIRM_SHARE = 0.4  # of the examples
SIZES = 24  # of cut, that are tested
SIZE_STEPS = 20  # of progress, that confirming one of them is worth
ERROR_RATE = 0.05
Z = 1.6448536269514722  # one-sided 95%
NUISANCE = 48  # rates of examples that become right, at which the bound has to hold


def split(examples: Examples, seed: int) -> tuple[Examples, Examples]:
    """Examples for the search and examples that confirm, drawn by the seed; none is in both."""
    order = np.random.default_rng(seed).permutation(len(examples)).tolist()
    confirm = round(CONFIRM_SHARE * len(examples))
    return examples.at(sorted(order[confirm:])), examples.at(sorted(order[:confirm]))


def guaranteed(
    model: LoadedModel,
    examples: Examples,
    points: float,
    request: Request | None = None,
    *,
    task: Task | None = None,
    progress: Progress | None = None,
) -> Plan:
    """The largest cut that is confirmed to lose no more than ``points`` of accuracy, with 95% confidence.

    Where not even the smallest is, the plan removes nothing and says how many examples it would take.

    Args:
        points: Percentage points of accuracy, above 0 and below 100.
        progress: Called with the parts done and their number: first of the search, then of the sizes to confirm.

    Raises:
        PlanError: The points are out of range, or there are too few examples to split.
        UnsupportedError: The task has no classes, so that no example is plainly right or wrong.
    """
    if not 0 < points < 100:
        raise PlanError("{points:g} points cannot be guaranteed: more than 0 and less than 100 can", points=points)
    if not examples.class_names:
        raise UnsupportedError("a guarantee in points of accuracy needs a task with classes, such as classification")
    if len(examples) < 5:
        raise PlanError(
            "{examples} examples are too few: some have to be kept apart to confirm", examples=len(examples)
        )
    request = request or Request()
    if request.compensation != "none":  # it would be fitted on the rows that confirm
        raise PlanError("a guarantee holds for a cut without compensation: leave the compensation out")
    apart, confirm = split(examples, request.seed)
    steps = PROGRESS_STEPS + SIZE_STEPS * (SIZES + 1)
    report = progress or (lambda done, total: None)
    planner = search(model, apart, request, task=task, progress=lambda done, total: report(done, steps))
    confirmed, flips, tested = Mask(), (0, 0), 0
    whole = _hits(planner, confirm, Mask())
    for mask in _sizes(planner):
        report(PROGRESS_STEPS + SIZE_STEPS * (1 + tested), steps)
        hits = _hits(planner, confirm, mask)
        found = int((hits < whole).sum()), int((hits > whole).sum())
        tested += 1
        holds = upper_bound(*found, len(confirm)) <= points / 100
        if holds or tested == 1:
            flips = found
        if not holds:
            break
        confirmed = mask
    report(steps, steps)
    statement = _statement(points, flips, len(confirm), tested, bool(confirmed))
    return replace(planner.plan_of(confirmed, None), guarantee=statement)


def _sizes(planner: Planner) -> list[Mask]:
    """Masks from the smallest cut to the largest, by the share that is left of what the request may remove."""
    scopes = planner.request.scopes
    gauge = planner.gauge(scopes[0] if len(scopes) == 1 else "macs")
    lowest = gauge.share(planner.found.most())
    masks: list[Mask] = []
    for share in np.linspace(1, lowest, SIZES + 1)[1:]:
        try:
            mask = planner.found.mask_for(gauge, float(share) * (1 + 1e-9))
        except BudgetError:  # the very last share may be missed by a rounding
            continue
        if mask and mask not in masks:
            masks.append(mask)
    return masks


def _hits(planner: Planner, examples: Examples, mask: Mask) -> np.ndarray:
    """Which examples the masked model gets right, ``(example,)``."""
    from pruning.evaluation import evaluate

    context = planner.context
    found = evaluate(context.model, examples, mask, task=context.task, batch_size=context.batch_size)
    return found.outcome.hits


def upper_bound(worse: int, better: int, count: int) -> float:
    """One-sided 95% upper bound on the loss of accuracy, as a share, from paired examples.

    Exact by construction (Buehler 1957): the largest loss under which an outcome as good as this one, or better, still
    has a probability of 5%, whatever the rate of examples that become right. Outcomes are ordered by the adjusted Wald
    bound of Bonett & Price (J. Educ. Behav. Stat. 2012), which is sharp; used alone it covers too little where few
    examples flip, which is where guarantees are made.
    """
    if worse >= count:
        return 1.0
    others = np.arange(count + 1)
    limits = _most_worse(adjusted_bound(worse, better, count), others, count)
    low, high = max(0.0, (worse - better) / count), 1.0
    while high - low > 1e-5:
        middle = (low + high) / 2
        low, high = (middle, high) if _chance(middle, limits, others, count) > ERROR_RATE else (low, middle)
    return high


def adjusted_bound(worse: float | np.ndarray, better: float | np.ndarray, count: int) -> np.ndarray:
    """Bonett and Price's upper bound: one flip of each kind is added, and two examples."""
    p, q = (np.asarray(worse) + 1) / (count + 2), (np.asarray(better) + 1) / (count + 2)
    return p - q + Z * np.sqrt(np.maximum(0, p + q - (p - q) ** 2) / (count + 2))


def _most_worse(bound: np.ndarray, better: np.ndarray, count: int) -> np.ndarray:
    """For each number of examples that became right, how many may have become wrong for an outcome as good as that."""
    low, high = np.full(len(better), -1), count - better
    while (low < high).any():  # the bound grows with the examples that become wrong
        middle = -((-low - high) // 2)
        fits = adjusted_bound(middle, better, count) <= bound * (1 + 1e-12) + 1e-15
        low, high = np.where(fits, middle, low), np.where(fits, high, middle - 1)
    return low


def _chance(loss: float, limits: np.ndarray, better: np.ndarray, count: int) -> float:
    """The largest probability of an outcome within the limits, over the rates of examples that become right."""
    from scipy.stats import binom

    most = (1 - loss) / 2
    rates = np.unique(np.concatenate([[0.0], np.geomspace(1e-3 / count, 1, NUISANCE) * most]))[:, None]
    inside = np.clip((loss + rates) / (1 - rates), 0, 1)  # of becoming wrong, given that it does not become right
    within = binom.cdf(limits, np.maximum(count - better, 0), inside)
    return float((binom.pmf(better, count, rates) * np.where(limits < 0, 0.0, within)).sum(1).max())


def _statement(points: float, flips: tuple[int, int], count: int, tested: int, confirmed: bool) -> Guarantee:
    """The result in figures and words."""
    worse, better = flips
    bound, lost = 100 * upper_bound(worse, better, count), 100 * (worse - better) / count
    needed = None if confirmed else _needed(points / 100, worse, better, count)
    found = Guarantee(points, bound, lost, confirmed, count, tested, "", needed)
    return replace(found, message=english(found.said))


def _needed(share: float, worse: int, better: int, count: int) -> int | None:
    """About how many examples in all, at the rates of flips that were seen; at least what no flip at all needs."""
    loss, flips = (worse - better) / count, (worse + better) / count
    if loss >= share:
        return None
    least = math.log(ERROR_RATE) / math.log(1 - share)
    confirm = max(least, (Z / (share - loss)) ** 2 * (flips - loss**2))
    return math.ceil(confirm / CONFIRM_SHARE / 10) * 10
