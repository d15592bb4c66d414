"""All at once: one scoring, the least important goes first.

Michel, Levy & Neubig, "Are Sixteen Heads Really Better than One?", NeurIPS 2019, section 4.
"""

from __future__ import annotations

from dataclasses import dataclass

from pruning.search.base import RemovalOrder, Strategy, register
from pruning.search.context import SearchContext


@register
@dataclass(frozen=True)
class OneShot(Strategy):
    """Units in the order of their importance in the whole model."""

    name = "one-shot"
    label = "One shot"
    cost = "one scoring"
    about = (
        "Scores everything once, in the whole model, and removes the least important first. Quick, but blind to what "
        "becomes important when other parts are gone."
    )
    reference = "Michel, Levy & Neubig, Are Sixteen Heads Really Better than One?, NeurIPS 2019"

    def __call__(self, context: SearchContext) -> RemovalOrder:
        rank = context.rank(context.importance())
        return context.order(sorted(context.bundles, key=lambda bundle: (rank[bundle], bundle)))
