"""What a comparison says, in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from pruning.anatomy import Anatomy
from pruning.evaluation import Comparison
from pruning.language import listing, mark, tr, trn
from pruning.masks import HeadId, Mask
from pruning.scopes import SCOPES, Scope, sizes_of, units_of
from pruning.statistics import Estimate, difference_of
from pruning.statistics_of_draws import FEWEST, RATIOS
from ui import theme as look
from ui.details import LOWER_IS_BETTER
from ui.history.words import in_line
from ui.removed import shown_mask

if TYPE_CHECKING:
    from pruning.statistics_of_draws import Pooled


BOOTSTRAPPED = (*RATIOS, "calibration_error")


def said(*findings: str) -> str:
    """Findings in one line, each as a sentence."""
    return in_line(map(look.as_sentence, findings))


OTHER_PARTS = {
    "neurons": mark("Neurons: A removes {one:,} and B {two:,} of {total:,}, of which {same:,} are the same."),
    "layers": mark("Layers: A removes {one:,} and B {two:,} of {total:,}, of which {same:,} are the same."),
}


def is_clear(estimate: Estimate) -> bool:
    """Whether the interval lies on one side of zero."""
    return estimate.low > 0 or estimate.high < 0


def is_better(name: str, estimate: Estimate) -> bool | None:
    """Whether B is clearly better in a metric, clearly worse, or neither."""
    if not is_clear(estimate):
        return None
    return (estimate.value < 0) == (name in LOWER_IS_BETTER)


def verdict(name: str, estimate: Estimate | None) -> str:
    """
    >>> verdict("loss", Estimate(-0.2, -0.3, -0.1)), verdict("accuracy", Estimate(-0.2, -0.3, 0.1))
    ('B is better', 'no clear difference')
    >>> verdict("confidence", Estimate(-0.2, -0.3, -0.1))
    'B is less sure'
    """
    if estimate is None:
        return tr(look.NOT_MEASURED)
    better = is_better(name, estimate)
    if better is None:
        return tr("no clear difference")
    if name == "confidence":  # more is neither good nor bad
        return tr("B is surer") if better else tr("B is less sure")
    return tr("B is better") if better else tr("B is worse")


def headline(comparison: Comparison) -> str:
    """The comparison in a sentence."""
    classes = comparison.p_value is not None
    name = "accuracy" if classes else "loss"
    found = comparison.differences[name]
    words = verdict(name, found)
    if classes:
        return tr("B against A: {change} in accuracy, {verdict}", change=look.points(found), verdict=words)
    return tr("B against A: {change} in loss, {verdict}", change=look.difference(found), verdict=words)


def trusted(name: str, estimate: Estimate | None, samples: int) -> Estimate | None:
    """The estimate, without its interval where that is a bootstrap of too few examples to mean anything.

    >>> trusted("f1", Estimate(1.0, 1.0, 1.0), 1)
    Estimate(value=1.0, low=-inf, high=inf)
    """
    if estimate is None or samples >= FEWEST or name not in BOOTSTRAPPED:
        return estimate
    return Estimate(estimate.value, -math.inf, math.inf)


def perplexity_ratio(loss: Estimate) -> Estimate:
    """How many times A's perplexity B's is: the exponential of the difference in loss."""
    if not (math.isfinite(loss.low) and math.isfinite(loss.high)):
        return Estimate(math.exp(min(loss.value, 700.0)), -math.inf, math.inf)
    return Estimate(*(math.exp(min(value, 700.0)) for value in (loss.value, loss.low, loss.high)))


# Several draws -----------------------------------------------------------------------------------------------------


def lots_headline(found: Pooled, metric: str) -> str:
    """The mean difference with the interval over draws and examples; without one there is no verdict."""
    if found.of_both is None:
        if metric == "accuracy":
            return tr("B against A, one draw so far: {change} in accuracy", change=look.points(found.of_data))
        return tr("B against A, one draw so far: {change} in loss", change=look.difference(found.of_data))
    verdict_words, n = verdict(metric, found.of_both), len(found.single)
    if metric == "accuracy":
        text = mark("B against A, mean of {n} draws: {change} in accuracy, {verdict}")
        return tr(text, n=n, change=look.points(found.of_both), verdict=verdict_words)
    text = mark("B against A, mean of {n} draws: {change} in loss, {verdict}")
    return tr(text, n=n, change=look.difference(found.of_both), verdict=verdict_words)


def lots_title(found: Pooled, metric: str) -> str:
    """What the draws show, for the title of their chart."""
    if found.of_both is None:
        return tr("One draw so far")
    better = is_better(metric, found.of_both)
    if better is None:
        return tr("No clear difference on average over the draws")
    return tr("B is better on average over the draws") if better else tr("B is worse on average over the draws")


def ranking(found: Pooled, metric: str, side: str, like_a_draw: bool) -> list[str]:
    """How many of the draws the side that was not drawn is ahead of, and what that is worth.

    Args:
        side: A or B: which was not drawn.
        like_a_draw: It removes as much as they do and was not trained: without any merit it would be one of them.
    """
    sign = (1 if side == "B" else -1) * (-1 if metric in LOWER_IS_BETTER else 1)
    ahead, n = sum(sign * one > 0 for one in found.single), len(found.single)
    ends = min(found.single), max(found.single)
    low, high = (_ends_text(end, metric) for end in ends)
    if metric == "accuracy":
        text = mark(
            "{side} is ahead of {k} of {n} draws; the differences of single draws go from {low} to {high} points."
        )
    else:
        text = mark("{side} is ahead of {k} of {n} draws; the differences of single draws go from {low} to {high}.")
    told = [tr(text, side=side, k=ahead, n=n, low=low, high=high)]
    if ahead == n > 1 and like_a_draw:
        text = mark("A mask without merit would be ahead of all {n} by luck about once in {m} times.")
        told.append(tr(text, n=n, m=n + 1))
    return told


def _ends_text(value: float, metric: str) -> str:
    """A difference without its interval and its unit."""
    if metric == "accuracy":
        text = f"{100 * value:+.1f}"
        return "0.0" if text in ("+0.0", "-0.0") else text.replace("-", look.MINUS)
    return look.difference(Estimate(value, value, value)).partition(" (")[0]


def explained(found: Pooled, metric: str, samples: int) -> list[str]:
    """What the intervals are of."""
    data = look.points(found.of_data) if metric == "accuracy" else look.difference(found.of_data)
    if found.of_both is None:
        text = mark("The interval is over the examples alone (n = {n:,}): it says nothing of other draws.")
        return [tr(text, n=samples)]
    return [
        tr(
            "The 95% interval is over draws and examples both: it is for the mean of all masks that might have been "
            "drawn, on all such examples (two-way random effects, Student's t).",
        ),
        tr("For these draws alone, over the examples: {change}.", change=data),
        tr(
            "All are paired on the same examples (n = {n:,}), and each interval is for its own metric alone.", n=samples
        ),
    ]


# Time --------------------------------------------------------------------------------------------------------------


def time_verdict(ratio: Estimate) -> str:
    """
    >>> time_verdict(Estimate(0.8, 0.7, 0.9))
    'B is faster on this computer.'
    """
    if ratio.low <= 1 <= ratio.high:
        return tr("No clear difference in time on this computer.")
    return tr("B is faster on this computer.") if ratio.high < 1 else tr("B is slower on this computer.")


# Masks -----------------------------------------------------------------------------------------------------------


def ratio(a: int, b: int) -> str:
    """
    >>> ratio(200, 150), ratio(0, 3)
    ('0.750', 'not measured')
    """
    return look.number(b / a) if a else tr(look.NOT_MEASURED)


def removed_heads(mask: Mask, anatomy: Anatomy) -> frozenset[HeadId]:
    """Heads that go, those of removed layers included."""
    return shown_mask(mask, anatomy).heads


def by_site(heads: frozenset[HeadId], names: Sequence[str]) -> str:
    """
    >>> by_site(frozenset({HeadId(0, 3), HeadId(0, 1)}), ["Layer 0"])
    'Layer 0: 1, 3.'
    """
    rows = {site: [h.head for h in sorted(heads) if h.site == site] for site in sorted({h.site for h in heads})}
    told = [tr("{layer}: {heads}", layer=names[site], heads=listing(row)) for site, row in rows.items()]
    return look.as_sentence(tr("; ").join(told)) if rows else ""


def table(
    a: frozenset[HeadId], b: frozenset[HeadId], names: Sequence[str], heads_per_site: Sequence[int]
) -> pd.DataFrame:
    """The three maps' twin: one row a site, the heads that only A, only B, and both remove."""
    groups = {mark("only A removes"): a - b, mark("only B removes"): b - a, mark("both remove"): a & b}
    columns: dict[str, list[object]] = {mark("site"): list(names), mark("heads"): list(heads_per_site)}
    for title, heads in groups.items():
        columns[title] = [
            ", ".join(str(head.head) for head in sorted(heads) if head.site == site) for site in range(len(names))
        ]
    return pd.DataFrame(columns)


