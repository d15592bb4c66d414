"""Signed gradient at the unit's gate: the first-order estimate of what the loss does when the unit goes.

Molchanov et al., "Pruning Convolutional Neural Networks for Resource Efficient Inference", ICLR 2017, section 2.2,
before the absolute value is taken.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pruning.importance.base import Criterion, register
from pruning.importance.context import ScoringContext
from pruning.importance.gradient import gate_gradients


@register
@dataclass(frozen=True)
class SignedGradient(Criterion):
    """−∂ loss / ∂ gate of each example: closing the gate moves it from 1 to 0, by −1."""

    name = "signed-gradient"
    label = "Signed gradient"
    unit = "−∂ loss / ∂ gate"
    direction = "high"
    signed = True
    needs_data = True
    needs_labels = True
    needs_gradients = True
    quick = True
    cost = "one forward and backward pass"
    about = (
        "A straight-line guess at how much the loss rises when this unit is removed, negative where it should fall. "
        "The guess holds for small changes only: what looks harmful is often what the model relies on most."
    )
    reference = "Molchanov et al., Pruning Convolutional Neural Networks for Resource Efficient Inference, ICLR 2017"

    def __call__(self, context: ScoringContext) -> np.ndarray:
        return 0.0 - gate_gradients(context)  # not -x, which makes -0.0 of the zeros of removed units
