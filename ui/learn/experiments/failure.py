"""Lesson 11: pruning until nothing works any more, and the signs that show it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
import pandas as pd
import streamlit as st

from pruning.language import Later, later, mark, tr
from pruning.masks import Mask
from pruning.statistics import Estimate, mean, proportion
from ui import theme as look
from ui.charts import CONFIG
from ui.learn.base import Experiment, Guess, Outcome, Report, Subject, Told, register
from ui.learn.charts_failure import failure_chart
from ui.learn.judging import affordable, counted
from ui.theme import Theme

if TYPE_CHECKING:
    from pruning.evaluation import Evaluation
    from pruning.importance.base import Progress
    from pruning.models import LoadedModel
    from pruning.tasks import Examples

SHARES = (0, 30, 50, 60, 70, 80, 90)  # percent of the heads
ASKED, USUAL = (70, 80, 90), 90
PASSES = 5  # what the sweep costs, in passes of the whole model: heads that are gone cost less


@dataclass(frozen=True)
class Stage:
    """The model with one share of its heads gone.

    Attributes:
        share: Percent that is removed.
        accuracy: A fraction; of next tokens for a language model.
        top: How much of the answers is the most frequent one.
        answer: Which one that is: the name of a class, or a token.
        confidence, spread: Mean and standard deviation of the confidence.
        recalls: Of each class that occurs; empty without classes.
        gain: How much more accurate than always the most frequent class, paired; None without classes.
        change: Of accuracy against the whole model, paired.
    """

    share: int
    accuracy: Estimate
    top: Estimate
    answer: str
    confidence: Estimate
    spread: float
    recalls: tuple[tuple[str, float], ...]
    gain: Estimate | None
    change: Estimate

    @property
    def worst(self) -> tuple[str, float] | None:
        """The class with the lowest recall."""
        return min(self.recalls, key=lambda one: one[1], default=None)


@dataclass(frozen=True)
class Collapse(Outcome):
    """The sweep.

    Attributes:
        asked: The share at which the guess was asked for.
        baseline: How often the most frequent class occurs; None without classes.
    """

    stages: tuple[Stage, ...] = ()
    asked: int = USUAL
    baseline: float | None = None

    @property
    def asked_stage(self) -> Stage:
        return next(stage for stage in self.stages if stage.share == self.asked)

    @property
    def last_good(self) -> int:
        """The largest share up to which no accuracy is clearly below the whole model's: what to roll back to."""
        good = [stage.share for stage in self.stages]
        bad = [stage.share for stage in self.stages if stage.change.high < 0]
        return max(share for share in good if not bad or share < min(bad))

    @property
    def useless(self) -> int | None:
        """The smallest share from which on accuracy is not clearly better than always the most frequent class."""
        found = None
        for stage in reversed(self.stages):
            if stage.gain is None or stage.gain.low > 0:
                break
            found = stage.share
        return found


@register
@dataclass(frozen=True)
class Failure(Experiment):
    """Removes more and more heads, the least important first.

    Attributes:
        asked: At which share, in percent, the most frequent answer is to be guessed.
    """

    name: ClassVar[str] = "failure"
    told: ClassVar[Told] = {"asked": lambda one: f"{one}%"}

    asked: int = USUAL

    @classmethod
    def refusal(cls, subject: Subject) -> Later | None:
        sites = subject.model.anatomy.sites
        if not sites or any(site.support == "none" for site in sites):
            return later("some attention heads of this model cannot be removed, so it cannot be pruned to the end")
        return None

    @classmethod
    def choose(cls, subject: Subject) -> Self:
        asked = st.segmented_control(
            tr("Heads removed"), ASKED, default=USUAL, key="lesson_failure_asked",
            format_func=cls.told["asked"],
            help=tr("All shares from 0 to 90% are measured; this is the one that your guess is about"),
        )  # fmt: skip
        return cls(asked or USUAL)

    def guess(self, subject: Subject) -> Guess:
        return Guess(0, 100, 5, 50, mark("{value}%"))

    def run(self, subject: Subject, report: Report) -> Collapse:
        from pruning.evaluation import evaluate
        from pruning.importance.scoring import score

        model, heads = subject.model, sum(subject.model.anatomy.heads_per_site)
        rows = affordable(model, subject.evaluation, PASSES)
        few = affordable(model, subject.calibration, PASSES)
        begin = counted(report, len(SHARES) + 1)
        importance = score(model, "gradient", few, progress=begin(mark("Scoring the heads")))
        whole: Evaluation | None = None
        stages = []
        for share in SHARES:
            mask = importance.lowest(round(share / 100 * heads)) | subject.mask
            progress = begin(later("Measuring with {n}% of the heads removed", n=share))
            found = evaluate(model, rows, mask, on_progress=progress)
            whole = whole or found
            stages.append(stage_of(share, found, whole, answers(model, rows, mask, found, progress)))
        asked = next(stage for stage in stages if stage.share == self.asked)
        return Collapse(
            truth=100 * asked.top.value,
            low=100 * asked.top.low,
            high=100 * asked.top.high,
            samples=len(rows),
            stages=tuple(stages),
            asked=self.asked,
            baseline=most_frequent_class(whole)[1] if whole and rows.class_names else None,
        )

    def draw(self, subject: Subject, outcome: Outcome, theme: Theme) -> None:
        assert isinstance(outcome, Collapse)
        title = title_of(outcome)
        subtitle = tr(
            "The least important heads go first · n = {n:,}, accuracy with its 95% interval", n=outcome.samples
        )
        lines = {
            "accuracy": [stage.accuracy for stage in outcome.stages],
            "top": [stage.top for stage in outcome.stages],
            "confidence": [stage.confidence for stage in outcome.stages],
        }
        worst = [stage.worst for stage in outcome.stages]
        figure = failure_chart(
            [stage.share for stage in outcome.stages], lines, [one[1] for one in worst if one], outcome.baseline,
            outcome.asked, title, subtitle, theme,
        )  # fmt: skip
        st.plotly_chart(figure, theme=None, config=CONFIG, key="lesson_failure_figure", alt=title)
        st.markdown(" ".join(sentences_of(outcome)))
        with st.expander(tr("As a table")):
            st.dataframe(table_of(outcome), hide_index=True, width="stretch", key="lesson_failure_table")


