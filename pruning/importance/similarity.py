"""Similarity: how much a head says what the other heads of its site say already, by linear CKA.

Kornblith et al., "Similarity of Neural Network Representations Revisited", ICML 2019, section 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pruning.importance.base import Criterion, register
from pruning.importance.context import ScoringContext
from pruning.importance.moments import measure_moments
from pruning.importance.watching import kept_units

if TYPE_CHECKING:
    from torch import Tensor


@register
@dataclass(frozen=True)
class Similarity(Criterion):
    """Mean linear CKA of a head with the other heads of its site, between 0 and 1; low counts as important.

    Over all tokens of all examples, of the heads as the output projection reads them. Heads that the setting removes
    do not count, and a head without others is similar to nothing: 0.
    """

    name = "similarity"
    scopes = ("heads",)
    label = "Similarity to other heads"
    unit = "mean linear CKA"
    direction = "low"
    signed = False
    needs_data = True
    needs_labels = False
    needs_gradients = False
    quick = True
    cost = "one forward pass"
    per_example = False
    may_tie = True  # two heads are as similar to each other
    about = (
        "How alike the outputs of a head and of the other heads in the same place are, from 0 to 1. "
        "A head that resembles the others is redundant, so low values count as important; the labels play no part."
    )
    reference = "Kornblith et al., Similarity of Neural Network Representations Revisited, ICML 2019"

    def __call__(self, context: ScoringContext) -> np.ndarray:
        kept = np.split(kept_units(context), np.cumsum(context.sizes)[:-1])
        moments = measure_moments(context, crossed=True)
        values = []
        for site, there, found in zip(context.model.anatomy.sites, kept, moments, strict=True):
            alike = linear_cka(found.covariance, site.heads).cpu().numpy() * there * there[:, None]
            others = max(1.0, there.sum() - 1)
            values.append((alike.sum(1) - alike.diagonal()) / others)
        return np.concatenate(values)


def linear_cka(covariance: Tensor, heads: int) -> Tensor:
    """Linear CKA of every pair of heads, ‖Y'X‖² / (‖X'X‖ ‖Y'Y‖), ``(head, head)``; 0 where a head is constant.

    Args:
        covariance: Centred products of the heads side by side, ``(heads * head_dim, heads * head_dim)``.
    """
    blocks = covariance.unflatten(0, (heads, -1)).unflatten(2, (heads, -1))  # (head, dim, head, dim)
    norms = blocks.square().sum((1, 3))
    own = norms.diagonal().sqrt()
    return (norms / own.outer(own)).nan_to_num(0.0)
