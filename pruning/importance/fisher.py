"""Empirical Fisher information of the unit's gate: the squared gradient of each example's loss.

Molchanov et al., "Importance Estimation for Neural Network Pruning", CVPR 2019, for gates; for attention heads and
neurons Kwon et al., "A Fast Post-Training Pruning Framework for Transformers", NeurIPS 2022.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pruning.importance.base import Criterion, register
from pruning.importance.context import ScoringContext
from pruning.importance.gradient import gate_gradients


@register
@dataclass(frozen=True)
class Fisher(Criterion):
    """(∂ loss / ∂ gate)² of each example; the mean over examples is the diagonal of the empirical Fisher matrix."""

    name = "fisher"
    label = "Fisher information"
    unit = "(∂ loss / ∂ gate)²"
    direction = "high"
    signed = False
    needs_data = True
    needs_labels = True
    needs_gradients = True
    quick = True
    cost = "one forward and backward pass"
    about = (
        "The square of how strongly each example's loss reacts when a unit is turned down a little, averaged. "
        "It is like the absolute gradient, but gives more weight to the few examples that need the unit most."
    )
    reference = (
        "Molchanov et al., Importance Estimation for Neural Network Pruning, CVPR 2019; "
        "Kwon et al., A Fast Post-Training Pruning Framework for Transformers, NeurIPS 2022"
    )

    def __call__(self, context: ScoringContext) -> np.ndarray:
        return np.square(gate_gradients(context))
