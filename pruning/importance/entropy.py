"""Entropy of the attention weights.

Ghader & Monz, "What does Attention in Neural Machine Translation Pay Attention to?", IJCNLP 2017; used to describe
heads by Clark et al., "What Does BERT Look At?", BlackboxNLP 2019.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pruning.importance.base import Criterion, register
from pruning.importance.context import ScoringContext
from pruning.importance.watching import attention_means


@register
@dataclass(frozen=True)
class AttentionEntropy(Criterion):
    """Mean over queries of −Σ p ln p, for each example, in nats; low entropy counts as important."""

    name = "entropy"
    scopes = ("heads",)
    label = "Attention entropy"
    unit = "nats"
    direction = "low"
    signed = False
    needs_data = True
    needs_labels = False
    needs_gradients = False
    quick = True
    cost = "one forward pass"
    about = (
        "How widely a head spreads its attention: 0 when it looks at one token, the logarithm of the length when it "
        "looks at all alike. Focused heads count as important here; the task's labels play no part."
    )
    reference = "Clark et al., What Does BERT Look At?, BlackboxNLP 2019"

    def __call__(self, context: ScoringContext) -> np.ndarray:
        import torch

        return attention_means(context, lambda weights: torch.special.entr(weights).sum(-1))
