"""Weight magnitude of a unit by the L1 norm.

Li et al., "Pruning Filters for Efficient ConvNets", ICLR 2017, who rank filters by the sum of their absolute weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pruning.importance.base import Criterion, register
from pruning.importance.context import ScoringContext
from pruning.importance.magnitude import weight_sums


@register
@dataclass(frozen=True)
class MagnitudeL1(Criterion):
    """Sum of the absolute values of the same weights as in `Magnitude`."""

    name = "magnitude-l1"
    label = "Weight magnitude (L1)"
    unit = "L1 norm of the weights"
    direction = "high"
    signed = False
    needs_data = False
    needs_labels = False
    needs_gradients = False
    quick = True
    cost = "reading the weights once"
    per_example = False
    about = (
        "The absolute values of all the weights that belong to a head, neuron or layer, added up. "
        "Compared with the L2 norm, a few large weights count for less and many small ones for more."
    )
    reference = "Li et al., Pruning Filters for Efficient ConvNets, ICLR 2017"

    def __call__(self, context: ScoringContext) -> np.ndarray:
        return weight_sums(context, lambda weight: weight.abs())
