"""Random scores: what pruning costs without knowing anything."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pruning.importance.base import Criterion, register
from pruning.importance.context import ScoringContext


@register
@dataclass(frozen=True)
class Random(Criterion):
    """Uniform random numbers from the seed."""

    name = "random"
    label = "Random"
    unit = "random number"
    direction = "high"
    signed = False
    needs_data = False
    needs_labels = False
    needs_gradients = False
    quick = True
    cost = "nothing"
    about = (
        "Heads, neurons or layers in an order drawn by lot, the same for the same seed. "
        "Any criterion that knows something should, over several seeds, beat it."
    )
    reference = "Baseline of Blalock et al., What is the State of Neural Network Pruning?, MLSys 2020"

    def __call__(self, context: ScoringContext) -> np.ndarray:
        return np.random.default_rng(context.seed).random(context.total_units)