def removed_units(mask: Mask, scope: Scope, anatomy: Anatomy) -> frozenset[tuple[int, int]]:
    """What a mask removes of one kind; what is inside a removed layer counts."""
    if scope == "heads":
        return frozenset(removed_heads(mask, anatomy))
    found = frozenset((part, unit) for part, unit in units_of(mask, scope))
    if scope == "neurons":
        blocks = [anatomy.blocks[block] for layer in mask.layers for block in anatomy.layers[layer].blocks]
        found |= {(block.index, neuron) for block in blocks for neuron in range(block.neurons)}
    return found


def shares(a: Mask, b: Mask, scope: Scope, anatomy: Anatomy) -> dict[str, int]:
    """How many units only A removes, only B, both, and neither."""
    first, second = (removed_units(mask, scope, anatomy) for mask in (a, b))
    counts = {"a": len(first - second), "b": len(second - first), "both": len(first & second)}
    return {**counts, "neither": sum(sizes_of(anatomy, scope)) - sum(counts.values())}


def difference_title(counts: dict[str, int]) -> str:
    """
    >>> difference_title({"a": 0, "b": 2, "both": 3, "neither": 7}), difference_title({"a": 1, "b": 0, "both": 0})
    ('2 heads differ', '1 head differs')
    """
    differ = counts["a"] + counts["b"]
    if not differ:
        return tr("The same heads")
    return trn("{n} head differs", "{n:,} heads differ", differ)


