"""Lesson 8: one pruned model, measured on more and more rows and on parts that have no row in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

import pandas as pd
import streamlit as st

from pruning.language import Later, later, mark, tr
from pruning.masks import Mask
from pruning.statistics import Estimate
from ui.charts import CONFIG
from ui.learn.base import Experiment, Guess, Outcome, Report, Subject, Told, register
from ui.learn.charts_measuring import sizes_chart
from ui.learn.judging import counted, guess_of, tenths
from ui.theme import Theme, measured, number, proportion

if TYPE_CHECKING:
    from pruning.evaluation import Evaluation
    from pruning.importance.base import Progress

FOLDS = (8, 4, 2, 1)  # into how many parts the rows are divided
LEAST_ROWS, MOST_ROWS = 32, {True: 256, False: 64}  # with and without classes: a row of text holds many predictions
SCORED_ROWS = 24
NAMES = {
    "accuracy": mark("Accuracy"),
    "f1": mark("F1"),
    "recall": mark("Recall"),
    "confidence": mark("Mean confidence"),
    "calibration_error": mark("Calibration error"),
    "loss": mark("Loss"),
}
OF_CLASSES = ("f1", "recall", "calibration_error")


@dataclass(frozen=True, kw_only=True)
class MeasuringOutcome(Outcome):
    """The width of an interval, and every estimate behind it.

    Attributes:
        parts: By number of rows, ascending: the estimates on parts that have no row in common.
        removed: How many heads the model is without, in words of the mask: heads, neurons, layers.
        worse, better: Predictions that became wrong and right by pruning; None where there are no classes.
    """

    parts: tuple[tuple[int, tuple[Estimate, ...]], ...]
    removed: int
    worse: int | None = None
    better: int | None = None

    def at(self, size: int) -> tuple[Estimate, ...]:
        return dict(self.parts)[size]


@register
@dataclass(frozen=True)
class Measuring(Experiment):
    """Measure on fewer rows.

    Attributes:
        metric: A key of `NAMES`.
        folds: The interval is asked for on one of so many parts of the rows.
    """

    name = "measuring"
    told: ClassVar[Told] = {"metric": lambda one: tr(NAMES[one])}

    metric: str = "accuracy"
    folds: int = 4

    @classmethod
    def refusal(cls, subject: Subject) -> Later | None:
        rows = len(subject.evaluation)
        if rows < LEAST_ROWS:
            return later("there are {n} evaluation rows, and it takes {least}", n=rows, least=LEAST_ROWS)
        return None

    @classmethod
    def choose(cls, subject: Subject) -> Self:
        classes, rows = bool(subject.evaluation.class_names), _rows(subject)
        left, right = st.columns(2)
        metric = left.selectbox(
            tr("What is measured"), [name for name in NAMES if classes or name not in OF_CLASSES],
            format_func=cls.told["metric"], key="lesson_measuring_metric",
            help=tr("Recall: the share of a class that is found. F1: the harmonic mean of precision and recall. "
                    "Calibration error: how far confidence lies from accuracy."),
        )  # fmt: skip
        folds = right.selectbox(
            tr("Rows measured"), FOLDS[:-1], index=1, format_func=lambda one: f"{rows // one:,}",
            key="lesson_measuring_rows", help=tr("How many rows the interval that you guess stands on."),
        )  # fmt: skip
        return cls(metric, folds)

    def guess(self, subject: Subject) -> Guess:
        return guess_of(self.metric != "loss", (0.0, 50.0, 1.0, 5.0), (0.0, 2.0, 0.05, 0.2))

    @property
    def scale(self) -> float:
        return 1.0 if self.metric == "loss" else 100.0

    def run(self, subject: Subject, report: Report) -> MeasuringOutcome:
        """Measure once on all rows; the estimates on fewer rows are those of parts of them."""
        from pruning.evaluation import compare, evaluate

        classes = bool(subject.evaluation.class_names)
        begin = counted(report, 2 + classes)
        rows = subject.evaluation.at(range(_rows(subject)))
        mask = subject.mask or _half(subject, begin(later("Choosing heads to remove")))
        found = evaluate(subject.model, rows, mask, on_progress=begin(later("Measuring the pruned model")))
        parts = tuple((len(rows) // folds, _estimates(subject, found, folds, self.metric)) for folds in FOLDS)
        worse = better = None
        if classes:
            whole = evaluate(subject.model, rows, on_progress=begin(later("Measuring the whole model")))
            change = compare(whole, found)
            worse, better = change.count("worse"), change.count("better")
        size = len(rows) // self.folds
        first = dict(parts)[size][0]
        return MeasuringOutcome(
            truth=self.scale * (first.high - first.low), samples=size, parts=parts, removed=len(mask.heads),
            worse=worse, better=better,
        )  # fmt: skip

    def draw(self, subject: Subject, outcome: Outcome, theme: Theme) -> None:
        assert isinstance(outcome, MeasuringOutcome)
        title = self.title(outcome)
        subtitle = tr(
            "Bars: the first rows, with 95% intervals. Small dots: other parts with as many rows, none shared"
        )
        name = tr(NAMES[self.metric])
        figure = sizes_chart(
            dict(outcome.parts), outcome.samples, title=title, subtitle=subtitle, scale=self.scale, theme=theme,
            y_title=name if self.metric == "loss" else tr("{metric}, %", metric=name),
        )  # fmt: skip
        sentence = self.sentence(outcome)
        st.plotly_chart(figure, theme=None, config=CONFIG, key="lesson_measuring_figure", alt=f"{title}. {sentence}")
        st.markdown(sentence)
        if outcome.worse is not None:
            st.markdown(self.errors(outcome))
        with st.expander(tr("As a table")):
            st.dataframe(self.table(outcome), hide_index=True)

    def title(self, outcome: MeasuringOutcome) -> str:
        if self.metric == "loss":
            return tr("On {n:,} rows the interval is {loss} wide", n=outcome.samples, loss=number(outcome.truth))
        return tr("On {n:,} rows the interval is {points} points wide", n=outcome.samples, points=tenths(outcome.truth))

    def text(self, value: Estimate) -> str:
        return measured(value) if self.metric == "loss" else proportion(value)

    def sentence(self, outcome: MeasuringOutcome) -> str:
        """The estimate on few rows, on all, and how far the parts lie apart."""
        parts, (rows, (everything,)) = outcome.at(outcome.samples), outcome.parts[-1]
        low, high = min(one.value for one in parts), max(one.value for one in parts)
        return tr(
            "The first {n:,} rows give {few}, all {rows:,} give {everything}. The {k} parts of {n:,} rows range from "
            "{low} to {high}, and it is the same model.",
            n=outcome.samples, few=self.text(parts[0]), rows=rows, everything=self.text(everything), k=len(parts),
            low=self._short(low), high=self._short(high),
        )  # fmt: skip

    def _short(self, value: float) -> str:
        return number(value) if self.metric == "loss" else f"{tenths(100 * value)}%"

    def errors(self, outcome: MeasuringOutcome) -> str:
        """Which errors are new."""
        return tr(
            "Against the whole model {worse} of {n:,} predictions became wrong and {better} became right.",
            worse=outcome.worse, better=outcome.better, n=outcome.parts[-1][0],
        )  # fmt: skip

    def table(self, outcome: MeasuringOutcome) -> pd.DataFrame:
        """A row for each number of rows."""
        values = [found for _, found in outcome.parts]
        return pd.DataFrame(
            {
                tr("Rows"): [size for size, _ in outcome.parts],
                tr("The first part"): [self.text(found[0]) for found in values],
                tr("Lowest part"): [self._short(min(one.value for one in found)) for found in values],
                tr("Highest part"): [self._short(max(one.value for one in found)) for found in values],
            }
        )


def _rows(subject: Subject) -> int:
    """How many rows are measured: parts of equal size need a multiple of the largest number of parts."""
    rows = min(len(subject.evaluation), MOST_ROWS[bool(subject.evaluation.class_names)])
    return rows - rows % FOLDS[0]


def _half(subject: Subject, progress: Progress) -> Mask:
    """The less important half of the heads; nothing where heads cannot be switched off."""
    from pruning.importance.scoring import score

    heads = subject.model.anatomy.heads_per_site
    if not heads or any(site.support == "none" for site in subject.model.anatomy.sites):
        return Mask()
    rows = subject.calibration.at(range(min(SCORED_ROWS, len(subject.calibration))))
    return score(subject.model, "gradient", rows, progress=progress).lowest(sum(heads) // 2)


def _estimates(subject: Subject, found: Evaluation, folds: int, metric: str) -> tuple[Estimate, ...]:
    """The metric on each of some parts of the rows, in their order."""
    from pruning.tasks import Outcome as Answers
    from pruning.tasks import task_of

    task, size, answers = task_of(subject.model), found.samples // folds, found.outcome
    columns = (answers.losses, answers.predicted, answers.confidences, answers.hits)
    estimates = []
    for part in range(folds):
        inside = slice(part * size, (part + 1) * size)
        answered = Answers(*(column[inside] for column in columns))
        estimates.append(task.metrics(answered, found.targets[inside], len(found.class_names), 0)[metric])
    return tuple(estimates)
