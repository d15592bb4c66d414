"""Lesson 7: leave one out at a time, find the one that is missed most, and measure it on other rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

import pandas as pd
import streamlit as st

from pruning.language import Later, later, mark, tr
from pruning.scopes import Scope, mask_of, parts_of, sizes_of, units_of
from pruning.statistics import Estimate, mean
from ui.charts import CONFIG
from ui.learn.base import Experiment, Guess, Outcome, Report, Subject, Told, register
from ui.learn.charts_sensitivity import bars_chart
from ui.learn.judging import affordable, counted, difference_text, guess_of, lost, tenths
from ui.naming import names_of
from ui.theme import Theme, measured, number

if TYPE_CHECKING:
    import numpy as np

    from pruning.importance.base import Progress
    from pruning.tasks import Examples

LAYERS = -1  # in the place of a site: whole layers in turn
SCORED_ROWS = 64


@dataclass(frozen=True, kw_only=True)
class SensitivityOutcome(Outcome):
    """What the model loses without the one that it misses most.

    Attributes:
        rises: Rise of the loss without each unit, on calibration rows; None where the mask has removed it already.
        top: Position of the most needed.
        lost: Without it, on evaluation rows: points of accuracy, or loss.
        scored: Number of calibration rows.
    """

    rises: tuple[Estimate | None, ...]
    top: int
    lost: Estimate
    scored: int

    @property
    def unclear(self) -> int:
        """For how many the interval holds zero."""
        return sum(one is not None and one.low <= 0 <= one.high for one in self.rises)

    @property
    def tried(self) -> int:
        return sum(one is not None for one in self.rises)


@register
@dataclass(frozen=True)
class Sensitivity(Experiment):
    """Leave one out.

    Attributes:
        part: The site whose heads are left out one at a time; `LAYERS` leaves out whole layers.
    """

    name = "sensitivity"
    told: ClassVar[Told] = {
        "part": lambda one: tr("Whole layers") if one == LAYERS else tr("Heads: {layer}", layer=one)
    }

    part: int = LAYERS

    @classmethod
    def refusal(cls, subject: Subject) -> Later | None:
        if not _parts(subject):
            return later("it has no layers or heads that can be switched off, so there is nothing to leave out")
        return None

    @classmethod
    def choose(cls, subject: Subject) -> Self:
        names = names_of(subject.model.anatomy, len(subject.model.anatomy.sites))
        part = st.selectbox(
            tr("Leave out, one at a time"), _parts(subject), key="lesson_sensitivity_part",
            format_func=lambda one: tr("Whole layers") if one == LAYERS else tr("Heads: {layer}", layer=names[one]),
            help=tr("A whole layer is its attention and its feed-forward block together. Heads are tried within one "
                    "layer, so that it takes seconds."),
        )  # fmt: skip
        return cls(part)

    def guess(self, subject: Subject) -> Guess:
        classes = bool(subject.evaluation.class_names)
        if self.part == LAYERS:
            return guess_of(classes, (0.0, 90.0, 1.0, 5.0), (0.0, 8.0, 0.1, 0.5))
        return guess_of(classes, (-5.0, 25.0, 1.0, 0.0), (-0.2, 2.0, 0.02, 0.0))

    @property
    def scope(self) -> Scope:
        return "layers" if self.part == LAYERS else "heads"

    def run(self, subject: Subject, report: Report) -> SensitivityOutcome:
        """Every one is left out on calibration rows; the worst loss is measured again on evaluation rows, because the
        largest of many is partly luck."""
        from pruning.evaluation import evaluate

        begin = counted(report, 3)
        units = self._units(subject)
        scored = affordable(subject.model, subject.calibration, 1 + len(units) / 2, SCORED_ROWS)
        rises = self._rises(subject, scored, units, begin(later("Leaving out one at a time")))
        gone = units_of(subject.mask, self.scope)
        found = tuple(None if unit in gone else mean(column) for unit, column in zip(units, rises.T, strict=True))
        top = max(range(len(found)), key=lambda place: -float("inf") if (one := found[place]) is None else one.value)
        rows = affordable(subject.model, subject.evaluation, 2)
        before = evaluate(subject.model, rows, subject.mask, on_progress=begin(later("Measuring with it")))
        without = subject.mask | mask_of(self.scope, [units[top]])
        after = evaluate(subject.model, rows, without, on_progress=begin(later("Measuring without it")))
        loss = lost(before, after)
        return SensitivityOutcome(
            truth=loss.value, low=loss.low, high=loss.high, samples=len(rows), rises=found, top=top, lost=loss,
            scored=len(scored),
        )  # fmt: skip

    def _units(self, subject: Subject) -> list[tuple[int, int]]:
        anatomy = subject.model.anatomy
        if self.part == LAYERS:
            return [(layer, 0) for layer in range(len(anatomy.layers))]
        return [(self.part, head) for head in range(anatomy.sites[self.part].heads)]

    def _rises(self, subject: Subject, rows: Examples, units: list[tuple[int, int]], progress: Progress) -> np.ndarray:
        """Rise of each row's loss without each unit, ``(example, unit)``, in the model that the mask has left."""
        from pruning.importance.ablation import loss_rises
        from pruning.importance.context import ScoringContext, Setting
        from pruning.tasks import task_of

        sizes = sizes_of(subject.model.anatomy, self.scope)
        chosen = [sum(sizes[:part]) + unit for part, unit in units]
        setting = Setting(subject.mask)
        context = ScoringContext(subject.model, task_of(subject.model), rows, 32, 0, progress, self.scope, setting)
        return loss_rises(context, chosen)

    def draw(self, subject: Subject, outcome: Outcome, theme: Theme) -> None:
        assert isinstance(outcome, SensitivityOutcome)
        classes = bool(subject.evaluation.class_names)
        names = self.names(subject)
        title = self.title(outcome, names, classes)
        subtitle = tr("Rise of the loss when one is left out, {n:,} calibration rows, 95% intervals", n=outcome.scored)
        figure = bars_chart(
            names, outcome.rises, outcome.top, title=title, subtitle=subtitle, theme=theme,
            x_title=tr("layer that is left out") if self.part == LAYERS else tr("head that is left out"),
            y_title=tr("rise of the loss"),
        )  # fmt: skip
        st.plotly_chart(
            figure, theme=None, config=CONFIG, key="lesson_sensitivity_figure",
            alt=f"{title}. {self.sentence(outcome, names, classes)}",
        )  # fmt: skip
        st.markdown(self.sentence(outcome, names, classes))
        with st.expander(tr("As a table")):
            rises = [tr("removed already") if one is None else measured(one) for one in outcome.rises]
            st.dataframe(pd.DataFrame({tr("Left out"): names, tr("Rise of the loss"): rises}), hide_index=True)

    def names(self, subject: Subject) -> list[str]:
        """Of what is left out, in its order."""
        units = self._units(subject)
        if self.part == LAYERS:
            return [tr("Layer {n}", n=layer) for layer, _ in units]
        return [tr("Head {n}", n=head) for _, head in units]

    def title(self, outcome: SensitivityOutcome, names: list[str], classes: bool) -> str:
        """The finding on evaluation rows: an interval that holds zero finds nothing."""
        name, found = names[outcome.top], outcome.lost
        if found.low <= 0:
            return tr("{unit} seems to matter most, but on other rows it is not clearly missed", unit=name)
        if classes:
            return tr("{unit} is missed most: {points} points of accuracy", unit=name, points=tenths(found.value))
        return tr("{unit} is missed most: the loss rises by {loss}", unit=name, loss=number(found.value))

    def sentence(self, outcome: SensitivityOutcome, names: list[str], classes: bool) -> str:
        """The numbers with their intervals."""
        best = outcome.rises[outcome.top]
        assert best is not None
        message = mark(
            "Without it the loss rises by {rise} on the {scored:,} rows that found it; on {n:,} other rows the model "
            "loses **{lost}**. Of {tried} tried, {unclear} have an interval that holds zero."
        )
        return tr(
            message, rise=measured(best), scored=outcome.scored, n=outcome.samples, tried=outcome.tried,
            lost=difference_text(outcome.lost, classes), unclear=outcome.unclear,
        )  # fmt: skip


def _parts(subject: Subject) -> list[int]:
    """What can be left out here: whole layers, and the sites of which more than one head is left."""
    anatomy, gone = subject.model.anatomy, subject.mask
    layers = parts_of(anatomy, "layers")
    found = [LAYERS] if len(layers) - len(gone.layers) > 1 and all(one.support != "none" for one in layers) else []
    dead = {site for layer in gone.layers for site in anatomy.layers[layer].sites}
    for site in anatomy.sites:
        left = site.heads - sum(head.site == site.index for head in gone.heads)
        if site.support != "none" and left > 1 and site.index not in dead:
            found.append(site.index)
    return found
