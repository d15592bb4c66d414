"""Lesson 2: a share of the heads goes; what becomes of size, compute and accuracy."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Self

import pandas as pd
import streamlit as st

from pruning.cost import Cost
from pruning.language import Later, later, mark, tr
from pruning.masks import Mask
from pruning.scopes import mask_of
from pruning.statistics import Estimate
from ui import theme as look
from ui.charts import CONFIG
from ui.learn.base import Experiment, Guess, Outcome, Report, Subject, Told, register
from ui.learn.charts_why import Left, left_chart
from ui.learn.judging import affordable, counted, difference_text, guess_of, lost, tenths, value_of, value_text
from ui.theme import Theme

ORDERS = {  # criteria of the engine
    "gradient": mark("the least important first"),
    "random": mark("drawn by lot"),
    "reversed": mark("the most important first"),
}
SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


@dataclass(frozen=True, kw_only=True)
class WhyOutcome(Outcome):
    """Points of accuracy that are lost, or by how much the loss rises.

    Attributes:
        heads, removed: How many there are, and how many of them are gone.
        whole, pruned: Accuracy as a fraction, or the loss.
        before, after: Parameters and MACs of the whole model, and once the heads are really cut out.
        tokens: That the MACs are counted for; 0 for one image.
        size_bytes: Of the whole model's weights.
    """

    heads: int
    removed: int
    whole: Estimate
    pruned: Estimate
    before: Cost
    after: Cost
    tokens: int
    size_bytes: int


@register
@dataclass(frozen=True)
class Why(Experiment):
    """Heads go in an order of importance.

    Attributes:
        share: Of all heads, those of the link's mask among them.
        order: A key of `ORDERS`.
    """

    name = "why"
    told: ClassVar[Told] = {"share": lambda one: f"{one:.0%}", "order": lambda one: tr(ORDERS[one])}

    share: float = 0.4
    order: str = "gradient"

    @classmethod
    def refusal(cls, subject: Subject) -> Later | None:
        anatomy = subject.model.anatomy
        if anatomy.support == "none":
            return later("the heads of this model cannot be removed: {reason}", reason=anatomy.reason)
        return None

    @classmethod
    def choose(cls, subject: Subject) -> Self:
        left, right = st.columns(2)
        share = left.select_slider(
            tr("Heads to remove"), SHARES, cls.share, format_func=cls.told["share"], key="lesson_why_share",
            persist_state="session", help=tr("The share of all attention heads of the model that goes."),
        )  # fmt: skip
        order = right.selectbox(
            tr("Which go first"), list(ORDERS), format_func=cls.told["order"], key="lesson_why_order",
            persist_state="session",
            help=tr("Importance is how strongly the loss on the calibration rows reacts to a head: the absolute "
                    "gradient."),
        )  # fmt: skip
        return cls(share or cls.share, order or cls.order)

    def guess(self, subject: Subject) -> Guess:
        classes = max(2, len(subject.evaluation.class_names))
        most = 10.0 * math.ceil(10 * (1 - 1 / classes))  # down to guessing
        return guess_of(bool(subject.evaluation.class_names), (-5.0, most, 1.0, 10.0), (-0.5, 6.0, 0.05, 1.0))

    def run(self, subject: Subject, report: Report) -> WhyOutcome:
        from pruning.cost import count_cost
        from pruning.evaluation import evaluate

        begin, model = counted(report, 3), subject.model
        heads = model.anatomy.total_heads
        scored = affordable(model, subject.calibration, 12)  # a backward pass costs about two forward ones
        rows = affordable(model, subject.evaluation, 5)
        mask = self._mask(subject, scored, begin(later("Scoring the heads")))
        whole = evaluate(model, rows, on_progress=begin(later("Measuring the whole model")))
        pruned = evaluate(model, rows, mask, on_progress=begin(later("Measuring the pruned model")))
        difference, costs = lost(whole, pruned), count_cost(model, max(2, round(rows.tokens or 2)))
        return WhyOutcome(
            truth=difference.value, low=difference.low, high=difference.high, samples=len(rows),
            heads=heads, removed=len(mask.heads), whole=value_of(whole), pruned=value_of(pruned),
            before=costs.total, after=costs.after(mask), tokens=costs.tokens, size_bytes=model.size_bytes,
        )  # fmt: skip

    def _mask(self, subject: Subject, scored: object, progress: object) -> Mask:
        """The link's mask, and heads in the chosen order until the share is reached."""
        from pruning.importance.context import Setting
        from pruning.importance.scoring import score

        setting, given = Setting(mask=subject.mask), subject.mask.heads
        found = score(subject.model, self.order, scored, progress=progress, setting=setting)  # type: ignore[arg-type]
        wanted = round(self.share * len(found.keep_values)) - len(given)
        others = [unit for unit in found.ranked() if unit not in given]
        return subject.mask | mask_of("heads", others[: max(0, wanted)])

    def draw(self, subject: Subject, outcome: Outcome, theme: Theme) -> None:
        assert isinstance(outcome, WhyOutcome)
        classes = bool(subject.evaluation.class_names)
        title, rows = self.title(outcome, classes), left_rows(outcome, classes)
        per = tr("MACs for {n} tokens", n=outcome.tokens) if outcome.tokens else tr("MACs for one image")
        note = tr("{order}; {macs}; n = {n:,} rows", order=tr(ORDERS[self.order]), macs=per, n=outcome.samples)
        figure = left_chart(rows, title=title, subtitle=note, theme=theme)
        alt = f"{title}. " + " · ".join(f"{row.name}: {row.text}" for row in rows)
        st.plotly_chart(figure, theme=None, config=CONFIG, key="lesson_why_figure", alt=alt)
        st.markdown(self.sentence(outcome, classes))
        with st.expander(tr("As a table")):
            st.dataframe(table(outcome, classes), hide_index=True)

    def title(self, outcome: WhyOutcome, classes: bool) -> str:
        """The finding: three changes."""
        smaller = 1 - outcome.after.parameters / outcome.before.parameters
        heads = outcome.removed / outcome.heads
        if not classes:
            return tr("{heads:.0%} fewer heads: {size:.0%} smaller, the loss changes by {change}", heads=heads,
                      size=smaller, change=look.number(outcome.truth))  # fmt: skip
        if outcome.truth < 0:
            return tr("{heads:.0%} fewer heads: {size:.0%} smaller, {points} points gained", heads=heads, size=smaller,
                      points=tenths(-outcome.truth))  # fmt: skip
        return tr("{heads:.0%} fewer heads: {size:.0%} smaller, {points} points lost", heads=heads, size=smaller,
                  points=tenths(outcome.truth))  # fmt: skip

    def sentence(self, outcome: WhyOutcome, classes: bool) -> str:
        """The numbers with their intervals."""
        assert outcome.low is not None
        assert outcome.high is not None
        change = difference_text(Estimate(outcome.truth, outcome.low, outcome.high), classes)
        unclear = outcome.low <= 0 <= outcome.high
        words = {"whole": value_text(outcome.whole, classes), "pruned": value_text(outcome.pruned, classes)}
        if unclear:
            return tr("Before: {whole}; after: {pruned}. Worse by **{change}** on the same {n:,} rows: the interval "
                      "holds zero, so these rows cannot tell the two apart.", change=change, n=outcome.samples,
                      **words)  # fmt: skip
        return tr("Before: {whole}; after: {pruned}. Worse by **{change}** on the same {n:,} rows.", change=change,
                  n=outcome.samples, **words)  # fmt: skip


