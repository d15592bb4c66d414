"""Wanda: weight magnitude times the norm of the activation that the weight reads, summed over a unit.

Sun et al., "A Simple and Effective Pruning Approach for Large Language Models", ICLR 2024, section 3, for single
weights; here summed over the unit's columns of its projection, as structured pruning needs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pruning.importance.base import Criterion, register
from pruning.importance.context import ScoringContext
from pruning.importance.moments import input_scores


@register
@dataclass(frozen=True)
class Wanda(Criterion):
    """Sum over the unit's inputs j of the projection and over its outputs i of |W_ij| · ‖X_j‖.

    ‖X_j‖ is the L2 norm of input j over all tokens of all examples, so it grows with their number.
    """

    name = "wanda"
    scopes = ("heads", "neurons")
    label = "Wanda"
    unit = "Σ |weight| · ‖activation‖"
    direction = "high"
    signed = False
    needs_data = True
    needs_labels = False
    needs_gradients = False
    quick = True
    cost = "one forward pass"
    per_example = False
    about = (
        "The weights that read a head or neuron, each times the size of what it reads over all examples. "
        "Small weights on large activations count as much as large weights on small ones."
    )
    reference = "Sun et al., A Simple and Effective Pruning Approach for Large Language Models, ICLR 2024"

    def __call__(self, context: ScoringContext) -> np.ndarray:
        return input_scores(context, lambda columns, moments: columns.abs().sum(1) * moments.products.sqrt())
