"""Lesson 10: a strong cut, and how much of what it lost comes back without any training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
import pandas as pd
import streamlit as st

from pruning.errors import PruningError
from pruning.language import Later, later, mark, tr
from pruning.masks import Mask
from pruning.statistics import RESAMPLES, Estimate, percentile_interval
from ui import theme as look
from ui.charts import CONFIG
from ui.learn.base import Experiment, Guess, Outcome, Report, Subject, Told, register
from ui.learn.charts_recovery import STATES, recovery_chart
from ui.learn.judging import affordable, counted, difference_text, lost, tenths, value_of, value_text
from ui.theme import Theme

if TYPE_CHECKING:
    from pruning.evaluation import Evaluation
    from pruning.importance.base import Progress
    from pruning.models import LoadedModel
    from pruning.recovery.compensation import Compensation

SHARES = (50, 60, 70, 80)  # percent of the heads
USUAL = 70
LINK = 0  # the mask that came with the link, in the place of a share
CALIBRATION = 64  # rows: of those that a compensation is made from, more hardly help and cost seconds
PASSES = 6


@dataclass(frozen=True)
class Recovered(Outcome):
    """The whole model, the cut one, and the cut one with each compensation.

    Attributes:
        values: Accuracy, or loss where there are no classes, in the order of `STATES`.
        losses: How much worse than the whole model each is, paired; the first is 0.
        back: Share of what was lost that comes back by means and by reconstruction, in percent.
        removed, heads: Heads that are gone, and all there are.
        calibration: Rows that the compensations were made from.
    """

    values: tuple[Estimate, ...] = ()
    losses: tuple[Estimate, ...] = ()
    back: tuple[Estimate, ...] = ()
    removed: int = 0
    heads: int = 0
    calibration: int = 0
    classes: bool = True


@register
@dataclass(frozen=True)
class Recovery(Experiment):
    """Compares two compensations with doing nothing.

    Attributes:
        share: Percent of the heads that go, drawn by lot (a careless cut leaves much to mend); `LINK` for the link's
            mask.
    """

    name: ClassVar[str] = "recovery"
    told: ClassVar[Told] = {"share": lambda one: tr("{n}% of the heads", n=one) if one else tr("What the link removes")}

    share: int = USUAL

    @classmethod
    def refusal(cls, subject: Subject) -> Later | None:
        sites = subject.model.anatomy.sites
        if not sites or any(site.support != "prune" for site in sites):
            return later("some attention heads of this model cannot be cut out, so there is nothing to compensate")
        return None

    @classmethod
    def choose(cls, subject: Subject) -> Self:
        shares = [LINK, *SHARES] if subject.mask else list(SHARES)
        share = st.selectbox(
            tr("Remove"), shares, index=shares.index(LINK if subject.mask else USUAL), key="lesson_recovery_share",
            format_func=cls.told["share"],
            help=tr("The heads are drawn by lot: a careless cut, which leaves much to mend"),
        )  # fmt: skip
        return cls(share)

    def guess(self, subject: Subject) -> Guess:
        return Guess(0, 100, 5, 50, mark("{value}%"))

    def run(self, subject: Subject, report: Report) -> Recovered:
        from pruning.evaluation import evaluate
        from pruning.recovery.reconstruction import compensate, reconstruct

        model = subject.model
        rows = affordable(model, subject.evaluation, PASSES)
        few = affordable(model, subject.calibration, PASSES)
        few = few.at(range(min(CALIBRATION, len(few))))
        begin = counted(report, 6)
        mask = subject.mask if self.share == LINK else self._drawn(model)

        def measure(mask: Mask, compensation: Compensation | None, progress: Progress) -> Evaluation:
            return evaluate(model, rows, mask, compensation=compensation, on_progress=progress)

        whole = measure(Mask(), None, begin(mark("Measuring the whole model")))
        cut = measure(mask, None, begin(mark("Measuring the cut model")))
        means = compensate(model, mask, few, "mean", progress=begin(mark("Measuring the means")))
        with_means = measure(mask, means, begin(mark("Measuring with means")))
        fitted = reconstruct(model, mask, few, touched=True, progress=begin(mark("Reconstructing")))
        with_fit = measure(mask, fitted, begin(mark("Measuring with reconstruction")))
        found = (whole, cut, with_means, with_fit)
        back = tuple(returned(whole, cut, one) for one in (with_means, with_fit))
        removed = len(mask.heads)
        if not np.isfinite(back[1].value):
            raise PruningError(
                "without these {n} heads the model loses nothing on these rows, so nothing can come back: remove more",
                n=removed,
            )
        return Recovered(
            truth=back[1].value,
            low=back[1].low,
            high=back[1].high,
            samples=len(rows),
            values=tuple(value_of(one) for one in found),
            losses=tuple(lost(whole, one) for one in found),
            back=back,
            removed=removed,
            heads=sum(model.anatomy.heads_per_site),
            calibration=len(few),
            classes=bool(rows.class_names),
        )

    def _drawn(self, model: LoadedModel) -> Mask:
        """Heads by lot, always the same ones."""
        from pruning.importance.scoring import score

        importance = score(model, "random", seed=0)
        return importance.lowest(round(self.share / 100 * sum(model.anatomy.heads_per_site)))

    def draw(self, subject: Subject, outcome: Outcome, theme: Theme) -> None:
        assert isinstance(outcome, Recovered)
        title = title_of(outcome)
        subtitle = tr(
            "{removed} of {heads} heads removed, no training · n = {n:,}, 95% intervals",
            removed=outcome.removed,
            heads=outcome.heads,
            n=outcome.samples,
        )
        figure = recovery_chart(outcome.values, outcome.classes, title, subtitle, theme)
        st.plotly_chart(figure, theme=None, config=CONFIG, key="lesson_recovery_figure", alt=title)
        st.markdown(sentence_of(outcome))
        with st.expander(tr("As a table")):
            st.dataframe(table_of(outcome), hide_index=True, width="stretch", key="lesson_recovery_table")


def returned(whole: Evaluation, cut: Evaluation, mended: Evaluation) -> Estimate:
    """How much of what the cut lost comes back, in percent: 100 is all of it, below 0 it gets worse.

    A ratio of two paired differences with its bootstrap interval; not a number where nothing was lost.
    """
    quality = [one.outcome.hits if one.class_names else -one.outcome.losses for one in (whole, cut, mended)]
    first, low, high = (np.asarray(one, dtype=np.float64) for one in quality)
    lost_sum, gained_sum = (first - low).sum(), (high - low).sum()
    if lost_sum <= 0:
        return Estimate(float("nan"), float("nan"), float("nan"))
    draws = np.random.default_rng(0).integers(len(first), size=(RESAMPLES, len(first)))
    lost_drawn, gained_drawn = (first - low)[draws].sum(1), (high - low)[draws].sum(1)
    ratios = np.divide(gained_drawn, lost_drawn, out=np.full(RESAMPLES, np.nan), where=lost_drawn > 0)
    return percentile_interval(float(100 * gained_sum / lost_sum), 100 * ratios)


# What is said -----------------------------------------------------------------------------------------------------


def title_of(outcome: Recovered) -> str:
    """The finding, in points of accuracy or in loss."""
    gone = outcome.losses[1].value
    means, fit = (gone - one.value for one in outcome.losses[2:])
    if outcome.classes:
        text = mark("Of {gone} points lost, reconstruction brings back {fit} and means bring back {means}")
        return tr(text, gone=tenths(gone), fit=tenths(fit), means=tenths(means))
    text = mark("Of {gone} added to the loss, reconstruction takes away {fit} and means take away {means}")
    return tr(text, gone=look.number(gone), fit=look.number(fit), means=look.number(means))


def sentence_of(outcome: Recovered) -> str:
    fit = outcome.back[1]
    return tr(
        "Against the whole model, the cut loses {cut}; with means it loses {means}, with reconstruction {fit}. "
        "Reconstruction has brought back **{back}%** of what was lost ({low} to {high}, n = {n:,}), from "
        "{rows} calibration rows without labels.",
        cut=difference_text(outcome.losses[1], outcome.classes),
        means=difference_text(outcome.losses[2], outcome.classes),
        fit=difference_text(outcome.losses[3], outcome.classes),
        back=f"{fit.value:.0f}".replace("-", look.MINUS),
        low=f"{fit.low:.0f}".replace("-", look.MINUS),
        high=f"{fit.high:.0f}".replace("-", look.MINUS),
        n=outcome.samples,
        rows=outcome.calibration,
    )


def table_of(outcome: Recovered) -> pd.DataFrame:
    quality = tr("Accuracy") if outcome.classes else tr("Loss")
    rows = [
        {
            tr("Model"): tr(label),
            quality: value_text(value, outcome.classes),
            tr("Worse than the whole model by"): difference_text(loss, outcome.classes) if place else "",
        }
        for place, (label, value, loss) in enumerate(zip(STATES, outcome.values, outcome.losses, strict=True))
    ]
    return pd.DataFrame(rows)
