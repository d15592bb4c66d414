"""Lesson 5: the same number of heads goes in three ways, which differ in where they take them from."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Self

import pandas as pd
import streamlit as st

from pruning.importance import Criterion, get_criterion
from pruning.importance.fusion import Fusion
from pruning.language import Later, later, listing, mark, tr
from pruning.search.base import Unit, get_strategy
from pruning.search.budget import Gauge
from pruning.search.context import SearchContext
from pruning.statistics import Estimate
from ui.charts import CONFIG
from ui.learn.base import Experiment, Guess, Outcome, Report, Subject, Told, register
from ui.learn.charts_budgets import Spending, spending_chart
from ui.learn.judging import affordable, counted, difference_text, guess_of, lost, tenths, value_of, value_text
from ui.naming import names_of
from ui.theme import Theme, number, percent

if TYPE_CHECKING:
    from pruning.evaluation import Evaluation
    from pruning.importance.context import Setting
    from pruning.masks import Mask

WAYS = {  # strategies of the engine, by what they do to layers
    "one-shot": mark("One threshold for all layers"),
    "uniform": mark("The same share of each layer"),
    "layer-adaptive": mark("Layer-adaptive (LAMP)"),
}
SHARES = (0.3, 0.4, 0.5, 0.6, 0.7)
FUSED = ("gradient", "magnitude")
SCORES = {
    "magnitude": mark("Weight magnitude"),
    "gradient": mark("Absolute gradient"),
    "fused": mark("Both, fused by rank"),
}


@dataclass(frozen=True)
class Way:
    """One way and what it did.

    Attributes:
        removed: Heads by layer.
        value: Accuracy as a fraction, or the loss.
    """

    name: str
    removed: tuple[int, ...]
    value: Estimate


@dataclass(frozen=True, kw_only=True)
class BudgetsOutcome(Outcome):
    """The distance of the best way from the worst, and every way in the order of `WAYS`."""

    whole: Estimate
    ways: tuple[Way, ...]
    apart: Estimate

    @property
    def gone(self) -> int:
        return sum(self.ways[0].removed)


@dataclass(frozen=True, eq=False)
class ScoredOnce(SearchContext):
    """Three strategies ask for the same scores: they are computed for the first."""

    @classmethod
    def of(cls, context: SearchContext) -> ScoredOnce:
        return cls(**{field.name: getattr(context, field.name) for field in fields(context)})

    @cached_property
    def _scores(self) -> dict[Unit, float]:
        return super().importance()

    def importance(self, setting: Setting | None = None, done: int = 0, total: int = 1) -> dict[Unit, float]:
        return self._scores


@register
@dataclass(frozen=True)
class Budgets(Experiment):
    """One budget, three ways to spend it.

    Attributes:
        share: Of the heads, that goes.
        score: What ranks them: a key of `SCORES`.
    """

    name = "budgets"
    told: ClassVar[Told] = {"share": lambda one: f"{one:.0%}", "score": lambda one: tr(SCORES[one])}

    share: float = 0.5
    score: str = "magnitude"

    @classmethod
    def refusal(cls, subject: Subject) -> Later | None:
        sites = [site for site in subject.model.anatomy.sites if site.support == "prune"]
        if len(sites) < 2:
            return later(
                "it has fewer than two attention layers whose heads can be cut, so there is nothing to share out"
            )
        return None

    @classmethod
    def choose(cls, subject: Subject) -> Self:
        left, right = st.columns(2)
        share = left.selectbox(
            tr("Heads to remove"), SHARES, index=SHARES.index(cls.share), format_func=cls.told["share"],
            key="lesson_budgets_share", help=tr("The budget: all three ways remove this share of all heads."),
        )  # fmt: skip
        score = right.selectbox(
            tr("Ranked by"), list(SCORES), format_func=cls.told["score"], key="lesson_budgets_score",
            help=tr("What says which head is least important: the size of its weights, how strongly the loss reacts to "
                    "it, or the mean of its ranks under both."),
        )  # fmt: skip
        return cls(share, score)

    def guess(self, subject: Subject) -> Guess:
        return guess_of(bool(subject.evaluation.class_names), (0.0, 40.0, 1.0, 5.0), (0.0, 4.0, 0.05, 0.5))

    @property
    def criterion(self) -> Criterion:
        return Fusion(FUSED) if self.score == "fused" else get_criterion(self.score)()

    def run(self, subject: Subject, report: Report) -> BudgetsOutcome:
        """Score once, choose three times, measure four times; the interval is that of the paired difference between
        the best and the worst, as if these two had been named beforehand."""
        from pruning.evaluation import evaluate

        begin = counted(report, 2 + len(WAYS))
        masks = self._masks(subject, begin(later("Scoring the heads")))
        rows = affordable(subject.model, subject.evaluation, 1 + len(WAYS))
        whole = evaluate(subject.model, rows, on_progress=begin(later("Measuring the whole model")))
        found: dict[str, Evaluation] = {}
        for name, mask in masks.items():
            step = later("Measuring: {way}", way=Later(WAYS[name]))
            found[name] = evaluate(subject.model, rows, mask, on_progress=begin(step))
        apart = _apart(list(found.values()))
        ways = tuple(Way(name, _by_layer(subject, masks[name]), value_of(found[name])) for name in WAYS)
        return BudgetsOutcome(
            truth=apart.value, low=apart.low, high=apart.high, samples=len(rows), whole=value_of(whole), ways=ways,
            apart=apart,
        )  # fmt: skip

    def _masks(self, subject: Subject, progress: object) -> dict[str, Mask]:
        """What each way removes."""
        from pruning.search.planning import Request, search_context

        request = Request(criterion=self.criterion)
        context = ScoredOnce.of(search_context(subject.model, subject.calibration, request, progress=progress))  # type: ignore[arg-type]
        gauge = Gauge("heads", subject.model.anatomy, context.costs)
        return {name: get_strategy(name)()(context).mask_for(gauge, 1 - self.share) for name in WAYS}

    def draw(self, subject: Subject, outcome: Outcome, theme: Theme) -> None:
        assert isinstance(outcome, BudgetsOutcome)
        classes, anatomy = bool(subject.evaluation.class_names), subject.model.anatomy
        names, sizes = names_of(anatomy, len(anatomy.sites)), anatomy.heads_per_site
        rows = [
            Spending(f"{tr(WAYS[way.name])} · <b>{value_text(way.value, classes)}</b>", way.removed)
            for way in outcome.ways
        ]
        title = self.title(outcome, classes)
        subtitle = tr(
            "{n} of {heads} heads removed, ranked by: {score}; n = {rows:,}",
            n=outcome.gone, heads=sum(sizes), score=tr(SCORES[self.score]), rows=outcome.samples,
        )  # fmt: skip
        figure = spending_chart(rows, sizes, names, title=title, subtitle=subtitle, theme=theme)
        words = [f"{tr(WAYS[way.name])}: {value_text(way.value, classes)}" for way in outcome.ways]
        st.plotly_chart(
            figure, theme=None, config=CONFIG, key="lesson_budgets_figure", alt=f"{title}. {listing(words)}"
        )
        st.markdown(self.sentence(outcome, classes))
        with st.expander(tr("As a table")):
            st.dataframe(self.table(outcome, classes, names, sizes), hide_index=True)

    def title(self, outcome: BudgetsOutcome, classes: bool) -> str:
        """The finding: an interval that holds zero finds nothing."""
        if outcome.apart.low <= 0:
            return tr("Here the three ways cannot be told apart")
        if classes:
            return tr("The same budget, {points} points apart", points=tenths(outcome.truth))
        return tr("The same budget, {loss} apart in loss", loss=number(outcome.truth))

    def sentence(self, outcome: BudgetsOutcome, classes: bool) -> str:
        """The numbers with their intervals."""
        order = sorted(outcome.ways, key=lambda way: way.value.value, reverse=classes)
        return tr(
            "Best: {best}. Worst: {worst}. Between them lie **{difference}**, on the same {n:,} rows. The whole model: "
            "{whole}.",
            best=tr(WAYS[order[0].name]), worst=tr(WAYS[order[-1].name]),
            difference=difference_text(outcome.apart, classes), n=outcome.samples,
            whole=value_text(outcome.whole, classes),
        )  # fmt: skip

    def table(self, outcome: BudgetsOutcome, classes: bool, names: list[str], sizes: tuple[int, ...]) -> pd.DataFrame:
        """A row for each layer, and last what was left of the model."""
        left = tr("Accuracy left") if classes else tr("Loss then")
        value = percent if classes else number
        columns = {tr("Layer"): [*names, left], tr("Heads"): [*map(str, sizes), value(outcome.whole.value)]}
        for way in outcome.ways:
            columns[tr(WAYS[way.name])] = [*map(str, way.removed), value(way.value.value)]
        return pd.DataFrame(columns)


def _apart(found: list[Evaluation]) -> Estimate:
    """How much worse the worst is than the best, paired."""
    order = sorted(found, key=lambda one: value_of(one).value, reverse=bool(found[0].class_names))
    return lost(order[0], order[-1])


def _by_layer(subject: Subject, mask: Mask) -> tuple[int, ...]:
    return tuple(sum(head.site == site.index for head in mask.heads) for site in subject.model.anatomy.sites)
