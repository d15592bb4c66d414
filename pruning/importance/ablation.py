"""Leave-one-out ablation: what the loss does when one head is set to zero.

Michel, Levy & Neubig, "Are Sixteen Heads Really Better than One?", NeurIPS 2019, section 3.2.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pruning.importance.base import Criterion, register
from pruning.importance.context import ScoringContext
from pruning.scopes import mask_of

if TYPE_CHECKING:
    from torch import Tensor

    from pruning.replay import Tape
    from pruning.tasks import Batch


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

    A batch is run once in full; without a unit it is run again only from that unit's layer on, and where a batch is
    small, several units of one part are left out side by side.

    Args:
        chosen: Which units, counted through all parts; the columns of the result. All of them by default.
    """
    import torch

    from pruning.replay import Tape

    kept, starts = context.kept, np.cumsum((0, *context.sizes))
    chosen = range(context.total_units) if chosen is None else chosen
    parts: dict[int, list[tuple[int, int]]] = {}  # its units, with their columns
    for column, unit in enumerate(chosen):
        if kept[unit]:
            part = int(np.searchsorted(starts, unit, "right")) - 1
            parts.setdefault(part, []).append((column, unit - int(starts[part])))
    rises, done = np.zeros((context.samples, len(chosen))), 0
    total = context.samples * sum(map(len, parts.values()))
    with torch.inference_mode(), context.in_setting():
        for batch in context.batches():
            tape = Tape()
            whole = context.losses(batch, tape)
            for part, units in parts.items():
                for columns, losses in _without(context, batch, tape, part, units):
                    rises[np.ix_(batch.positions, columns)] = (losses - whole[:, None]).double().cpu().numpy()
                    done += len(batch.positions) * len(columns)
                    context.progress(done, total)
    return rises


def _without(
    context: ScoringContext, batch: Batch, tape: Tape, part: int, units: Sequence[tuple[int, int]]
) -> Iterator[tuple[list[int], Tensor]]:
    """Columns, and the losses ``(example, column)`` of a batch without each of these units of one part."""
    from pruning.gating import part_gates

    rows, first = len(batch.positions), sum(context.sizes[:part])
    own = context.kept[first : first + context.sizes[part]]
    start = context.runner.start_of(mask_of(context.scope, [(part, units[0][1])]), tape)
    together = max(1, context.batch_size // rows) if context.model.anatomy.per_example and batch.stacks else 1
    known: dict[int, tuple[Batch, Tape]] = {1: (batch, tape)}
    for begin in range(0, len(units), together):
        columns, removed = zip(*units[begin : begin + together], strict=True)
        count = len(removed)
        if count not in known:
            known[count] = batch.repeated(count), tape.repeated(count, start)
        gates = own.repeat(count, 1)
        gates[range(count), list(removed)] = 0.0
        gate = gates.repeat_interleave(rows, 0) if count > 1 else gates[0]
        with part_gates(context.runner.model, context.scope, part, gate):
            losses = context.losses(*known[count], start=start, notes=False)
        yield list(columns), losses.view(count, rows).t()
