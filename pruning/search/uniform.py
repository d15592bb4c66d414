"""The same share of every part.

The baseline of Blalock et al., "What is the State of Neural Network Pruning?", MLSys 2020, for pruning by layer.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from pruning.scopes import sizes_of
from pruning.search.base import Bundle, RemovalOrder, Strategy, register
from pruning.search.context import SearchContext


@register
@dataclass(frozen=True)
class Uniform(Strategy):
    """The least important units of each part, so many that all parts have lost the same share of theirs."""

    name = "uniform"
    label = "Uniform by part"
    scopes = ("heads", "neurons")
    cost = "one scoring"
    about = (
        "Takes the same share of every attention site and feed-forward block, the least important first. A baseline: "
        "it keeps every part alive, whether or not the part is needed."
    )
    reference = "Blalock et al., What is the State of Neural Network Pruning?, MLSys 2020"

    def __call__(self, context: SearchContext) -> RemovalOrder:
        rank = context.rank(context.importance())
        parts: dict[tuple[str, int], list[Bundle]] = defaultdict(list)
        for bundle in sorted(context.bundles, key=lambda bundle: (rank[bundle], bundle)):
            parts[bundle[0][:2]].append(bundle)
        share: dict[Bundle, float] = {}
        for bundles in parts.values():
            scope, part, _ = bundles[0][0]
            size, gone = sizes_of(context.model.anatomy, scope)[part], 0
            for bundle in bundles:
                gone += len(bundle)
                share[bundle] = gone / size
        return context.order(sorted(share, key=lambda bundle: (share[bundle], rank[bundle], bundle)))
