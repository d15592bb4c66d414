"""Lesson 4: the same heads under eight criteria."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
import pandas as pd
import streamlit as st

from pruning.errors import UnsupportedError
from pruning.importance import ImportanceMap, get_criterion
from pruning.importance.agreement import agree, agreement_matrix
from pruning.language import Later, later, mark, tr
from pruning.masks import HeadId
from pruning.statistics import Estimate
from ui import theme as look
from ui.charts import CONFIG
from ui.learn.base import Experiment, Guess, Outcome, Report, Subject, Told, register
from ui.learn.charts_importance import FIRST, SECOND, doomed_grid
from ui.learn.judging import affordable, counted
from ui.multiples import agreement_matrix as matrix_chart
from ui.naming import head_name, names_of
from ui.theme import Theme

if TYPE_CHECKING:
    from pruning.masks import Mask

CRITERIA = ("gradient", "magnitude", "wanda", "output-norm", "fluctuation", "entropy", "confidence", "similarity")
LOOKS_AT = {  # what each criterion knows of a head
    "gradient": mark("how the loss reacts to it"),
    "magnitude": mark("the size of its weights"),
    "wanda": mark("the size of its weights and inputs"),
    "output-norm": mark("the size of its output"),
    "fluctuation": mark("how much its output changes"),
    "entropy": mark("how narrowly it attends"),
    "confidence": mark("how sure its attention is"),
    "similarity": mark("how unlike other heads it is"),
}
LOWEST = 5  # one head in five
FEWEST = 5  # heads that make a ranking worth while
HEADS = mark("{value} heads")


@dataclass(frozen=True, kw_only=True)
class ImportanceOutcome(Outcome):
    """How many heads both criteria name.

    Attributes:
        maps: Of the criteria that this model allows, in the order of `CRITERIA`.
        lowest: How many heads each criterion was asked for.
        rank: Spearman's correlation of the two whole orders.
        refused: Criteria that this model does not allow.
    """

    maps: tuple[ImportanceMap, ...]
    lowest: int
    rank: Estimate
    refused: tuple[str, ...] = ()

    def map_of(self, criterion: str) -> ImportanceMap:
        return next(one for one in self.maps if one.criterion == criterion)


@register
@dataclass(frozen=True)
class Importance(Experiment):
    """Two of eight criteria, and the heads that each would remove first."""

    name = "importance"
    told: ClassVar[Told] = dict.fromkeys(("one", "other"), lambda one: tr(get_criterion(one).label))

    one: str = "gradient"
    other: str = "magnitude"

    @classmethod
    def refusal(cls, subject: Subject) -> Later | None:
        anatomy = subject.model.anatomy
        if anatomy.support == "none":
            return later("the heads of this model cannot be removed: {reason}", reason=anatomy.reason)
        if anatomy.total_heads < FEWEST:
            return later("this model has {n} heads, too few to compare rankings", n=anatomy.total_heads)
        return None

    @classmethod
    def choose(cls, subject: Subject) -> Self:
        words = {name: tr("{criterion}: {looks}", criterion=label(name), looks=tr(LOOKS_AT[name])) for name in CRITERIA}
        one = st.selectbox(
            tr("One criterion"), CRITERIA, format_func=words.__getitem__, key="lesson_importance_one",
            persist_state="session", help=tr("A rule that says how much a head matters. Each looks at something else."),
        )  # fmt: skip
        others = [name for name in CRITERIA if name != one]
        other = st.selectbox(
            tr("Another criterion"), others, format_func=words.__getitem__, key=f"lesson_importance_other {one}",
            persist_state="session", help=tr("The rule to compare it with."),
        )  # fmt: skip
        return cls(one or cls.one, other or others[0])

    def guess(self, subject: Subject) -> Guess:
        most = lowest_of(subject)
        return Guess(0, most, 1, most // 2, HEADS)

    def run(self, subject: Subject, report: Report) -> ImportanceOutcome:
        """Score eight times on the same rows, in the whole model: what a mask of the link removes is ranked, too."""
        from pruning.importance.scoring import score

        rows = affordable(subject.model, subject.calibration, 2 * len(CRITERIA))
        begin, maps, refused = counted(report, len(CRITERIA)), [], []
        for name in CRITERIA:
            progress = begin(later("Scoring: {criterion}", criterion=Later(get_criterion(name).label)))
            try:
                maps.append(score(subject.model, name, rows, progress=progress))
            except UnsupportedError:
                if name in (self.one, self.other):
                    raise
                refused.append(name)
        found = {one.criterion: one for one in maps}
        lowest = lowest_of(subject)
        agreement = agree(found[self.one], found[self.other], lowest)
        shared, resampled = agreement.overlap, agreement.resampled
        return ImportanceOutcome(
            truth=float(round(lowest * shared.value)), low=lowest * shared.low if resampled else None,
            high=lowest * shared.high if resampled else None, samples=len(rows), maps=tuple(maps), lowest=lowest,
            rank=agreement.spearman, refused=tuple(refused),
        )  # fmt: skip

    def draw(self, subject: Subject, outcome: Outcome, theme: Theme) -> None:
        assert isinstance(outcome, ImportanceOutcome)
        anatomy = subject.model.anatomy
        names, labels = names_of(anatomy, len(anatomy.sites)), (label(self.one), label(self.other))
        title, doomed = self.title(outcome), self._doomed(outcome)
        note = tr("Out of {heads} heads each names {k}; n = {n:,} rows", heads=anatomy.total_heads, k=outcome.lowest,
                  n=outcome.samples)  # fmt: skip
        grid = doomed_grid(
            _marks(doomed, anatomy.heads_per_site), rows=names, names=labels, title=title, subtitle=note, theme=theme
        )
        st.plotly_chart(grid, theme=None, config=CONFIG, key="lesson_importance_grid", alt=f"{title}. {note}")
        st.markdown(self.sentence(subject, outcome))
        self._matrix(outcome, anatomy.total_heads, theme)
        for name in outcome.refused:
            st.caption(tr("{criterion} cannot be computed for this model.", criterion=label(name)))
        with st.expander(tr("As a table")):
            st.dataframe(_doomed_table(doomed, names, labels), hide_index=True)
            st.dataframe(_rank_table(outcome))

    def _doomed(self, outcome: ImportanceOutcome) -> tuple[Mask, Mask]:
        """What each of the two would remove."""
        one, other = (outcome.map_of(name).lowest(outcome.lowest) for name in (self.one, self.other))
        return one, other

    def _matrix(self, outcome: ImportanceOutcome, heads: int, theme: Theme) -> None:
        values = agreement_matrix(outcome.maps).to_numpy()
        words = [label(one.criterion) for one in outcome.maps]
        hover = [
            [f"{a} · {b}<br>{look.number(values[i, j])}" for j, b in enumerate(words)] for i, a in enumerate(words)
        ]
        title, furthest = ends_of(outcome)
        figure = matrix_chart(
            values, names=words, hover=hover, theme=theme, title=title,
            subtitle=tr("Rank correlation (Spearman) of {heads} heads: 1 the same order, 0 unrelated", heads=heads),
        )  # fmt: skip
        st.plotly_chart(figure, theme=None, config=CONFIG, key="lesson_importance_matrix", alt=f"{title}. {furthest}")
        st.caption(furthest)

    def title(self, outcome: ImportanceOutcome) -> str:
        """The finding."""
        return tr("{n} of the {k} heads are the same under both", n=round(outcome.truth), k=outcome.lowest)

    def sentence(self, subject: Subject, outcome: ImportanceOutcome) -> str:
        """The numbers with their intervals, and what chance would give."""
        heads = subject.model.anatomy.total_heads
        words = {
            "n": round(outcome.truth), "k": outcome.lowest, "one": label(self.one), "other": label(self.other),
            "chance": look.number(outcome.lowest**2 / heads, 2),
            "rank": look.number(outcome.rank.value, 2),
        }  # fmt: skip
        if outcome.low is None or outcome.high is None:
            return tr("{one} and {other} share **{n} of {k}** heads; two orders drawn by lot would share {chance}. "
                      "Over all heads their ranks correlate by {rank}.", **words)  # fmt: skip
        ends = {"low": look.number(outcome.low, 2), "high": look.number(outcome.high, 2)}
        return tr(
            "{one} and {other} share **{n} of {k}** heads ({low} to {high}, n = {rows:,}); two orders drawn by lot "
            "would share {chance}. Over all heads their ranks correlate by {rank}.",
            rows=outcome.samples, **ends, **words,
        )  # fmt: skip


def lowest_of(subject: Subject) -> int:
    """How many heads a criterion is asked for."""
    return max(1, subject.model.anatomy.total_heads // LOWEST)


def label(criterion: str) -> str:
    return tr(get_criterion(criterion).label)


def ends_of(outcome: ImportanceOutcome) -> tuple[str, str]:
    """The pair that agrees most and the one that agrees least, in words."""
    values = agreement_matrix(outcome.maps).to_numpy()
    pairs = [(i, j) for i, j in combinations(range(len(outcome.maps)), 2) if np.isfinite(values[i, j])]
    if not pairs:
        return tr("Too few criteria to compare"), ""
    words = []
    for i, j in (max(pairs, key=lambda pair: values[pair]), min(pairs, key=lambda pair: values[pair])):
        one, other = label(outcome.maps[i].criterion), label(outcome.maps[j].criterion)
        words.append(tr("{one} and {other} ({value})", one=one, other=other, value=look.number(values[i, j], 2)))
    return tr("Closest: {pair}", pair=words[0]), tr("Furthest apart: {pair}.", pair=words[1])


def _marks(doomed: tuple[Mask, Mask], sizes: tuple[int, ...]) -> list[list[int]]:
    return [
        [FIRST * (HeadId(s, h) in doomed[0].heads) + SECOND * (HeadId(s, h) in doomed[1].heads) for h in range(size)]
        for s, size in enumerate(sizes)
    ]


def _doomed_table(doomed: tuple[Mask, Mask], names: list[str], labels: tuple[str, str]) -> pd.DataFrame:
    """A row for each head that one of the two names."""
    signs = {True: "×", False: ""}
    heads = sorted(doomed[0].heads | doomed[1].heads)
    columns = {tr("Head"): [head_name(head, names) for head in heads]}
    for mask, name in zip(doomed, labels, strict=True):
        columns[name] = [signs[head in mask.heads] for head in heads]
    return pd.DataFrame(columns)


def _rank_table(outcome: ImportanceOutcome) -> pd.DataFrame:
    """The matrix as numbers."""
    words = [label(one.criterion) for one in outcome.maps]
    return pd.DataFrame(agreement_matrix(outcome.maps).to_numpy().round(2), index=words, columns=words)
