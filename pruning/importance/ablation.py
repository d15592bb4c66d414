"""Leave-one-out ablation: what the loss does when one head is set to zero.

Michel, Levy & Neubig, "Are Sixteen Heads Really Better than One?", NeurIPS 2019, section 3.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pruning.importance.base import Criterion, register
from pruning.importance.context import ScoringContext
from pruning.scopes import mask_of, unit_ids


@register
@dataclass(frozen=True)
class Ablation(Criterion):
    """Loss of each example without the head minus its loss with it; negative where removing helps."""

    name = "ablation"
    label = "Leave one out"
    unit = "loss without the head − loss with it"
    direction = "high"
    signed = True
    needs_data = True
    needs_labels = True
    needs_gradients = False
    quick = False
    cost = "one forward pass per head"
    about = (
        "How much the loss rises when exactly this head is removed and all others stay. "
        "It is the plainest measure, negative where the model does better without the head, and it is slow."
    )
    reference = "Michel, Levy & Neubig, Are Sixteen Heads Really Better than One?, NeurIPS 2019"

    def __call__(self, context: ScoringContext) -> np.ndarray:
        context.require_gates()
        return loss_rises(context)


def loss_rises(context: ScoringContext, chosen: Sequence[int] | None = None) -> np.ndarray:
    """Loss of each example with one unit's gate closed minus its loss with all open, ``(example, unit)``.

    A batch is run once in full; without a unit it is run again only from that unit's layer on.

    Args:
        chosen: Which units, counted through all parts; the columns of the result. All of them by default.
    """
    import torch

    from pruning.gating import part_gates
    from pruning.replay import Tape

    runner, kept, starts = context.runner, context.kept, np.cumsum((0, *context.sizes))
    everything = list(unit_ids(context.model.anatomy, context.scope))
    chosen = range(context.total_units) if chosen is None else chosen
    units = [(column, *everything[unit]) for column, unit in enumerate(chosen) if kept[unit]]
    rises, done = np.zeros((context.samples, len(chosen))), 0
    with torch.inference_mode(), context.in_setting():
        for batch in context.batches():
            tape = Tape()
            whole = context.losses(batch, tape)
            for column, part, unit in units:
                gate = kept[starts[part] : starts[part + 1]].clone()
                gate[unit] = 0.0
                start = runner.start_of(mask_of(context.scope, [(part, unit)]), tape)
                with part_gates(runner.model, context.scope, part, gate):
                    rise = context.losses(batch, tape, start=start, notes=False) - whole
                rises[list(batch.positions), column] = rise.double().cpu().numpy()
                done += len(batch.positions)
                context.progress(done, context.samples * len(units))
    return rises
