"""Step by step, scoring anew what is left after each.

Molchanov et al., "Pruning Convolutional Neural Networks for Resource Efficient Inference", ICLR 2017, without the
training between steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pruning.importance.context import Setting
from pruning.search.base import Bundle, RemovalOrder, Strategy, register
from pruning.search.budget import PlanError
from pruning.search.context import SearchContext, flat_mask

STEPS = 18  # where no step is given: four heads of the demo's 72 at a time


@register
@dataclass(frozen=True)
class Iterative(Strategy):
    """Removes a few units, scores the others in the model that is left, and so on.

    Attributes:
        step: Units (or groups) that go between two scorings; 0 takes an eighteenth of them.
        replacement: What stands in for what is gone while the others are scored: ``zero``, as in the cut model, or its
            ``mean`` over the examples, which leaves the others their usual surroundings; ``auto`` takes means where the
            criterion looks at examples. On the built-in model means found better cuts at 60 to 80%, whether or not the
            cut is compensated (``benchmarks/README.md``).
    """

    name = "iterative"
    label = "Iterative"
    cost = "one scoring for each step, 18 by default"
    about = (
        "Removes a few at a time and scores the rest again in the model that is left. It sees when a part takes over "
        "the work of another that is gone."
    )
    reference = "Molchanov et al., Pruning CNNs for Resource Efficient Inference, ICLR 2017"

    step: int = 0
    replacement: Literal["auto", "zero", "mean"] = "auto"

    def __post_init__(self) -> None:
        if self.step < 0 or self.replacement not in ("auto", "zero", "mean"):
            raise PlanError(
                '{settings} is not possible: step is 0 or more, replacement is "auto", "zero" or "mean"', settings=self
            )

    def __call__(self, context: SearchContext) -> RemovalOrder:
        step = self.step or max(1, round(len(context.bundles) / STEPS))
        means = None
        looks = context.examples is not None and context.criterion.needs_data
        if self.replacement == "mean" or (self.replacement == "auto" and looks):
            from pruning.means import measure_means

            means = measure_means(context.model, context.required_examples(self.name), context.batch_size)
        rounds = -(-len(context.bundles) // step)
        done: list[Bundle] = []
        waiting = list(context.bundles)
        while waiting:
            setting = Setting(flat_mask(done), means)
            rank = context.rank(context.importance(setting, len(done) // step, rounds))
            waiting.sort(key=lambda bundle: (rank[bundle], bundle))
            done += waiting[:step]
            waiting = context.alive(waiting[step:], flat_mask(done))
        return context.order(done)
