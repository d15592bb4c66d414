"""Leave-one-out ablation where the unit's mean takes its place.

Wang et al., "Interpretability in the Wild: a Circuit for Indirect Object Identification in GPT-2 Small", ICLR 2023,
for mean ablation; Michel, Levy & Neubig, NeurIPS 2019, for leaving out one unit at a time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from pruning.importance.ablation import loss_rises
from pruning.importance.base import Criterion, register
from pruning.importance.context import ScoringContext


@register
@dataclass(frozen=True)
class MeanAblation(Criterion):
    """Loss of each example with the unit held at its mean minus its loss with the unit as it is."""

    name = "mean-ablation"
    label = "Leave one out (mean)"
    unit = "loss with the unit's mean − loss with it"
    direction = "high"
    signed = True
    needs_data = True
    needs_labels = True
    needs_gradients = False
    quick = False
    cost = "one forward pass per unit, and one for the means"
    about = (
        "How much the loss rises when this unit says the same for every input: its mean over the calibration examples. "
        "What a unit always adds does not count, because a bias can replace it; it is as slow as leaving one out."
    )
    reference = "Wang et al., Interpretability in the Wild, ICLR 2023; Michel, Levy & Neubig, NeurIPS 2019"

    def __call__(self, context: ScoringContext) -> np.ndarray:
        context.require_gates()
        return loss_rises(_with_means(context))


def _with_means(context: ScoringContext) -> ScoringContext:
    """Let closed gates put in means: those of the setting, or those of the model in the setting.

    Measured there, the mean of a unit that was removed for good is what stands in for it: zero. So it stays zero.
    """
    from pruning.means import measure_means

    if context.setting.means is not None:
        return context
    assert context.examples is not None
    means = measure_means(context.model, context.examples, context.batch_size)
    return replace(context, setting=replace(context.setting, means=means))
