"""Absolute gradient of the loss at the head's gate.

Michel, Levy & Neubig, "Are Sixteen Heads Really Better than One?", NeurIPS 2019, section 4.1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pruning.errors import UnsupportedError
from pruning.importance.base import Criterion, register
from pruning.importance.context import ScoringContext


@register
@dataclass(frozen=True)
class AbsoluteGradient(Criterion):
    """Mean over examples of |∂ loss of that example / ∂ gate|, whatever the batch size."""

    name = "gradient"
    label = "Absolute gradient"
    unit = "|∂ loss / ∂ gate|"
    direction = "high"
    signed = False
    needs_data = True
    needs_labels = True
    needs_gradients = True
    quick = True
    cost = "one forward and backward pass"
    about = (
        "How strongly the loss of an example reacts when a head is turned down a little, averaged over examples. "
        "It is quick and works well until many heads are gone, because each head is judged with all others present."
    )
    reference = "Michel, Levy & Neubig, Are Sixteen Heads Really Better than One?, NeurIPS 2019"

    def __call__(self, context: ScoringContext) -> np.ndarray:
        return np.abs(gate_gradients(context))


def gate_gradients(context: ScoringContext, gate: float = 1.0, done: int = 0, total: int = 1) -> np.ndarray:
    """Signed gradients of each example's own loss where all gates have one value, ``(example, unit)``.

    They are 0 for what is removed. This is pass ``done`` of ``total`` for the progress.

    Each example of a batch has its own copy of the gates, so one backward pass gives the gradients of all of them; a
    model that mixes the examples of a batch gets one at a time.
    They are taken with ``torch.autograd.grad``, so nothing is written to the shared parameters.
    """
    import torch

    context.require_gates()
    gradients = np.empty((context.samples, context.total_units))
    seen = 0
    alone = None if context.model.anatomy.per_example else 1
    for batch in context.batches(alone):
        size = len(batch.positions)
        gates = torch.full((size, context.total_units), gate, device=context.model.device, requires_grad=True)
        with torch.enable_grad(), context.gates(gates):
            losses = context.losses(batch)
            if not losses.requires_grad:  # Reformer's reversible layers
                raise UnsupportedError(
                    "{model} takes no gradients at its heads: choose a criterion without", model=context.model.spec.name
                )
            (gradient,) = torch.autograd.grad(losses.sum(), gates)
        gradients[list(batch.positions)] = gradient.double().cpu().numpy()
        seen += size
        context.progress(done * context.samples + seen, total * context.samples)
    return gradients
