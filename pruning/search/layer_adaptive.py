"""Layer-adaptive scores.

Lee et al., "Layer-adaptive Sparsity for the Magnitude-based Pruning", ICLR 2021 (LAMP), for structured units.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from pruning.search.base import Bundle, RemovalOrder, Strategy, register
from pruning.search.budget import PlanError
from pruning.search.context import SearchContext


@register
@dataclass(frozen=True)
class LayerAdaptive(Strategy):
    """Squared importance over the sum of squares of the units of the same part that are not less important.

    The last unit of every part has the score 1, the highest, so no part is emptied while another has two left. Values
    below zero, where removing helps, count as zero and go first, the lowest first.
    """

    name = "layer-adaptive"
    label = "Layer-adaptive (LAMP)"
    scopes = ("heads", "neurons")
    cost = "one scoring"
    about = (
        "Weighs each unit against what would be left of its own part, so that no part collapses. It makes criteria "
        "comparable whose scale differs from part to part."
    )
    reference = "Lee et al., Layer-adaptive Sparsity for the Magnitude-based Pruning, ICLR 2021"

    def __call__(self, context: SearchContext) -> RemovalOrder:
        if context.criterion.direction != "high":
            raise PlanError(
                "layer-adaptive squares the importance, so it needs a criterion whose high values are important; "
                "{criterion} has its low ones",
                criterion=context.criterion.name,
            )
        importance = context.importance()
        values = {bundle: sum(importance[unit] for unit in bundle) for bundle in context.bundles}
        parts: dict[tuple[str, int], list[Bundle]] = defaultdict(list)
        for bundle in sorted(context.bundles, key=lambda bundle: (-values[bundle], bundle)):
            parts[bundle[0][:2]].append(bundle)
        adapted: dict[Bundle, float] = {}
        for bundles in parts.values():
            total = 0.0
            for bundle in bundles:  # most important first
                square = max(0.0, values[bundle]) ** 2
                total += square
                adapted[bundle] = square / total if total else 0.0
        return context.order(sorted(adapted, key=lambda bundle: (adapted[bundle], values[bundle], bundle)))
