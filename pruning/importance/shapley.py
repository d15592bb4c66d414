"""Shapley values of units by sampling permutations.

Castro, Gómez & Tejada, "Polynomial calculation of the Shapley value based on sampling", Computers & Operations Research
2009; for parts of a network Ghorbani & Zou, "Neuron Shapley", NeurIPS 2020. Each permutation is taken with its reverse
(Mitchell et al., "Sampling Permutations for Shapley Value Estimation", JMLR 2022).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count

import numpy as np

from pruning.errors import PruningError
from pruning.importance.base import Criterion, Sampled, register
from pruning.importance.context import ScoringContext

Value = Callable[[np.ndarray], float]  # units present, ``(unit,)`` of booleans, to what they are worth together


@register
@dataclass(frozen=True)
class Shapley(Criterion):
    """Mean over permutations of how far the mean loss falls when the unit joins those before it.

    The values of all units add up to the loss with none of them minus the loss with all. Neurons are too many: one
    permutation runs the model once for every unit.

    Attributes:
        permutations: Pairs of a permutation and its reverse; standard errors are over pairs, so at least 2.
        rows: At most so many examples are used, drawn by the seed.
    """

    permutations: int = 8
    rows: int = 64

    name = "shapley"
    label = "Shapley value"
    scopes = ("heads", "layers")
    unit = "mean fall of the loss when the unit joins"
    direction = "high"
    signed = True
    needs_data = True
    needs_labels = True
    needs_gradients = False
    quick = False
    cost = "16 forward passes per unit, over at most 64 examples"
    per_example = False
    about = (
        "What a unit takes off the loss when it joins others, averaged over random orders of joining. "
        "It shares the whole effect fairly among units that can stand in for each other, and it is the slowest of all."
    )
    reference = (
        "Castro, Gómez & Tejada, Polynomial calculation of the Shapley value based on sampling, 2009; "
        "Ghorbani & Zou, Neuron Shapley, NeurIPS 2020"
    )

    def __call__(self, context: ScoringContext) -> Sampled:
        if self.permutations < 2 or self.rows < 1:
            raise PruningError(
                "permutations is {permutations} and rows is {rows}: they must be at least 2 and 1",
                permutations=self.permutations,
                rows=self.rows,
            )
        context.require_gates()
        generator = np.random.default_rng(context.seed)
        context = _on_some(context, self.rows, generator)
        units = np.flatnonzero(context.kept.cpu().numpy())
        value = _value_of(context, 2 + 2 * self.permutations * max(0, len(units) - 1))
        alone, together = (value(np.full(context.total_units, present)) for present in (False, True))
        pairs = np.zeros((self.permutations, context.total_units))
        for pair in pairs:
            order = generator.permutation(units)
            for joining in (order, order[::-1]):
                pair[joining] += contributions(joining, value, alone, together, context.total_units) / 2
        errors = pairs.std(axis=0, ddof=1) / np.sqrt(self.permutations)
        return Sampled(pairs.mean(axis=0), errors, context.samples)


def contributions(order: np.ndarray, value: Value, alone: float, together: float, total_units: int) -> np.ndarray:
    """What each unit adds when it joins those before it, ``(len(order),)``, in that order; together `together - alone`.

    Args:
        alone: Value of no unit, which every permutation starts from.
        together: Value of all units of the order.
    """
    present = np.zeros(total_units, bool)
    worth = [alone]
    for unit in order[:-1]:
        present[unit] = True
        worth.append(value(present))
    return np.diff([*worth, together])


def _value_of(context: ScoringContext, total: int) -> Value:
    """Minus the mean loss with some units present; each call is one of ``total`` steps of the progress."""
    import torch

    step = count()

    def value(present: np.ndarray) -> float:
        gates = torch.as_tensor(present, dtype=torch.float32, device=context.model.device)
        return -float(context.example_losses(gates, next(step), total).mean())

    return value


def _on_some(context: ScoringContext, rows: int, generator: np.random.Generator) -> ScoringContext:
    """The same job on at most ``rows`` of its examples."""
    examples = context.examples
    assert examples is not None
    if len(examples) <= rows:
        return context
    chosen = np.sort(generator.choice(len(examples), rows, replace=False))
    return replace(context, examples=examples.at(chosen.tolist()))
