"""Heads and neurons together by Fisher information, then rearranged inside each part.

Kwon et al., "A Fast Post-Training Pruning Framework for Transformers", NeurIPS 2022, sections 4.1 and 4.2.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pruning.masks import Mask
from pruning.scopes import SCOPES, Scope, sizes_of, units_of
from pruning.search.base import Bundle, RemovalOrder, Search, Strategy, register, smallest
from pruning.search.budget import Gauge
from pruning.search.context import SearchContext, flat_mask

KNOTS = 128  # neuron counts at which the gauge is read while the split between heads and neurons is looked for
ROUNDS = 10  # of swaps over a part; they end earlier, as soon as none helps


@register
@dataclass(frozen=True)
class JointFisher(Strategy):
    """Chooses the split between heads and neurons that loses the least Fisher information.

    Attributes:
        rearrange: Whether units of a part are swapped afterwards, by the part's full Fisher matrix.
    """

    name = "fisher"
    label = "Fisher search with rearrangement"
    scopes = ("heads", "neurons")
    measure = "fisher"
    cost = "one forward and backward pass for each scope"
    about = (
        "Weighs heads against neurons by the squared gradients of their gates and finds the split that loses least "
        "within the budget. Then it swaps units inside each part, so that those that stand in for each other do not "
        "both go."
    )
    reference = "Kwon et al., A Fast Post-Training Pruning Framework for Transformers, NeurIPS 2022"

    rearrange: bool = True

    def __call__(self, context: SearchContext) -> FisherSearch:
        from pruning.importance.gradient import gate_gradients

        examples = context.required_examples(self.name)
        gradients = {}
        for position, scope in enumerate(context.scopes):
            gradients[scope] = gate_gradients(context.scoring(scope, examples)).astype(np.float32)
            context.part(position + 1, len(context.scopes))(0, 1)
        return FisherSearch(context, gradients, self.rearrange)


@dataclass(frozen=True, eq=False)
class FisherSearch(Search):
    """Answers budgets one by one: other than in a removal order, a larger cut need not contain a smaller one.

    Attributes:
        gradients: By scope, ``(example, unit)``.
    """

    context: SearchContext
    gradients: dict[Scope, np.ndarray]
    rearrange: bool = True

    @cached_property
    def columns(self) -> dict[Bundle, np.ndarray]:
        """Gradient of each example at the gate of what goes together, ``(example,)``."""
        starts = {scope: np.cumsum((0, *sizes_of(self.context.model.anatomy, scope))) for scope in self.gradients}
        return {
            bundle: np.sum([self.gradients[scope][:, starts[scope][part] + unit] for scope, part, unit in bundle], 0)
            for bundle in self.context.bundles
        }

    @cached_property
    def loss(self) -> dict[Bundle, float]:
        """Diagonal of the Fisher information: the mean squared gradient of each bundle."""
        return {bundle: float(np.square(column, dtype=np.float64).mean()) for bundle, column in self.columns.items()}

    @cached_property
    def orders(self) -> dict[Scope, RemovalOrder]:
        """Each scope's bundles, those that lose least for what they save first."""
        macs = self.context.macs
        order = self.context.order(sorted(self.loss, key=lambda bundle: (self.loss[bundle] / macs[bundle], bundle)))
        return {
            scope: RemovalOrder(tuple(step for step in order.steps if step[0].scope == scope), order.spared)
            for scope in self.context.scopes
        }

    def most(self) -> Mask:
        return flat_mask(step for order in self.orders.values() for step in order.usual)

    def mask_for(self, gauge: Gauge, share: float) -> Mask:
        """The split that loses least, rearranged."""
        if len(self.orders) == 1 or (share == 0 and gauge.kind in SCOPES):
            mask = self._by_one_scope(gauge, share)
        else:
            mask = self._by_two(gauge, share)
        return self._rearranged(mask, gauge, share) if self.rearrange else mask

    def _by_one_scope(self, gauge: Gauge, share: float) -> Mask:
        """Where one scope has to pay for all; of two, the one that the budget is about."""
        scope = gauge.kind if gauge.kind in self.orders else next(iter(self.orders))
        return self.orders[scope].mask_for(gauge, share)  # type: ignore[index]

    def _by_two(self, gauge: Gauge, share: float) -> Mask:
        """Try every number of heads, fill with neurons, take what loses least (Kwon et al., algorithm 1)."""
        heads, neurons = self.orders["heads"].usual, self.orders["neurons"].usual
        if not gauge.meets(self.most(), share):
            raise gauge.unreachable(share, self.most())
        lost_heads, lost_neurons = (np.cumsum([0.0, *(self.loss[s] for s in steps)]) for steps in (heads, neurons))
        sizes = np.unique(np.linspace(0, len(neurons), KNOTS).round().astype(int))
        saved = np.array([gauge.whole - gauge.amount(flat_mask(neurons[:size])) for size in sizes])
        splits = []
        for count in range(len(heads) + 1):
            missing = gauge.amount(flat_mask(heads[:count])) - share * gauge.whole
            if missing <= saved[-1] * (1 + 1e-9):
                size = int(np.ceil(np.interp(missing, saved, sizes))) if missing > 0 else 0
                splits.append((lost_heads[count] + lost_neurons[size], count))
        count = min(splits)[1]
        steps = (*heads[:count], *neurons)
        return flat_mask(steps[: smallest(steps, gauge, share, count)])

    def _rearranged(self, mask: Mask, gauge: Gauge, share: float) -> Mask:
        """Swap inside each part while that lowers the Fisher loss of what goes (Kwon et al., section 4.2)."""
        parts: dict[tuple[Scope, int], list[Bundle]] = defaultdict(list)
        for bundle in self.loss:
            parts[bundle[0].scope, bundle[0].part].append(bundle)
        for (scope, _), bundles in parts.items():
            gone = units_of(mask, scope)
            removed = np.array([bundle[0][1:] in gone for bundle in bundles])
            swapped = swap(np.stack([self.columns[bundle] for bundle in bundles], 1), removed)
            if (swapped == removed).all():
                continue
            out = flat_mask(bundle for bundle, was in zip(bundles, removed, strict=True) if was)
            back = flat_mask(bundle for bundle, now in zip(bundles, swapped, strict=True) if now)
            changed = (mask - out) | back
            if gauge.meets(changed, share):  # not so where a swap breaks a key-value group that went as a whole
                mask = changed
        return mask


def swap(gradients: np.ndarray, removed: np.ndarray) -> np.ndarray:
    """Exchange removed units for others, one by one, while that lowers the loss of removing them together.

    The loss is ``s' F s`` with ``F`` the Fisher matrix of the part and ``s`` 1 for what is removed; the diagonal alone,
    as in the first choice, does not see that two units push the same examples the same way.

    Args:
        gradients: ``(example, unit)``.
        removed: ``(unit,)``, of bools.
    """
    if removed.all() or not removed.any():
        return removed
    fisher = gradients.astype(np.float64).T @ gradients / len(gradients)  # (unit, unit)
    own, chosen = fisher.diagonal(), removed.copy()
    pull = fisher @ chosen  # (unit,): of all that is removed on each unit
    for _ in range(ROUNDS):
        before = chosen.copy()
        for out in np.flatnonzero(before):
            rise = own + 2 * (pull - fisher[:, out]) + own[out] - 2 * pull[out]
            rise[chosen] = np.inf
            best = int(rise.argmin())
            if rise[best] < -1e-9 * own.max():
                chosen[out], chosen[best] = False, True
                pull += fisher[:, best] - fisher[:, out]
        if (chosen == before).all():
            break
    return chosen
