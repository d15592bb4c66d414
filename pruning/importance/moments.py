"""Sums over all tokens of all examples, where a criterion is not a mean over examples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pruning.anatomy import AttentionSite, MLPSite
from pruning.importance.context import ScoringContext
from pruning.importance.watching import check_seen, kept_units, watch_activations
from pruning.importance.weights import by_unit, projection_columns

if TYPE_CHECKING:
    from torch import Tensor

    from pruning.tasks import Batch

ROUNDING = 1e-12  # of float64 sums over very many tokens


@dataclass(frozen=True, eq=False)
class Moments:
    """Sums over tokens, in float64, so that neither their number nor the batch size matters.

    Attributes:
        count: Number of tokens.
        total: Sum of the activations, ``(width,)``.
        products: Sum of their squares, ``(width,)``, or of their products with each other, ``(width, width)``.
    """

    count: int
    total: Tensor
    products: Tensor

    @property
    def variance(self) -> Tensor:
        """Sample variance of each activation, ``(width,)``; 0 where there is only one token."""
        return self._centred(self.total.square()) / max(1, self.count - 1)

    @property
    def covariance(self) -> Tensor:
        """Centred products, summed over tokens, ``(width, width)``."""
        return self._centred(self.total.outer(self.total))

    def _centred(self, of_totals: Tensor) -> Tensor:
        """Products about the mean; 0 where the difference is no more than rounding, so that what is constant is so."""
        centred = self.products - of_totals / self.count
        return centred * (centred.abs() > ROUNDING * self.products.abs())


def measure_moments(context: ScoringContext, crossed: bool = False) -> list[Moments]:
    """One pass over the examples: the moments of what reaches each part's projection.

    Args:
        crossed: Products of all pairs, not squares alone.

    Raises:
        UnsupportedError: A part was not seen.
    """
    found: dict[int, Moments] = {}

    def look(batch: Batch, part: int, x: Tensor) -> None:
        rows = x.reshape(-1, x.shape[-1]).double()
        new = Moments(len(rows), rows.sum(0), rows.t() @ rows if crossed else rows.square().sum(0))
        old = found.get(part)
        found[part] = new if old is None else _added(old, new)

    watch_activations(context, look)
    parts = range(len(context.sizes))
    check_seen(context, [part in found for part in parts])
    return [found[part] for part in parts]


def input_scores(context: ScoringContext, value: Callable[[Tensor, Moments], Tensor]) -> np.ndarray:
    """Sums over each unit's inputs of the projection, ``(unit,)``; 0 for what is removed.

    Args:
        value: Columns of the projection ``(in, out)`` and moments of its inputs to a value of each input, ``(in,)``.
    """
    anatomy = context.model.anatomy
    parts: tuple[AttentionSite | MLPSite, ...] = anatomy.sites if context.scope == "heads" else anatomy.blocks
    found = [
        by_unit(part, value(projection_columns(context, part).double(), moments))
        for part, moments in zip(parts, measure_moments(context), strict=True)
    ]
    return np.concatenate([each.cpu().numpy() for each in found]) * kept_units(context)


def _added(one: Moments, other: Moments) -> Moments:
    return Moments(one.count + other.count, one.total + other.total, one.products + other.products)
