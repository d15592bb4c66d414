"""Integrated gradients along the straight line from all gates closed to all gates open.

Sundararajan, Taly & Yan, "Axiomatic Attribution for Deep Networks", ICML 2017; for attention Hao et al.,
"Self-Attention Attribution: Interpreting Information Interactions Inside Transformer", AAAI 2021.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pruning.errors import PruningError
from pruning.importance.base import Criterion, register
from pruning.importance.context import ScoringContext
from pruning.importance.gradient import gate_gradients


@register
@dataclass(frozen=True)
class IntegratedGradients(Criterion):
    """−∫ ∂ loss / ∂ gate dα with every gate at α, from 0 to 1, for each example.

    The values of all units add up to the loss with all units closed minus the loss with all open, but for the error of
    the sum that stands for the integral (Gauss–Legendre: exact for polynomials of degree ``2 * steps - 1``).

    Attributes:
        steps: Points on the line.
    """

    steps: int = 16

    name = "integrated-gradients"
    label = "Integrated gradients"
    unit = "share of the loss that all units take away"
    direction = "high"
    signed = True
    needs_data = True
    needs_labels = True
    needs_gradients = True
    quick = False
    cost = "one forward and backward pass for each of 16 steps"
    about = (
        "All units are faded in together, and each gets its share of how far the loss falls on the way. "
        "The shares add up to the whole fall; they say little about a model that loses only a few units."
    )
    reference = "Sundararajan, Taly & Yan, Axiomatic Attribution for Deep Networks, ICML 2017; Hao et al., AAAI 2021"

    def __call__(self, context: ScoringContext) -> np.ndarray:
        if self.steps < 1:
            raise PruningError("steps is {steps}: it must be 1 or more", steps=self.steps)
        points, weights = np.polynomial.legendre.leggauss(self.steps)  # on [-1, 1]
        total = np.zeros((context.samples, context.total_units))
        for step, (point, weight) in enumerate(zip(points, weights, strict=True)):
            total -= weight / 2 * gate_gradients(context, (point + 1) / 2, step, self.steps)
        return total
