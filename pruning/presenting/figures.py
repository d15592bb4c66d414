"""Every number of the presentation as a `Fact`, with its unit and where it comes from, in pairs before and after."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from pruning.masks import Mask
from pruning.presenting.measuring import Size, Timing
from pruning.presenting.prices import Prices
from pruning.statistics import Estimate

if TYPE_CHECKING:
    from pruning.anatomy import Anatomy
    from pruning.evaluation import Comparison, Evaluation

Unit = Literal["count", "parameters", "bytes", "macs", "ms", "money", "kwh", "kg", "share", "points", "plain", "times"]
Source = Literal["counted", "measured", "computed", "stated"]
Verdict = Literal["better", "worse", "same", "unclear"]


@dataclass(frozen=True)
class Fact:
    """One number.

    Attributes:
        low, high: Its 95% interval, where there is one.
        currency: Of money.
    """

    name: str
    value: float
    unit: Unit
    source: Source
    low: float | None = None
    high: float | None = None
    currency: str = ""

    @property
    def estimate(self) -> Estimate | None:
        """With its interval; ``None`` where it has none."""
        if self.low is None or self.high is None:
            return None
        return Estimate(self.value, self.low, self.high)


@dataclass(frozen=True)
class Pair:
    """One quantity of both models.

    Attributes:
        times: How many times smaller it is, before / after; ``None`` for quality, which is told in differences.
        change: After minus before, paired; for quality alone.
        verdict: What may be said of it: that it is better or worse, that it is exactly the same, or that the
            measurements do not show which.
    """

    name: str
    before: Fact
    after: Fact
    verdict: Verdict
    times: Fact | None = None
    change: Fact | None = None

    @property
    def facts(self) -> tuple[Fact, ...]:
        return tuple(fact for fact in (self.before, self.after, self.times, self.change) if fact is not None)


@dataclass(frozen=True, eq=False)
class Presented:
    """What is known of one choice by now; the rest is still being measured, or could not be.

    Attributes:
        removed, total: Heads, neurons and layers by scope.
        compensation: What took the place of what is removed.
        problem: Why it could not be cut, and has no sizes and times therefore.
    """

    mask: Mask
    removed: dict[str, int]
    total: dict[str, int]
    compensation: str = "none"
    whole: Size | None = None
    cut: Size | None = None
    timing: Timing | None = None
    before: Evaluation | None = None
    after: Evaluation | None = None
    change: Comparison | None = None
    problem: Exception | None = None
    complete: bool = False

    @property
    def stage(self) -> tuple[object, ...]:
        """What changes when more is known."""
        seen = self.after.samples if self.after is not None else 0
        return self.mask, self.cut is not None, self.timing is not None, seen, self.problem is not None, self.complete

    @property
    def evaluated(self) -> bool:
        """Whether both models have answered every row."""
        return bool(self.before and self.after and self.before.complete and self.after.complete)


def counts_of(anatomy: Anatomy, mask: Mask) -> tuple[dict[str, int], dict[str, int]]:
    """How many heads, neurons and layers are removed, and how many there are; what a removed layer holds counts."""
    from pruning.search.budget import left

    stays, total = left(anatomy, mask), left(anatomy, Mask())
    return {scope: total[scope] - stays[scope] for scope in total}, total


@dataclass(frozen=True)
class Figures:
    """Everything that is known, as facts.

    Attributes:
        pairs: By name, in the order in which they are shown.
        others: Facts that belong to no pair, by name: counts, prices, limits.
    """

    pairs: dict[str, Pair] = field(default_factory=dict)
    others: dict[str, Fact] = field(default_factory=dict)

    @property
    def facts(self) -> tuple[Fact, ...]:
        return (*(fact for pair in self.pairs.values() for fact in pair.facts), *self.others.values())


def figures(found: Presented, prices: Prices) -> Figures:
    """The facts of a choice at these prices."""
    pairs = [*_sizes(found), *_times(found, prices), *_quality(found)]
    others = [*_removed(found), *_runs(found), *_answers(found), *_stated(prices)]
    return Figures({pair.name: pair for pair in pairs}, {fact.name: fact for fact in others})


def _sizes(found: Presented) -> Iterator[Pair]:
    if found.whole is None or found.cut is None:
        return
    units: tuple[tuple[str, str, Unit], ...] = (
        ("parameters", "parameters", "parameters"), ("disk", "disk_bytes", "bytes"), ("macs", "macs", "macs"),
        ("memory", "memory_bytes", "bytes"),
    )  # fmt: skip
    for name, attribute, unit in units:
        before, after = getattr(found.whole, attribute), getattr(found.cut, attribute)
        if before and after:
            source: Source = "measured" if name == "memory" else "counted"
            verdict: Verdict = "better" if after < before else "worse" if after > before else "same"
            yield _pair(name, before, after, unit, source, verdict)


def _pair(name: str, before: float, after: float, unit: Unit, source: Source, verdict: Verdict) -> Pair:
    sides = Fact(f"{name} before", before, unit, source), Fact(f"{name} after", after, unit, source)
    return Pair(name, sides[0], sides[1], verdict, Fact(f"{name} times", before / after, "times", source))


def _times(found: Presented, prices: Prices) -> Iterator[Pair]:
    """Latency, and what follows from it: money, energy, and carbon where somebody states a factor."""
    timing = found.timing
    if timing is None:
        return
    verdict = verdict_of(timing.ratio, 1.0)
    times = _inverse(timing.ratio)
    currency = prices.currency
    made: list[tuple[str, Unit, float]] = [("latency", "ms", 1.0), ("cost", "money", prices.cost(1.0))]
    made += [("energy", "kwh", prices.energy_kwh(1.0)), ("carbon", "kg", prices.carbon_kg(1.0))]
    for name, unit, factor in made:
        if not factor:
            continue
        source: Source = "measured" if name == "latency" else "computed"
        before, after = (
            Fact(f"{name} {when}", e.value * factor, unit, source, e.low * factor, e.high * factor, currency)
            for when, e in (("before", timing.before), ("after", timing.after))
        )
        faster = Fact(f"{name} times", times.value, "times", source, times.low, times.high)
        yield Pair(name, before, after, verdict, faster)


def _inverse(ratio: Estimate) -> Estimate:
    """How many times smaller, from how large a share is left."""
    return Estimate(1 / ratio.value, 1 / ratio.high, 1 / ratio.low if ratio.low > 0 else math.inf)


def verdict_of(estimate: Estimate, nothing: float, lower_is_better: bool = True) -> Verdict:
    """Better or worse where the whole interval is on one side of what would be no difference.

    >>> verdict_of(Estimate(0.8, 0.7, 0.9), 1.0), verdict_of(Estimate(0.95, 0.9, 1.0), 1.0)
    ('better', 'unclear')
    """
    if estimate.low <= nothing <= estimate.high:
        return "unclear"
    return "better" if (estimate.high < nothing) == lower_is_better else "worse"


def _quality(found: Presented) -> Iterator[Pair]:
    """Accuracy, or the perplexity of a language model with the paired change of its loss."""
    before, after, change = found.before, found.after, found.change
    if before is None or after is None or change is None:
        return
    name = "perplexity" if "perplexity" in before.metrics else "accuracy"
    unit: Unit = "plain" if name == "perplexity" else "share"
    sides = [_measured(f"{name} {when}", e.metrics[name], unit) for when, e in (("before", before), ("after", after))]
    paired = change.differences["loss" if name == "perplexity" else "accuracy"]
    fact = _measured(f"{name} change", paired, "plain" if name == "perplexity" else "points")
    verdict = verdict_of(paired, 0.0, name == "perplexity") if found.mask else "same"
    yield Pair(name, sides[0], sides[1], verdict, change=fact)


def _measured(name: str, estimate: Estimate, unit: Unit) -> Fact:
    return Fact(name, estimate.value, unit, "measured", estimate.low, estimate.high)


# What belongs to no pair -----------------------------------------------------------------------------------------


def _removed(found: Presented) -> Iterator[Fact]:
    for scope, total in found.total.items():
        yield Fact(scope, found.removed[scope], "count", "counted")
        yield Fact(f"all {scope}", total, "count", "counted")


def _runs(found: Presented) -> Iterator[Fact]:
    if found.timing is not None:
        yield Fact("runs", found.timing.runs, "count", "counted")


def _answers(found: Presented) -> Iterator[Fact]:
    """How many rows answered, how many answers changed, and the largest loss that they leave possible."""
    after, change = found.after, found.change
    if after is None or change is None:
        return
    yield Fact("rows", after.samples, "count", "counted")
    if after.class_names:
        for kind in ("worse", "better"):
            yield Fact(kind, change.count(kind), "count", "counted")
        yield Fact("possible loss", max(0.0, -change.differences["accuracy"].low), "points", "measured")
    else:
        yield Fact("possible loss", max(0.0, change.differences["loss"].high), "plain", "measured")


def _stated(prices: Prices) -> Iterator[Fact]:
    yield Fact("price", prices.hour, "money", "stated", currency=prices.currency)
    yield Fact("watts", prices.watts, "plain", "stated")
    yield Fact("tokens", prices.tokens, "count", "stated")
    if prices.carbon:
        yield Fact("carbon factor", prices.carbon, "plain", "stated")
