"""Fusion: several criteria as one, by the weighted mean of their ranks.

Borda's count (1784; rank aggregation as in Dwork et al., "Rank Aggregation Methods for the Web", WWW 2001). Ranks need
no common scale, so a norm, a gradient and a variance can be put together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pruning.errors import PruningError
from pruning.importance.base import (
    Criterion,
    ImportanceMap,
    Progress,
    Sampled,
    check_alike,
    get_criterion,
    ragged,
    register,
)
from pruning.importance.context import ScoringContext
from pruning.importance.watching import kept_units
from pruning.language import later
from pruning.wording import both

STEPS = 1000  # of progress for each criterion: they count in units of their own


@register
@dataclass(frozen=True)
class Fusion(Criterion):
    """Weighted mean of the normalised ranks that several criteria give to a unit: 0 least important, 1 most.

    Attributes:
        names: The criteria.
        weights: One for each of them; empty for all alike.
    """

    names: tuple[str, ...] = ("fisher", "output-norm", "fluctuation")
    weights: tuple[float, ...] = ()

    name = "fusion"
    scopes = ("heads", "neurons")
    label = "Fusion of criteria"
    unit = "mean normalised rank"
    direction = "high"
    signed = False
    needs_data = True
    needs_labels = True
    needs_gradients = True
    quick = True
    cost = "one pass for each criterion in it"
    per_example = False
    may_tie = True
    about = (
        "Ranks every unit by Fisher information, output norm and fluctuation, and averages the three ranks. "
        "A unit counts as important where different ways of looking agree, so one misled criterion does less harm."
    )
    reference = "Dwork et al., Rank Aggregation Methods for the Web, WWW 2001 (Borda's count)"

    def __call__(self, context: ScoringContext) -> np.ndarray:
        chosen = [_part(name, context) for name in self.names]
        _check_weights(self.weights, len(chosen))
        kept = kept_units(context) > 0
        ranks = []
        for done, criterion in enumerate(chosen):
            found = criterion(replace(context, progress=_share(context, done, len(chosen))))
            ranks.append(normalised_ranks(_sign(criterion) * _values(found)[kept]))
            context.progress((done + 1) * STEPS, len(chosen) * STEPS)
        fused = np.zeros(len(kept))
        fused[kept] = np.average(ranks, axis=0, weights=self.weights or None)
        return fused


def fuse(maps: Sequence[ImportanceMap], weights: Sequence[float] | None = None) -> ImportanceMap:
    """One map from several: the weighted mean of their normalised ranks, in keep order.

    Args:
        weights: One for each map; all alike by default.

    Raises:
        PruningError: The maps are of different models, scopes or shapes, or the weights do not fit.
    """
    check_alike(maps)
    _check_weights(weights or (), len(maps))
    ranks = [normalised_ranks(one.sign * one.flat()) for one in maps]
    fused = np.average(ranks, axis=0, weights=list(weights) if weights else None)
    return replace(
        maps[0],
        criterion=Fusion.name,
        values=ragged(fused, tuple(map(len, maps[0].values))),
        samples=max(one.samples for one in maps),
        seconds=sum(one.seconds for one in maps),
        data=" ".join(sorted({one.data for one in maps} - {""})),
        made=max(one.made for one in maps),
        standard_errors=(),
        label_free=any(one.label_free for one in maps),
        scores=None,
    )


def normalised_ranks(keep: np.ndarray) -> np.ndarray:
    """Ranks from 0 (least important) to 1, ``(unit,)``; equals share the mean of their ranks."""
    from scipy.stats import rankdata

    return (rankdata(keep) - 1) / max(1, len(keep) - 1)


def _part(name: str, context: ScoringContext) -> Criterion:
    if name == Fusion.name:
        raise PruningError("a fusion cannot hold a fusion: name other criteria")
    criterion = get_criterion(name)
    if context.scope not in criterion.scopes:
        raise PruningError(
            "{name} is not defined for {scope}, so it cannot be fused: it scores {known}",
            name=name,
            scope=later(context.scope),
            known=both(criterion.scopes),
        )
    return criterion()


def _check_weights(weights: Sequence[float], count: int) -> None:
    if not count:
        raise PruningError("there is nothing to fuse: name at least one criterion")
    if weights and len(weights) != count:
        raise PruningError(
            "there are {weights} weights for {count} criteria: give one for each", weights=len(weights), count=count
        )
    if weights and not (all(math.isfinite(w) and w >= 0 for w in weights) and sum(weights) > 0):
        raise PruningError(
            "weights must not be negative, and one must be above 0: {weights}", weights=", ".join(map(str, weights))
        )


def _share(context: ScoringContext, done: int, count: int) -> Progress:
    def progress(part: int, whole: int) -> None:
        context.progress(done * STEPS + STEPS * part // max(1, whole), count * STEPS)

    return progress


def _sign(criterion: Criterion) -> float:
    return 1.0 if criterion.direction == "high" else -1.0


def _values(found: np.ndarray | Sampled) -> np.ndarray:
    if isinstance(found, Sampled):
        return found.values
    return found.mean(axis=0) if found.ndim == 2 else found
