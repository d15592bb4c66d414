"""Leave-one-out ablation: what the loss does when one head is set to zero.

Michel, Levy & Neubig, "Are Sixteen Heads Really Better than One?", NeurIPS 2019, section 3.2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pruning.importance.base import Criterion, register
from pruning.importance.context import ScoringContext


@register
@dataclass(frozen=True)
class Ablation(Criterion):
    """Loss of each example without the head minus its loss with it; negative where removing helps."""

    name = "ablation"
    label = "Leave one out"
    unit = "loss without the head − loss with it"
    direction = "high"
    signed = True
    needs_data = True
    needs_labels = True
    needs_gradients = False
    quick = False
    cost = "one forward pass per head"
    about = (
        "How much the loss rises when exactly this head is removed and all others stay. "
        "It is the plainest measure, negative where the model does better without the head, and it is slow."
    )
    reference = "Michel, Levy & Neubig, Are Sixteen Heads Really Better than One?, NeurIPS 2019"

    def __call__(self, context: ScoringContext) -> np.ndarray:
        context.require_gates()
        return loss_rises(context)


def loss_rises(context: ScoringContext) -> np.ndarray:
    """Loss of each example with one unit's gate closed minus its loss with all open, ``(example, unit)``."""
    import torch

    total = context.total_units
    with_all = context.example_losses(None, 0, total + 1)
    differences = np.zeros((context.samples, total))
    for unit in range(total):
        if context.kept[unit]:
            gates = torch.ones(total, device=context.model.device)
            gates[unit] = 0.0
            differences[:, unit] = context.example_losses(gates, unit + 1, total + 1) - with_all
    return differences