def most_frequent_class(evaluation: Evaluation) -> tuple[int, float]:
    """Index and share of the class that most of the rows have."""
    counts = np.bincount(evaluation.targets)
    return int(counts.argmax()), float(counts.max() / counts.sum())


def answers(
    model: LoadedModel, rows: Examples, mask: Mask, found: Evaluation, progress: Progress
) -> tuple[str, Estimate]:
    """The most frequent answer and its share: of the classes predicted, or of the tokens predicted in every place."""
    if found.class_names:
        counts = np.bincount(found.outcome.predicted)
        return found.class_names[int(counts.argmax())], proportion(int(counts.max()), len(rows))
    import torch

    from pruning.gating import gated
    from pruning.tasks import batches, forward

    tokens: list[np.ndarray] = []  # of each row
    with gated(model, mask), torch.inference_mode():
        for batch in batches(rows, 32, model.device):
            tokens += list(forward(model.module, batch).argmax(-1).cpu().numpy())
            progress(len(tokens), len(rows))
    top = int(np.bincount(np.concatenate(tokens)).argmax())
    name = model.processor.decode([top]).strip() if model.processor else str(top)
    return name or "␣", mean(np.array([(row == top).mean() for row in tokens]))


def stage_of(share: int, found: Evaluation, whole: Evaluation, answer: tuple[str, Estimate]) -> Stage:
    """What one evaluation says about a model that may be failing."""
    from pruning.evaluation import compare

    recalls: tuple[tuple[str, float], ...] = ()
    gain = None
    hits, targets = found.outcome.hits, found.targets
    if found.class_names:
        occurring = np.unique(targets)
        recalls = tuple((found.class_names[i], float(hits[targets == i].mean())) for i in occurring)
        gain = mean(hits - (targets == most_frequent_class(found)[0]))
    return Stage(
        share=share,
        accuracy=found.metrics["accuracy"],
        top=answer[1],
        answer=answer[0],
        confidence=found.metrics["confidence"],
        spread=float(found.outcome.confidences.std()),
        recalls=recalls,
        gain=gain,
        change=compare(whole, found).differences["accuracy"],
    )


# What is said -----------------------------------------------------------------------------------------------------


def title_of(outcome: Collapse) -> str:
    """The finding: where it becomes useless, or how far it goes."""
    last = outcome.stages[-1]
    if outcome.useless is not None:
        return tr("From {n}% on, accuracy is no better than always giving one answer", n=outcome.useless)
    return tr("With {n}% of the heads gone, {top:.0%} of the answers are the same", n=last.share, top=last.top.value)


def sentences_of(outcome: Collapse) -> list[str]:
    stage = outcome.asked_stage
    found = [
        tr(
            "With {share}% of the heads gone, **{top}** get the answer “{answer}”; accuracy is {accuracy}, mean "
            "confidence {confidence:.0%} ± {spread:.0%}.",
            share=stage.share,
            top=look.proportion(stage.top, outcome.samples),
            answer=look.plain(stage.answer),
            accuracy=look.proportion(stage.accuracy),
            confidence=stage.confidence.value,
            spread=stage.spread,
        )
    ]
    if stage.worst:
        found.append(
            tr(
                "The lowest recall is {recall:.0%}, of “{name}”.",
                recall=stage.worst[1],
                name=look.plain(stage.worst[0]),
            )
        )
    found.append(
        tr("Roll back to **{n}%**: up to there accuracy is not clearly lower than before.", n=outcome.last_good)
    )
    return found


def table_of(outcome: Collapse) -> pd.DataFrame:
    rows = []
    for stage in outcome.stages:
        row = {
            tr("Heads removed"): f"{stage.share}%",
            tr("Accuracy"): look.proportion(stage.accuracy),
            tr("Most frequent answer"): f"{stage.answer} · {look.percent(stage.top.value)}",
            tr("Mean confidence"): look.percent(stage.confidence.value),
            tr("Spread of confidence"): look.percent(stage.spread),
        }
        if stage.recalls:
            row[tr("Recall of each class")] = " · ".join(f"{name} {value:.0%}" for name, value in stage.recalls)
        rows.append(row)
    return pd.DataFrame(rows)
