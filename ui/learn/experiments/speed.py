"""Lesson 9: half of the heads masked, half of them really cut, and a clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import permutations
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import pandas as pd
import streamlit as st

from pruning.language import Later, later, mark, tr
from pruning.masks import HeadId, Mask, NeuronId
from pruning.statistics import Estimate, percentile_interval
from ui import theme as look
from ui.charts import CONFIG
from ui.learn.base import Experiment, Guess, Outcome, Report, Subject, Told, register
from ui.learn.charts_speed import WAYS, speed_chart
from ui.theme import Theme

if TYPE_CHECKING:
    from torch import nn

    from pruning.anatomy import Anatomy

BATCHES = (1, 4, 16)
LINK = "link"
CUTS = {
    "heads": mark("Half of the heads"),
    "both": mark("Half of the heads and neurons"),
    LINK: mark("What the link removes"),
}
LEAST_ROUNDS, MOST_ROUNDS, SECONDS = 6, 42, 6.0
TOKENS = 128  # where the data's texts have no length
RESAMPLES, WATTS, REQUESTS = 2000, 65.0, 1000
clock = time.perf_counter


@dataclass(frozen=True)
class Timing(Outcome):
    """How long the whole, the masked and the cut model took in turns.

    Attributes:
        milliseconds: Median of each way for one batch, with its interval; in the order of `WAYS`.
        faster: How many times as fast as the whole model each way is; the first is 1.
        promise: The same for the cut model as MACs have it.
        macs, parameters: Of the whole and of the cut model.
        batch, tokens, threads: Of the inputs (0 tokens: images), and of torch.
    """

    milliseconds: tuple[Estimate, ...] = ()
    faster: tuple[Estimate, ...] = ()
    promise: float = 1.0
    macs: tuple[int, int] = (0, 0)
    parameters: tuple[int, int] = (0, 0)
    batch: int = 1
    tokens: int = 0
    threads: int = 1


@register
@dataclass(frozen=True)
class Speed(Experiment):
    """Times the three in turns; other than elsewhere, two runs never give quite the same.

    Attributes:
        cut: A key of `CUTS`, or ``link`` for the mask that came with the link.
        batch: Requests that are answered together.
    """

    name: ClassVar[str] = "speed"
    told: ClassVar[Told] = {"cut": lambda one: tr(CUTS[one])}

    cut: str = "heads"
    batch: int = 1

    @classmethod
    def refusal(cls, subject: Subject) -> Later | None:
        if not half_of(subject.model.anatomy, "heads"):
            return later("no attention head of this model can be cut out, so there is nothing to time")
        return None

    @classmethod
    def choose(cls, subject: Subject) -> Self:
        cuts = ([LINK] if subject.mask else []) + [
            cut for cut in ("heads", "both") if cut == "heads" or half_of(subject.model.anatomy, cut).neurons
        ]
        cut = st.selectbox(
            tr("Cut out"), cuts, format_func=cls.told["cut"], key="lesson_speed_cut",
            help=tr("Which heads go does not matter for the clock, only how many: every layer loses the same share"),
        )  # fmt: skip
        batch = st.segmented_control(
            tr("Batch size"), BATCHES, default=BATCHES[0], key="lesson_speed_batch",
            help=tr("How many requests are answered together: 1 as on a phone, more as on a busy server"),
        )  # fmt: skip
        return cls(cut, batch or BATCHES[0])

    def guess(self, subject: Subject) -> Guess:
        return Guess(0.8, 3.0, 0.05, 1.0, mark("{value}×"), digits=2)

    def mask(self, subject: Subject) -> Mask:
        """What goes."""
        return subject.mask if self.cut == LINK else half_of(subject.model.anatomy, self.cut)

    def run(self, subject: Subject, report: Report) -> Timing:
        import torch

        from pruning.cost import count_cost
        from pruning.gating import gated
        from pruning.inputs import dry_run_inputs
        from pruning.surgery import prune

        model, mask = subject.model, self.mask(subject)
        report(0, MOST_ROUNDS + 2, mark("Cutting a copy"))
        cut = prune(model, mask)
        report(1, MOST_ROUNDS + 2, mark("Counting"))
        costs = count_cost(model, round(subject.evaluation.tokens) or TOKENS)
        inputs = dry_run_inputs(model.module, costs.tokens or TOKENS, self.batch)
        ways = [
            _pass(model.module, inputs, nullcontext),
            _pass(model.module, inputs, lambda: gated(model, mask)),
            _pass(cut.module, inputs, nullcontext),
        ]
        seconds = np.array(list(_rounds(ways, report)))  # (round, way)
        faster = tuple(_median(seconds[:, 0] / seconds[:, way]) for way in range(len(ways)))
        after = costs.after(mask)
        return Timing(
            truth=faster[2].value,
            low=faster[2].low,
            high=faster[2].high,
            samples=len(seconds),
            milliseconds=tuple(_median(1e3 * seconds[:, way]) for way in range(len(ways))),
            faster=faster,
            promise=costs.total.macs / max(1, after.macs),
            macs=(costs.total.macs, after.macs),
            parameters=(costs.total.parameters, cut.parameters),
            batch=self.batch,
            tokens=costs.tokens,
            threads=torch.get_num_threads(),
        )

    def draw(self, subject: Subject, outcome: Outcome, theme: Theme) -> None:
        assert isinstance(outcome, Timing)
        figure = speed_chart(outcome.milliseconds, outcome.promise, title_of(outcome), subtitle_of(outcome), theme)
        st.plotly_chart(figure, theme=None, config=CONFIG, key="lesson_speed_figure", alt=title_of(outcome))
        _sentences(outcome)
        watts = st.number_input(
            tr("Power of the computer at work (W)"), 0.1, 100_000.0, WATTS, format="%g", key="lesson_speed_watts",
            help=tr("Stated, not measured: read it from a power meter or a data sheet. Energy is power times time."),
        )  # fmt: skip
        turned = table_of(outcome, watts).set_index(tr("Model")).T.rename_axis(tr("Model"))  # a heading is never empty
        st.table(turned)  # it breaks its lines: no column is out of sight
        st.caption(
            tr(
                "Energy of {n:,} requests = {watts:g} W × their seconds. The power is what you state above; "
                "the seconds are measured.",
                n=REQUESTS,
                watts=watts,
            )
        )


def half_of(anatomy: Anatomy, cut: str) -> Mask:
    """Half of the heads (and neurons) of every part that can be cut; whole key-value groups, rounded down."""
    heads, neurons = set(), set()
    for site in anatomy.sites:
        if site.support == "prune":
            gone = site.groups[: len(site.groups) // 2]
            heads |= {HeadId(site.index, head) for group in gone for head in group}
    for block in anatomy.blocks if cut == "both" else ():
        if block.support == "prune":
            neurons |= {NeuronId(block.index, neuron) for neuron in range(block.neurons // 2)}
    return Mask(frozenset(heads), frozenset(neurons))


def _pass(module: nn.Module, inputs: dict[str, Any], around: Callable[[], Any]) -> Callable[[], float]:
    """Seconds of one forward pass."""

    def timed() -> float:
        import torch

        from pruning.inputs import run

        on_gpu = next(module.parameters()).device.type == "cuda"
        started = clock()
        with around(), torch.inference_mode():
            run(module, inputs)
        if on_gpu:
            torch.cuda.synchronize()
        return clock() - started

    return timed


def _rounds(ways: list[Callable[[], float]], report: Report) -> Iterator[list[float]]:
    """Seconds of each way, in turns, so that what else the machine does slows all of them alike.

    Each round has an order of its own: what ran just before warms the processor and its memory. It ends after some
    seconds, but not before there are enough rounds.
    """
    for way in ways:
        way()  # the first run of a shape is slower
    orders = list(permutations(range(len(ways))))
    started = clock()
    for number in range(MOST_ROUNDS):
        report(number + 2, MOST_ROUNDS + 2, mark("Timing in turns"))
        seconds = {way: ways[way]() for way in orders[number % len(orders)]}
        yield [seconds[way] for way in range(len(ways))]
        if number + 1 >= LEAST_ROUNDS and clock() - started > SECONDS:
            return


def _median(values: np.ndarray) -> Estimate:
    """A median over rounds with its bootstrap interval."""
    draws = np.random.default_rng(0).integers(len(values), size=(RESAMPLES, len(values)))
    return percentile_interval(float(np.median(values)), np.median(values[draws], axis=1))


# What is said -----------------------------------------------------------------------------------------------------


def title_of(outcome: Timing) -> str:
    """The finding."""
    return tr(
        "Cut, the model is {clock} times as fast; its MACs promise {promise} times",
        clock=look.number(outcome.truth),
        promise=look.number(outcome.promise),
    )


def subtitle_of(outcome: Timing) -> str:
    what = tr("batch of {n:,}", n=outcome.batch)
    if outcome.tokens:
        what = tr("batch of {n:,}, {tokens:,} tokens each", n=outcome.batch, tokens=outcome.tokens)
    return tr(
        "Medians of {n:,} rounds in turns with 95% intervals · {what} · threads: {threads}",
        n=outcome.samples,
        what=what,
        threads=outcome.threads,
    )


def _sentences(outcome: Timing) -> None:
    _, masked, cut = outcome.faster
    st.markdown(
        tr(
            "Masked, it is **{masked} times as fast** ({masked_low} to {masked_high}): zeros are multiplied like other "
            "numbers. Cut, it is **{cut} times as fast** ({cut_low} to {cut_high}; {n:,} rounds).",
            masked=look.number(masked.value),
            masked_low=look.number(masked.low),
            masked_high=look.number(masked.high),
            cut=look.number(cut.value),
            cut_low=look.number(cut.low),
            cut_high=look.number(cut.high),
            n=outcome.samples,
        )
    )


def watt_hours(milliseconds: float, batch: int, watts: float) -> float:
    """Energy of `REQUESTS` requests.

    >>> watt_hours(36.0, 1, 100.0), watt_hours(36.0, 8, 100.0)
    (1.0, 0.125)
    """
    return watts * (milliseconds / 1e3) * (REQUESTS / batch) / 3600


def table_of(outcome: Timing, watts: float) -> pd.DataFrame:
    """The figure's twin, with size, work and energy."""
    rows = []
    for way, time_ms, times, size in zip(WAYS, outcome.milliseconds, outcome.faster, (0, 0, 1), strict=True):
        rows.append(
            {
                tr("Model"): tr(WAYS[way]),
                tr("Time of a batch"): look.measured(time_ms, "ms"),
                tr("Times as fast"): look.measured(times),
                tr("Work of a request"): look.macs(outcome.macs[size]),
                tr("Parameters"): f"{outcome.parameters[size]:,}",
                tr("Energy of {n:,} requests", n=REQUESTS): look.number(watt_hours(time_ms.value, outcome.batch, watts))
                + " Wh",
            }
        )
    return pd.DataFrame(rows)