def other_parts(a: Mask, b: Mask, anatomy: Anatomy) -> list[str]:
    """Sentences on neurons and layers, where either side removes some."""
    sentences = []
    for scope in SCOPES[1:]:
        counts = shares(a, b, scope, anatomy)
        if counts["a"] + counts["b"] + counts["both"]:
            one, two = counts["a"] + counts["both"], counts["b"] + counts["both"]
            total, same = sum(counts.values()), counts["both"]
            sentences.append(tr(OTHER_PARTS[scope], one=one, two=two, total=total, same=same))
    return sentences


# Data sets -------------------------------------------------------------------------------------------------------


def domain_title(home: Estimate, others: Sequence[tuple[str, Estimate]], lower_is_better: bool) -> str:
    """Where B − A on another data set clearly differs from that at home."""
    apart = [(name, difference_of(home, found)) for name, found in others]
    clear = [(name, found) for name, found in apart if is_clear(found)]
    if not clear:
        return tr("B against A is about the same on all of these data sets")
    name, found = max(clear, key=lambda pair: abs(pair[1].value))
    worse = (found.value > 0) == lower_is_better
    if worse:
        return tr("{data}: B fares worse against A than at home", data=name)
    return tr("{data}: B fares better against A than at home", data=name)


def apart_text(home: Estimate, other: Estimate, points: bool) -> str:
    """The difference of two differences, with its interval."""
    found = difference_of(home, other)
    return look.points(found) if points else look.difference(found)
