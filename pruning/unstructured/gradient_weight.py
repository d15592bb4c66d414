"""Connection sensitivity: the size of a weight times the loss's derivative by it.

Lee, Ajanthan & Torr, "SNIP: Single-shot Network Pruning based on Connection Sensitivity", ICLR 2019, here for a model
that is trained already.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pruning.unstructured.base import WeightContext, WeightScore, register

if TYPE_CHECKING:
    from torch import Tensor


@register
@dataclass(frozen=True)
class GradientWeight(WeightScore):
    """|w · ∂ L / ∂ w|, L the mean loss over the examples."""

    name = "gradient-weight"
    label = "Weight times gradient"
    compare = "global"
    needs_data = True
    about = (
        "Weights go first whose removal changes the loss least, to first order. It needs labels and one backward pass."
    )
    reference = "Lee, Ajanthan & Torr, SNIP, ICLR 2019"

    def __call__(self, context: WeightContext) -> dict[str, Tensor]:
        import torch

        from pruning.tasks import forward

        assert context.task is not None
        weights = [context.parameter(path) for path in context.paths]
        sums = [torch.zeros_like(weight) for weight in weights]
        for batch in context.batches():
            with torch.enable_grad():
                loss = context.task.losses(forward(context.module, batch), batch).sum()
                gradients = torch.autograd.grad(loss, weights, allow_unused=True)
            for total, gradient in zip(sums, gradients, strict=True):
                if gradient is not None:
                    total += gradient
        parts = zip(context.paths, sums, strict=True)
        scale = len(context.positions)
        return {path: (context.weight(path) * context.oriented(path, total) / scale).abs() for path, total in parts}
