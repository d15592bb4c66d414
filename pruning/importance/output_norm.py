"""Output norm: how much a unit adds to the stream of hidden states.

Kobayashi et al., "Attention is Not Only a Weight: Analyzing Transformers with Vector Norms", EMNLP 2020, who measure
the norm of what attention really adds, after the output projection, and not the attention weight alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pruning.importance.base import Criterion, register
from pruning.importance.context import ScoringContext
from pruning.importance.watching import activation_means
from pruning.importance.weights import projection_columns

if TYPE_CHECKING:
    from torch import Tensor


@register
@dataclass(frozen=True)
class OutputNorm(Criterion):
    """Mean over tokens of the L2 norm of what the unit adds, for each example, without the projection's bias.

    A head's is ‖W_h x_h‖ with the columns of the output projection that read it, a neuron's |x_j| · ‖w_j‖, a layer's
    the norm of its output minus its input.
    """

    name = "output-norm"
    label = "Output norm"
    unit = "L2 norm of what is added"
    direction = "high"
    signed = False
    needs_data = True
    needs_labels = False
    needs_gradients = False
    quick = True
    cost = "one forward pass"
    about = (
        "The size of the vector that a head, neuron or layer adds to each token, averaged over tokens. "
        "It sees weights and activations together, but not whether the task needs what is added."
    )
    reference = "Kobayashi et al., Attention is Not Only a Weight, EMNLP 2020"

    def __call__(self, context: ScoringContext) -> np.ndarray:
        context.require_gates()
        if context.scope == "layers":
            return activation_means(context, lambda part, x: x.float().norm(dim=-1, keepdim=True))
        factors = _factors(context)
        measure = head_norms if context.scope == "heads" else neuron_norms
        return activation_means(context, lambda part, x: measure(x, factors[part]))


def _factors(context: ScoringContext) -> list[Tensor]:
    """For each site ``(head, rank, head_dim)``, for each block ``(neuron,)``.

    A head's is the triangular factor R of W_h = QR: ‖R x‖ = ‖W_h x‖ with ``head_dim`` numbers, not ``hidden``.
    """
    import torch

    if context.scope == "neurons":
        return [projection_columns(context, block).norm(dim=1) for block in context.model.anatomy.blocks]
    sites = context.model.anatomy.sites
    columns = [projection_columns(context, site).view(site.heads, site.head_dim, -1) for site in sites]
    return [torch.linalg.qr(each.transpose(1, 2), mode="r").R for each in columns]


def head_norms(x: Tensor, factors: Tensor) -> Tensor:
    """Norms ``(example, token, head)`` from activations ``(example, token, head * head_dim)``."""
    import torch

    heads = x.to(factors.dtype).unflatten(-1, (len(factors), -1))
    return torch.einsum("bthd,hrd->bthr", heads, factors).norm(dim=-1)


def neuron_norms(x: Tensor, factors: Tensor) -> Tensor:
    """Norms ``(example, token, neuron)`` from activations of the same shape."""
    return x.to(factors.dtype).abs() * factors
