"""Lesson 3: the same number of parameters goes as single weights, heads, neurons or layers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

import pandas as pd
import streamlit as st

from pruning.errors import PruningError, UnsupportedError
from pruning.language import Later, later, mark, tr
from pruning.masks import Mask
from pruning.scopes import SCOPES, get_scope, parts_of, units_of
from pruning.statistics import Estimate
from ui import theme as look
from ui.charts import CONFIG
from ui.learn.base import Experiment, Guess, Outcome, Report, Subject, Told, register
from ui.learn.charts_kinds import Bar, kinds_chart
from ui.learn.judging import affordable, counted, difference_text, lost, value_of, value_text
from ui.theme import Theme

if TYPE_CHECKING:
    from pruning.cost import CostModel
    from pruning.evaluation import Evaluation
    from pruning.importance.base import Progress
    from pruning.models import LoadedModel
    from pruning.tasks import Examples

WEIGHTS = "weights"
KINDS = {
    WEIGHTS: mark("Single weights"),
    "heads": mark("Heads"),
    "neurons": mark("Neurons"),
    "layers": mark("Layers"),
}
STEPS = {
    WEIGHTS: mark("Removing single weights"),
    "heads": mark("Removing heads"),
    "neurons": mark("Removing neurons"),
    "layers": mark("Removing layers"),
}
SHARES = (0.1, 0.2, 0.3)
MEGABYTES = mark("{value} MB")


@dataclass(frozen=True)
class Removal:
    """What one kind of pruning did.

    Attributes:
        units: How many weights, heads, neurons or layers went.
        parameters: How many parameters they hold; set to zero where the kind is single weights.
        freed_bytes: By how much the weights are really smaller.
        macs: That really go, as a fraction of the whole model's.
        value: Accuracy as a fraction, or the loss.
        worse: Than the whole model on the same rows: points of accuracy, or the rise of the loss.
    """

    kind: str
    units: int
    parameters: int
    freed_bytes: int
    macs: float
    value: Estimate
    worse: Estimate


@dataclass(frozen=True, kw_only=True)
class KindsOutcome(Outcome):
    """Megabytes that the chosen kind frees, and what every kind did.

    Attributes:
        rows: On how many examples the costs stand; what is freed is counted.
        target: How many parameters were to go.
        refused: Kinds that cannot do that here, with the reason.
    """

    whole: Estimate
    removals: tuple[Removal, ...]
    rows: int
    target: int
    refused: tuple[tuple[str, PruningError], ...] = ()


@register
@dataclass(frozen=True)
class Kinds(Experiment):
    """One amount, four grains.

    Attributes:
        kind: The one whose size is guessed: a key of `KINDS`.
        share: Of the parameters inside the model's layers, that goes.
    """

    name = "kinds"
    told: ClassVar[Told] = {"kind": lambda one: tr(KINDS[one]), "share": lambda one: f"{one:.0%}"}

    kind: str = WEIGHTS
    share: float = 0.2

    @classmethod
    def refusal(cls, subject: Subject) -> Later | None:
        from pruning.unstructured.sparsifying import linear_paths

        try:
            linear_paths(subject.model)
        except UnsupportedError as error:
            return later("{error}", error=error)
        return None

    @classmethod
    def choose(cls, subject: Subject) -> Self:
        left, right = st.columns(2)
        kind = left.selectbox(
            tr("What goes"), _kinds_of(subject.model), format_func=cls.told["kind"],
            key=f"lesson_kinds_kind {subject.model.fingerprint}", persist_state="session",
            help=tr("Single weights are set to zero, the smallest first. Heads, neurons and layers are cut out, those "
                    "with the lowest absolute gradient first."),
        )  # fmt: skip
        share = right.select_slider(
            tr("How much of the layers"), SHARES, cls.share, format_func=cls.told["share"],
            key="lesson_kinds_share", persist_state="session",
            help=tr("The share of the parameters inside the layers that goes. Embeddings and the output stay."),
        )  # fmt: skip
        amount, size = inside(subject.model), subject.model.size_bytes / subject.model.anatomy.parameters
        st.caption(
            tr("The layers of this model hold {parameters}: {size} of the {whole} of its file.",
               parameters=look.parameters(amount), size=_mb(amount * size), whole=_mb(subject.model.size_bytes))
        )  # fmt: skip
        return cls(kind or cls.kind, share or cls.share)

    def guess(self, subject: Subject) -> Guess:
        """From nothing to all of the layers, in about a hundred steps."""
        model = subject.model
        most = inside(model) * model.size_bytes / model.anatomy.parameters / 1e6
        step = 10.0 ** round(math.log10(most / 100))
        ends = step * math.ceil(most / step)
        start = step * round(ends / step / 2)  # not the answer to any of the kinds
        return Guess(0.0, ends, step, start, MEGABYTES, max(0, round(-math.log10(step))))

    def run(self, subject: Subject, report: Report) -> KindsOutcome:
        """Remove each way and measure each on the same rows; what a mask of the link removes plays no part."""
        from pruning.cost import count_cost
        from pruning.evaluation import evaluate

        model, kinds = subject.model, _kinds_of(subject.model)
        begin = counted(report, 1 + 2 * len(kinds))
        rows, scored = affordable(model, subject.evaluation, 10), affordable(model, subject.calibration, 34)
        costs, target = count_cost(model, max(2, round(rows.tokens or 2))), round(self.share * inside(model))
        before = evaluate(model, rows, on_progress=begin(later("Measuring the whole model")))
        removals, refused = [], []
        for kind in kinds:
            choosing, measuring = begin(Later(STEPS[kind])), later("Measuring: {kind}", kind=Later(KINDS[kind]))
            try:
                found = _remove(model, scored, costs, kind, target, choosing)
            except PruningError as error:
                if kind == self.kind:
                    raise
                refused.append((kind, error))
                begin(measuring)
                continue
            after = evaluate(found.model, rows, found.mask, on_progress=begin(measuring))
            removals.append(_removal(kind, found, costs, model, before, after))
        own = next(one for one in removals if one.kind == self.kind)
        return KindsOutcome(
            truth=own.freed_bytes / 1e6, whole=value_of(before), removals=tuple(removals), rows=len(rows),
            target=target, refused=tuple(refused),
        )  # fmt: skip

    def draw(self, subject: Subject, outcome: Outcome, theme: Theme) -> None:
        assert isinstance(outcome, KindsOutcome)
        classes = bool(subject.evaluation.class_names)
        title = self.title(outcome)
        bars = [
            Bar(tr(KINDS[one.kind]), one.freed_bytes / 1e6, one.worse, _mb(one.freed_bytes),
                difference_text(one.worse, classes))
            for one in outcome.removals
        ]  # fmt: skip
        figure = kinds_chart(
            bars, unit=tr("points of accuracy lost") if classes else tr("rise of the loss"), theme=theme, title=title,
            chosen=[one.kind for one in outcome.removals].index(self.kind),
            subtitle=tr("About {share:.0%} of the layers' parameters each way; n = {n:,} rows, 95% intervals",
                        share=self.share, n=outcome.rows),
        )  # fmt: skip
        alt = f"{title}. " + "; ".join(bar.text for bar in bars)
        st.plotly_chart(figure, theme=None, config=CONFIG, key="lesson_kinds_figure", alt=alt)
        st.markdown(sentence(outcome, classes))
        for kind, error in outcome.refused:
            text = tr("{kind} cannot give that much here: {reason}.", kind=tr(KINDS[kind]), reason=error)
            st.caption(look.plain(text))
        with st.expander(tr("As a table")):
            st.dataframe(table(outcome, classes), hide_index=True)

    def title(self, outcome: KindsOutcome) -> str:
        """The finding: what zeros free, and what cutting does."""
        zeros = [one for one in outcome.removals if one.kind == WEIGHTS]
        others = [one for one in outcome.removals if one.kind != WEIGHTS]
        if not zeros or not others:
            return tr("{kind} free {size}", kind=tr(KINDS[self.kind]), size=f"{outcome.truth:,.1f} MB")
        most = max(others, key=lambda one: one.freed_bytes)
        return tr("Zeros free {zeros}; cutting frees up to {most}", zeros=_mb(zeros[0].freed_bytes),
                  most=_mb(most.freed_bytes))  # fmt: skip


@dataclass(frozen=True, eq=False)
class Found:
    """A model and what is masked in it: for single weights a copy with zeros, and no mask."""

    model: LoadedModel
    mask: Mask
    zeros: int = 0


def _remove(model: LoadedModel, rows: Examples, costs: CostModel, kind: str, target: int, progress: Progress) -> Found:
    """Take as many parameters away as the kind's grain allows, in one shot."""
    if kind == WEIGHTS:
        from pruning.unstructured import Sparsity
        from pruning.unstructured.sparsifying import linear_paths, sparsify

        weights = sum(model.module.get_submodule(path).weight.numel() for path in linear_paths(model))
        sparse = sparsify(model, None, Sparsity("magnitude", min(1.0, target / weights)), progress=progress)
        return Found(model.with_module(sparse.module), Mask(), round(sparse.share * sparse.weights))
    from pruning.search.planning import Request, search

    request = Request(criterion="gradient", strategy="one-shot", scopes=(get_scope(kind),))
    planner = search(model, rows, request, progress=progress)
    left = 1 - target / costs.total.parameters
    return Found(model, planner.found.mask_for(planner.gauge("params"), left))


