"""Backward elimination by measured loss.

The wrapper method of Kohavi & John, "Wrappers for feature subset selection", Artificial Intelligence 1997, with heads
and layers for features.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pruning.importance.context import Setting
from pruning.masks import Mask
from pruning.scopes import sizes_of, units_of
from pruning.search.base import Bundle, RemovalOrder, Strategy, Unit, register
from pruning.search.budget import PlanError
from pruning.search.context import SearchContext, flat_mask, sample

if TYPE_CHECKING:
    from torch import Tensor

    from pruning.tasks import Batch, Examples


@register
@dataclass(frozen=True)
class Greedy(Strategy):
    """Removes what raises the mean loss least, measured, and looks again.

    Attributes:
        rows: Examples that the loss is measured on, drawn by the seed; 0 takes all.
        step: Units (or groups) that go after each look.
        candidates: How many are tried at each look: those with the lowest squared gradient (Fisher); 0 tries all.
    """

    name = "greedy"
    label = "Greedy"
    scopes = ("heads", "layers")
    measure = "measured loss"
    cost = "a few passes over the rows for each unit"
    about = (
        "Tries what the loss is without each of a few candidates and removes the one that is missed least, again and "
        "again. Slow, but it measures what others estimate."
    )
    reference = "Kohavi & John, Wrappers for Feature Subset Selection, Artificial Intelligence 1997"

    rows: int = 128
    step: int = 2
    candidates: int = 6

    def __post_init__(self) -> None:
        if min(self.rows, self.candidates) < 0 or self.step < 1:
            raise PlanError(
                "{settings} is not possible: rows and candidates are 0 or more, step is 1 or more", settings=self
            )

    def __call__(self, context: SearchContext) -> RemovalOrder:
        rows = sample(context.required_examples(self.name), self.rows, context.seed)
        total = len(context.bundles)
        done: list[Bundle] = []
        waiting = list(context.bundles)
        while waiting:
            tried = self._candidates(context, rows, waiting, done) if len(waiting) > 1 else waiting
            if len(tried) > self.step:
                losses = mean_losses(context, rows, [flat_mask(done)] + [flat_mask([*done, one]) for one in tried])
                tried = _by_rise(context, tried, losses)
            done += tried[: self.step]
            waiting = context.alive([one for one in waiting if one not in set(done)], flat_mask(done))
            context.part(len(done), total)(0, 1)
        context.part(total, total)(0, 1)
        return context.order(done)

    def _candidates(
        self, context: SearchContext, rows: Examples, waiting: list[Bundle], done: list[Bundle]
    ) -> list[Bundle]:
        """The bundles whose gates have the lowest squared gradient, at least as many as go in one step."""
        count = max(self.candidates, self.step)
        if not self.candidates or len(waiting) <= count:
            return waiting
        rank = context.rank(squared_gradients(context, rows, Setting(flat_mask(done))))
        return sorted(waiting, key=lambda bundle: (rank[bundle], bundle))[:count]


def _by_rise(context: SearchContext, tried: list[Bundle], losses: np.ndarray) -> list[Bundle]:
    """Least rise of the loss first; of several scopes, least rise per MAC saved."""
    several = len(context.scopes) > 1
    rises = [
        rise / (context.macs[one] if several else 1) for one, rise in zip(tried, losses[1:] - losses[0], strict=True)
    ]
    return [tried[i] for i in sorted(range(len(tried)), key=lambda i: (rises[i], tried[i]))]


def squared_gradients(context: SearchContext, rows: Examples, setting: Setting) -> dict[Unit, float]:
    """Mean over examples of (∂ loss of that example / ∂ gate)², by unit."""
    from pruning.importance.gradient import gate_gradients
    from pruning.scopes import unit_ids

    found: dict[Unit, float] = {}
    for scope in context.scopes:
        scoring = context.scoring(scope, rows, setting)
        with scoring.in_setting():
            values = (gate_gradients(scoring) ** 2).mean(0)
        units = unit_ids(context.model.anatomy, scope)
        found |= {Unit(scope, *unit): float(value) for unit, value in zip(units, values, strict=True)}
    return found


def mean_losses(context: SearchContext, rows: Examples, masks: Sequence[Mask]) -> np.ndarray:
    """Mean loss under each of the masks, ``(mask,)``.

    Where a model lets each example of a batch have gates of its own, all masks share a forward pass.
    """
    import torch

    from pruning.tasks import batches

    together = len(masks) if context.model.anatomy.per_example else 1
    size = max(1, context.batch_size // together)
    sums = np.zeros(len(masks))
    for batch in batches(rows, size, context.model.device):
        with torch.inference_mode():
            for start in range(0, len(masks), together):
                chosen = masks[start : start + together]
                losses = _losses(context, batch, chosen).double().view(-1, len(chosen)).sum(0)
                sums[start : start + together] += losses.cpu().numpy()
    return sums / len(rows)


def _losses(context: SearchContext, batch: Batch, masks: Sequence[Mask]) -> Tensor:
    """Loss of each example under each mask, ``(example * mask,)``, the masks of one example beside each other."""
    import torch

    from pruning.gating import unit_gates
    from pruning.tasks import Batch, forward

    count, size = len(masks), len(batch.positions)
    inputs = {name: value.repeat_interleave(count, 0) for name, value in batch.inputs.items()}
    targets = None if batch.targets is None else batch.targets.repeat_interleave(count, 0)
    wide = Batch(tuple(position for position in batch.positions for _ in masks), inputs, targets)
    with ExitStack() as stack:
        for scope in context.scopes:
            sizes = sizes_of(context.model.anatomy, scope)
            starts = np.cumsum((0, *sizes))
            gates = torch.ones(count, sum(sizes), device=context.model.device)
            for row, mask in enumerate(masks):
                gates[row, [int(starts[part]) + unit for part, unit in units_of(mask, scope)]] = 0.0
            gates = gates.repeat(size, 1) if count > 1 else gates[0]
            stack.enter_context(unit_gates(context.model, gates, scope))
        assert context.task is not None
        return context.task.losses(forward(context.model.module, wide), wide)
