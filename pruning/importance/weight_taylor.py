"""First-order Taylor over the unit's own weights.

Molchanov et al., "Importance Estimation for Neural Network Pruning", CVPR 2019, for filters; summed over all the
weights that go with a unit as in Fang et al., "DepGraph: Towards Any Structural Pruning", CVPR 2023.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from pruning.errors import UnsupportedError
from pruning.importance.base import Criterion, register
from pruning.importance.context import ScoringContext
from pruning.importance.magnitude import weight_sums

if TYPE_CHECKING:
    from torch import nn

    from pruning.models import LoadedModel


@register
@dataclass(frozen=True)
class WeightTaylor(Criterion):
    """Sum over the unit's weights of |w · ∂L/∂w|, L the mean loss over the examples."""

    name = "weight-taylor"
    label = "Weight × gradient"
    unit = "Σ |w · ∂ loss / ∂ w|"
    direction = "high"
    signed = False
    needs_data = True
    needs_labels = True
    needs_gradients = True
    quick = True
    cost = "one forward and backward pass"
    per_example = False
    about = (
        "How much the loss hangs on the very weights of a head: query, key, value and output. Layers differ in scale, "
        "so compare heads within a layer, or normalise by layer."
    )
    reference = (
        "Molchanov et al., Importance Estimation for Neural Network Pruning, CVPR 2019; "
        "Fang et al., DepGraph, CVPR 2023"
    )

    def __call__(self, context: ScoringContext) -> np.ndarray:
        twin = self._twin(context)
        products = self._products(context, twin)
        quiet = replace(context, progress=lambda done, total: None, setting=replace(context.setting, compensation=None))
        return weight_sums(quiet, lambda weight: weight.abs(), products)

    def _twin(self, context: ScoringContext) -> LoadedModel:
        """The model in its setting, sharing all weights, with gradients for them: the shared one has none."""
        from pruning.copying import twin_of

        module = twin_of(context.model.module, needs_gradients=True)
        if context.setting.compensation is not None:
            context.setting.compensation.write(module, context.model.anatomy)
        return context.model.with_module(module)

    def _products(self, context: ScoringContext, twin: LoadedModel) -> nn.Module:
        """The twin with each weight replaced by its product with the mean loss's derivative by it."""
        import torch

        from pruning.gating import gated
        from pruning.tasks import forward

        assert context.task is not None
        if next(twin.module.parameters()).dtype != torch.float32:
            raise UnsupportedError("{criterion} needs the weights in float32", criterion=self.name)
        weights = [parameter.requires_grad_() for parameter in twin.module.parameters()]
        sums = [torch.zeros_like(weight) for weight in weights]
        seen = 0
        with gated(twin, context.setting.mask, context.setting.means):
            for batch in context.batches():
                with torch.enable_grad():
                    loss = context.task.losses(forward(twin.module, batch), batch).sum()
                    gradients = torch.autograd.grad(loss, weights, allow_unused=True)
                for total, gradient in zip(sums, gradients, strict=True):
                    if gradient is not None:
                        total += gradient
                seen += len(batch.positions)
                context.progress(seen, context.samples)
        for weight, total in zip(weights, sums, strict=True):
            weight.data = weight.detach() * total / context.samples
        return twin.module
