"""The negative control: the absolute gradient turned upside down."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pruning.importance.base import Criterion, register
from pruning.importance.context import ScoringContext
from pruning.importance.gradient import gate_gradients


@register
@dataclass(frozen=True)
class Reversed(Criterion):
    """Minus the absolute gradient: the heads that matter most go first."""

    name = "reversed"
    label = "Reversed (control)"
    unit = "−|∂ loss / ∂ gate|"
    direction = "high"
    signed = False
    needs_data = True
    needs_labels = True
    needs_gradients = True
    quick = True
    cost = "one forward and backward pass"
    about = (
        "The absolute gradient upside down, so that the most important heads are removed first. "
        "A criterion that does no better than this one measures nothing."
    )
    reference = "Michel, Levy & Neubig, NeurIPS 2019, reversed as a negative control"

    def __call__(self, context: ScoringContext) -> np.ndarray:
        return -np.abs(gate_gradients(context))
