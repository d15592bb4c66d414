"""Attention confidence: how much of its attention a head gives to the token that it looks at most.

Voita et al., "Analyzing Multi-Head Self-Attention: Specialized Heads Do the Heavy Lifting, the Rest Can Be Pruned",
ACL 2019, section 4; there without the end-of-sentence token, here over every token.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pruning.importance.base import Criterion, register
from pruning.importance.context import ScoringContext
from pruning.importance.watching import attention_means


@register
@dataclass(frozen=True)
class AttentionConfidence(Criterion):
    """Mean over queries of the largest attention weight, for each example, between 0 and 1."""

    name = "confidence"
    scopes = ("heads",)
    label = "Attention confidence"
    unit = "largest attention weight"
    direction = "high"
    signed = False
    needs_data = True
    needs_labels = False
    needs_gradients = False
    quick = True
    cost = "one forward pass"
    about = (
        "How large a share of its attention a head gives to the one token that it looks at most, averaged over tokens. "
        "Sure heads count as important; a head that always looks at the same empty token is sure, too."
    )
    reference = "Voita et al., Analyzing Multi-Head Self-Attention, ACL 2019"

    def __call__(self, context: ScoringContext) -> np.ndarray:
        return attention_means(context, lambda weights: weights.amax(-1))