def _removal(
    kind: str, found: Found, costs: CostModel, model: LoadedModel, before: Evaluation, after: Evaluation
) -> Removal:
    """What it was worth. Zeros are stored like any other number: the copy's own weights are counted."""
    saved, each = costs.saved(found.mask), model.size_bytes / model.anatomy.parameters
    if kind == WEIGHTS:
        units = parameters = found.zeros
        freed = model.size_bytes - found.model.size_bytes
    else:
        scope = get_scope(kind)
        units, parameters, freed = len(units_of(found.mask, scope)), saved.parameters, round(each * saved.parameters)
    return Removal(
        kind=kind, units=units, parameters=parameters, freed_bytes=freed, macs=saved.macs / costs.total.macs,
        value=value_of(after), worse=lost(before, after),
    )  # fmt: skip


def inside(model: LoadedModel) -> int:
    """Parameters inside the model's layers, each counted once."""
    layers = [model.module.get_submodule(layer.name) for layer in model.anatomy.layers]
    return sum({id(p): p.numel() for layer in layers for p in layer.parameters()}.values())


def _kinds_of(model: LoadedModel) -> list[str]:
    """The kinds that this model has parts of that can be cut."""
    return [WEIGHTS, *(s for s in SCOPES if any(part.support == "prune" for part in parts_of(model.anatomy, s)))]


