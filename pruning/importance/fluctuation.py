"""Fluctuation: how much a unit's activations vary over the examples, weighed by the weights that read them.

An et al., "Fluctuation-based Adaptive Structured Pruning for Large Language Models" (FLAP), AAAI 2024; here without its
standardisation across layers. What does not vary could be replaced by its mean, which goes into a bias.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pruning.importance.base import Criterion, register
from pruning.importance.context import ScoringContext
from pruning.importance.moments import input_scores


@register
@dataclass(frozen=True)
class Fluctuation(Criterion):
    """Sum over the unit's inputs j of the projection of the sample variance of X_j, over all tokens, times ‖W_j‖²."""

    name = "fluctuation"
    scopes = ("heads", "neurons")
    label = "Fluctuation"
    unit = "Σ variance · ‖weights‖²"
    direction = "high"
    signed = False
    needs_data = True
    needs_labels = False
    needs_gradients = False
    quick = True
    cost = "one forward pass"
    per_example = False
    about = (
        "How much what a head or neuron adds varies from token to token around its mean. "
        "What hardly varies can be replaced by its mean, so this fits mean ablation and compensation best."
    )
    reference = "An et al., Fluctuation-based Adaptive Structured Pruning for Large Language Models, AAAI 2024"

    def __call__(self, context: ScoringContext) -> np.ndarray:
        return input_scores(context, lambda columns, moments: columns.square().sum(1) * moments.variance)
