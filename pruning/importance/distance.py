"""Attention distance: how far from its own position a head looks.

Vig & Belinkov, "Analyzing the Structure of Attention in a Transformer Language Model", BlackboxNLP 2019,
which describes heads by it. That near is important is the reading of Voita et al., ACL 2019, where heads that look at a
neighbour are among the last to go.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pruning.importance.base import Criterion, register
from pruning.importance.context import ScoringContext
from pruning.importance.watching import attention_means

if TYPE_CHECKING:
    from torch import Tensor


@register
@dataclass(frozen=True)
class AttentionDistance(Criterion):
    """Mean over queries i of Σ_j p_ij · |i − j|, for each example, in tokens; near counts as important.

    Positions are those in the sequences that the attention receives: patches of an image or of a window in reading
    order, and in cross attention i counts in the decoder's sequence and j in the encoder's.
    """

    name = "distance"
    scopes = ("heads",)
    label = "Attention distance"
    unit = "tokens"
    direction = "low"
    signed = False
    needs_data = True
    needs_labels = False
    needs_gradients = False
    quick = True
    cost = "one forward pass"
    about = (
        "How many tokens away a head looks on average; image patches count in reading order. "
        "Heads that look near by count as important here, which fits heads that follow the word order best."
    )
    reference = "Vig & Belinkov, Analyzing the Structure of Attention in a Transformer Language Model, BlackboxNLP 2019"

    def __call__(self, context: ScoringContext) -> np.ndarray:
        return attention_means(context, mean_distance)


def mean_distance(weights: Tensor) -> Tensor:
    """How far each query looks: ``(batch, head, query, key)`` to ``(batch, head, query)``."""
    import torch

    queries, keys = (torch.arange(size, device=weights.device) for size in weights.shape[-2:])
    return (weights * (queries[:, None] - keys).abs()).sum(-1)