def megabytes(size: float) -> str:
    return f"{look.number(size / 1e6)} MB"


def left_rows(outcome: WhyOutcome, classes: bool) -> list[Left]:
    """The bars of the figure."""
    kept, share = outcome.heads - outcome.removed, outcome.after.parameters / outcome.before.parameters
    memory = {"after": megabytes(share * outcome.size_bytes), "before": megabytes(outcome.size_bytes)}
    counts = [
        Left(tr("Heads"), kept / outcome.heads, tr("{after} of {before}", after=kept, before=outcome.heads)),
        _left(tr("Parameters"), outcome.before.parameters, outcome.after.parameters, 1e6, " M"),
        Left(tr("Memory for the weights"), share, tr("{after} of {before}", **memory)),
        _left("MACs", outcome.before.macs, outcome.after.macs, 1e6, " M"),
    ]  # fmt: skip
    if not classes:
        return counts
    whole, pruned = outcome.whole.value, outcome.pruned
    ends = (pruned.low / whole, pruned.high / whole) if whole else (None, None)
    words = tr("{after} of {before}", after=look.percent(pruned.value), before=look.percent(whole))
    return [*counts, Left(tr("Accuracy"), pruned.value / whole if whole else 1.0, words, *ends)]


def _left(name: str, before: int, after: int, unit: float, suffix: str) -> Left:
    words = tr("{after} of {before}", after=look.number(after / unit), before=f"{look.number(before / unit)}{suffix}")
    return Left(name, after / before if before else 1.0, words)


def table(outcome: WhyOutcome, classes: bool) -> pd.DataFrame:
    """Before, after and what is left."""
    share = outcome.after.parameters / outcome.before.parameters
    rows = [
        (tr("Heads"), f"{outcome.heads:,}", f"{outcome.heads - outcome.removed:,}"),
        (tr("Parameters"), f"{outcome.before.parameters:,}", f"{outcome.after.parameters:,}"),
        (tr("Memory for the weights"), megabytes(outcome.size_bytes), megabytes(share * outcome.size_bytes)),
        ("MACs", f"{outcome.before.macs:,}", f"{outcome.after.macs:,}"),
        (
            tr("Accuracy") if classes else tr("Loss"),
            value_text(outcome.whole, classes),
            value_text(outcome.pruned, classes),
        ),
    ]
    return pd.DataFrame(rows, columns=[tr("What"), tr("Whole model"), tr("Pruned model")])
