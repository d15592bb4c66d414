"""Lesson 6: everything scored once, against scoring again each time that a part of it has gone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

import pandas as pd
import streamlit as st

from pruning.language import Later, later, listing, mark, tr
from pruning.scopes import Scope, sizes_of
from pruning.search.budget import Budget
from pruning.search.iterative import Iterative
from pruning.statistics import Estimate
from ui.charts import CONFIG
from ui.learn.base import Experiment, Guess, Outcome, Report, Subject, Told, register
from ui.learn.charts_adaptive import pair_chart
from ui.learn.judging import affordable, counted, difference_text, guess_of, lost, tenths, value_of, value_text
from ui.theme import Theme, number, percent

if TYPE_CHECKING:
    from pruning.evaluation import Evaluation
    from pruning.importance.base import Progress
    from pruning.masks import Mask
    from pruning.search.base import Strategy
    from pruning.search.planning import Planner

SCORED_ROWS, MEASURED_ROWS = 24, 128
ROUNDS = (2, 3, 4)
BACKWARD = 3  # a scoring by gradients takes about three forward passes


@dataclass(frozen=True)
class Choice:
    """What competes, by what, and how much of it goes.

    Attributes:
        budget: Whether heads or multiply-accumulates are counted.
        shares: That go, ascending.
    """

    label: str
    criterion: str
    scopes: tuple[Scope, ...]
    budget: str
    shares: tuple[float, ...]


CHOICES = {
    "gradient": Choice(mark("Heads, by gradient"), "gradient", ("heads",), "heads", (0.5, 0.7, 0.85)),
    "attention": Choice(
        mark("Heads, by how sharply they attend"), "confidence", ("heads",), "heads", (0.15, 0.3, 0.45)
    ),
    "levels": Choice(
        mark("Heads and neurons together, by gradient"), "gradient", ("heads", "neurons"), "macs", (0.2, 0.35)
    ),
}


@dataclass(frozen=True)
class Cut:
    """The model after the same budget was spent in both ways.

    Attributes:
        once, again: Accuracy as a fraction, or the loss.
        shared: How much of what goes is the same in both, 0 to 1.
    """

    share: float
    once: Estimate
    again: Estimate
    shared: float


@dataclass(frozen=True, kw_only=True)
class AdaptiveOutcome(Outcome):
    """What scoring again wins at the deepest cut."""

    whole: Estimate
    cuts: tuple[Cut, ...]
    won: Estimate
    scored: int


@register
@dataclass(frozen=True)
class Adaptive(Experiment):
    """One shot against several rounds.

    Attributes:
        what: A key of `CHOICES`.
        rounds: How often everything left is scored.
    """

    name = "adaptive"
    told: ClassVar[Told] = {"what": lambda one: tr(CHOICES[one].label)}

    what: str = "gradient"
    rounds: int = 4

    @classmethod
    def refusal(cls, subject: Subject) -> Later | None:
        heads = sum(site.heads for site in subject.model.anatomy.sites if site.support == "prune")
        if heads < 2 * max(ROUNDS):
            return later("it has only {n} heads that can be cut, too few to remove them in rounds", n=heads)
        return None

    @classmethod
    def choose(cls, subject: Subject) -> Self:
        anatomy = subject.model.anatomy
        can = [key for key, one in CHOICES.items() if "neurons" not in one.scopes or anatomy.blocks]
        left, right = st.columns([3, 2])
        what = left.selectbox(
            tr("What goes, ranked by"), can, format_func=cls.told["what"],
            key="lesson_adaptive_what",
            help=tr("A gradient looks at the loss; how sharply a head attends looks at its attention alone. Heads and "
                    "neurons together are weighed by what each of them saves."),
        )  # fmt: skip
        rounds = right.selectbox(
            tr("Rounds of scoring"), ROUNDS, index=ROUNDS.index(cls.rounds), key="lesson_adaptive_rounds",
            help=tr("With 4 rounds a quarter goes, the rest is scored again in the model that is left, and so on."),
        )  # fmt: skip
        return cls(what, rounds)

    def guess(self, subject: Subject) -> Guess:
        return guess_of(bool(subject.evaluation.class_names), (-20.0, 60.0, 1.0, 0.0), (-2.0, 4.0, 0.05, 0.0))

    @property
    def chosen(self) -> Choice:
        return CHOICES[self.what]

    def run(self, subject: Subject, report: Report) -> AdaptiveOutcome:
        """Two searches on calibration rows, then both orders cut at three places and measured on evaluation rows."""
        from pruning.evaluation import evaluate

        shares = self.chosen.shares
        begin = counted(report, 3 + 2 * len(shares))
        anatomy = subject.model.anatomy
        units = sum(sum(sizes_of(anatomy, scope)) for scope in self.chosen.scopes)
        once = self._search(subject, "one-shot", begin(later("Scoring once")))
        step = Iterative(step=-(-units // self.rounds))
        again = self._search(subject, step, begin(later("Scoring again after each part")))
        rows = affordable(subject.model, subject.evaluation, 1 + 2 * len(shares), MEASURED_ROWS)
        whole = evaluate(subject.model, rows, on_progress=begin(later("Measuring the whole model")))
        cuts = []
        for share in shares:
            masks = [self._mask(planner, share) for planner in (once, again)]
            step_name = later("Measuring with {share:.0%} removed", share=share)
            first, second = (evaluate(subject.model, rows, mask, on_progress=begin(step_name)) for mask in masks)
            cuts.append(Cut(share, value_of(first), value_of(second), _shared(*masks)))
        return self._outcome(whole, cuts, lost(second, first), len(rows), _scored(subject))

    def _outcome(self, whole: Evaluation, cuts: list[Cut], won: Estimate, samples: int, scored: int) -> AdaptiveOutcome:
        return AdaptiveOutcome(
            truth=won.value, low=won.low, high=won.high, samples=samples, whole=value_of(whole), cuts=tuple(cuts),
            won=won, scored=scored,
        )  # fmt: skip

    def _search(self, subject: Subject, strategy: str | Strategy, progress: Progress) -> Planner:
        from pruning.search.planning import Request, search

        request = Request(self.chosen.criterion, strategy, self.chosen.scopes)
        rows = subject.calibration.at(range(_scored(subject)))
        return search(subject.model, rows, request, progress=progress)

    def _mask(self, planner: Planner, share: float) -> Mask:
        return planner.plan(Budget(self.chosen.budget, 1 - share)).mask  # type: ignore[arg-type]

    def draw(self, subject: Subject, outcome: Outcome, theme: Theme) -> None:
        assert isinstance(outcome, AdaptiveOutcome)
        classes, heads = bool(subject.evaluation.class_names), self.chosen.budget == "heads"
        title = self.title(outcome, classes)
        subtitle = tr(
            "Chosen on {scored:,} calibration rows in {rounds} rounds, measured on {n:,} evaluation rows",
            scored=outcome.scored, rounds=self.rounds, n=outcome.samples,
        )  # fmt: skip
        lines = [
            (tr("Scored once"), [cut.once for cut in outcome.cuts]),
            (tr("Scored again"), [cut.again for cut in outcome.cuts]),
        ]
        figure = pair_chart(
            [cut.share for cut in outcome.cuts], lines, outcome.whole, title=title, subtitle=subtitle, theme=theme,
            x_title=tr("heads removed, %") if heads else tr("MACs removed, %"), percent=classes,
            y_title=tr("accuracy, %") if classes else tr("loss"),
        )  # fmt: skip
        said = [f"{name}: {listing(value_text(one, classes) for one in values)}" for name, values in lines]
        st.plotly_chart(
            figure, theme=None, config=CONFIG, key="lesson_adaptive_figure", alt=f"{title}. {listing(said)}"
        )
        st.markdown(self.sentence(outcome, classes))
        with st.expander(tr("As a table")):
            st.dataframe(self.table(outcome, classes), hide_index=True)

    def title(self, outcome: AdaptiveOutcome, classes: bool) -> str:
        """The finding at the deepest cut: an interval that holds zero finds nothing."""
        won, share = outcome.won, outcome.cuts[-1].share
        if won.low <= 0 <= won.high:
            return tr("With {share:.0%} removed, scoring again makes no clear difference", share=share)
        size = abs(won.value)
        if classes:
            better = mark("With {share:.0%} removed, scoring again wins back {points} points")
            worse = mark("With {share:.0%} removed, scoring again costs {points} points")
            return tr(better if won.value > 0 else worse, share=share, points=tenths(size))
        better = mark("With {share:.0%} removed, scoring again saves {loss} of the loss")
        worse = mark("With {share:.0%} removed, scoring again adds {loss} to the loss")
        return tr(better if won.value > 0 else worse, share=share, loss=number(size))

    def sentence(self, outcome: AdaptiveOutcome, classes: bool) -> str:
        """The numbers at the deepest cut, with their intervals."""
        cut = outcome.cuts[-1]
        return tr(
            "Scored once: {once}. Scored again: {again}. The difference is **{difference}** on the same {n:,} rows. "
            "{shared:.0%} of what goes is the same in both; the whole model: {whole}.",
            once=value_text(cut.once, classes), again=value_text(cut.again, classes), n=outcome.samples,
            difference=difference_text(outcome.won, classes), shared=cut.shared,
            whole=value_text(outcome.whole, classes),
        )  # fmt: skip

    def table(self, outcome: AdaptiveOutcome, classes: bool) -> pd.DataFrame:
        """A row for each cut."""
        value = percent if classes else number
        return pd.DataFrame(
            {
                tr("Removed"): [f"{cut.share:.0%}" for cut in outcome.cuts],
                tr("Scored once"): [value(cut.once.value) for cut in outcome.cuts],
                tr("Scored again"): [value(cut.again.value) for cut in outcome.cuts],
                tr("The same in both"): [f"{cut.shared:.0%}" for cut in outcome.cuts],
            }
        )


def _scored(subject: Subject) -> int:
    """On how many calibration rows importance is measured."""
    passes = BACKWARD * (1 + ROUNDS[-1])
    return len(affordable(subject.model, subject.calibration, passes, SCORED_ROWS))


def _shared(one: Mask, other: Mask) -> float:
    """How much of what two masks remove is the same, of what the first removes."""
    both = one & other
    return (len(both.heads) + len(both.neurons)) / max(1, len(one.heads) + len(one.neurons))
