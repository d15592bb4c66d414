"""Short names of sites, and findings about importance in words. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pruning.anatomy import Anatomy
from pruning.importance import ImportanceMap, get_criterion
from pruning.language import mark, tr
from pruning.masks import HeadId
from pruning.statistics import Z95

KINDS = (
    mark("Encoder self"),
    mark("Encoder cross"),
    mark("Decoder self"),
    mark("Decoder cross"),
    mark("Vision self"),
    mark("Vision cross"),
)  # of sites


def site_names(kinds: Sequence[str]) -> list[str]:
    """``Layer 0`` … where all sites are of one kind; otherwise the kind and the position within it.

    >>> site_names(["encoder self", "encoder self"]), site_names(["encoder self", "decoder cross"])
    (['Layer 0', 'Layer 1'], ['Encoder self 0', 'Decoder cross 0'])
    """
    if len(set(kinds)) <= 1:
        return [tr("Layer {n}", n=i) for i in range(len(kinds))]
    seen: dict[str, int] = {}
    names = []
    for kind in kinds:
        names.append(f"{tr(kind.capitalize())} {seen.get(kind, 0)}")
        seen[kind] = seen.get(kind, 0) + 1
    return names


def names_of(anatomy: Anatomy | None, count: int) -> list[str]:
    """The names of a model's sites; plain layers while its anatomy is not known yet."""
    return site_names([site.kind for site in anatomy.sites] if anatomy else ["self"] * count)


def head_name(head: HeadId, names: Sequence[str]) -> str:
    return tr("{layer}, head {head}", layer=names[head.site], head=head.head)


def finding(importance: ImportanceMap, names: Sequence[str]) -> str:
    """What a heatmap shows, as its title.

    Where importance is a positive quantity that adds up, the layer with the largest share; otherwise the first head.
    """
    criterion = get_criterion(importance.criterion)
    if criterion.name == "random":
        return tr("Heads in an order drawn by lot")
    sums = [math.fsum(row) for row in importance.values]
    total = math.fsum(sums)
    if criterion.needs_gradients and criterion.direction == "high" and total > 0:
        top = max(range(len(sums)), key=sums.__getitem__)
        share = sums[top] / total
        return tr("{layer} carries {share:.0%} of the total importance", layer=names[top], share=share)
    best, worst = (HeadId(*importance.ranked()[place]) for place in (-1, 0))
    if criterion.signed:
        text = mark("{head} matters most; without any one of {n} heads the loss falls")
        return tr(text, head=head_name(best, names), n=harmful(importance))
    most, least = head_name(best, names), head_name(worst, names)
    return tr("Most important: {most}; least: {least}", most=most, least=least)


def harmful(importance: ImportanceMap) -> int:
    """How many heads have a value below zero with their whole 95% interval, where there is one."""
    values = [value for row in importance.values for value in row]
    errors = [error for row in importance.standard_errors for error in row] or [0.0] * len(values)
    return sum(value + Z95 * error < 0 for value, error in zip(values, errors, strict=True))