def sentence(outcome: KindsOutcome, classes: bool) -> str:
    """The numbers with their intervals."""
    zeros = next((one for one in outcome.removals if one.kind == WEIGHTS), None)
    others = sorted((one for one in outcome.removals if one.kind != WEIGHTS), key=lambda one: one.worse.value)
    parts = [tr("Whole model: {value}.", value=value_text(outcome.whole, classes))]
    if zeros:
        parts.append(tr("With {n:,} zeros it is worse by **{change}**; its file is as large as before.",
                        n=zeros.parameters, change=difference_text(zeros.worse, classes)))  # fmt: skip
    if others:
        parts.append(tr("Of what was really cut, this cost least: {kind}, worse by **{change}**.",
                        kind=tr(KINDS[others[0].kind]), change=difference_text(others[0].worse, classes)))  # fmt: skip
    return " ".join(parts)


def table(outcome: KindsOutcome, classes: bool) -> pd.DataFrame:
    """A row for each kind."""
    rows = [
        (
            tr(KINDS[one.kind]), f"{one.units:,}", f"{one.parameters:,}", _mb(one.freed_bytes), look.percent(one.macs),
            value_text(one.value, classes), difference_text(one.worse, classes),
        )
        for one in outcome.removals
    ]  # fmt: skip
    names = [tr("What goes"), tr("Units"), tr("Parameters in them"), tr("File smaller by"), tr("MACs saved"),
             tr("Then"), tr("Worse by")]  # fmt: skip
    return pd.DataFrame(rows, columns=names)


def _mb(size: float) -> str:
    return f"{look.number(size / 1e6)} MB"
