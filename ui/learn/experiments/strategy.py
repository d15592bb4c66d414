"""Lesson 12: what a deployment asks for, the strategy that follows by a rule, and whether it keeps to the limits."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

import pandas as pd
import streamlit as st

from pruning.language import Later, later, listing, mark, tr, trn
from pruning.masks import Mask
from pruning.scopes import Scope
from pruning.search.budget import Budget
from pruning.statistics import Estimate
from ui import theme as look
from ui.charts import CONFIG
from ui.learn.base import Experiment, Guess, Outcome, Report, Subject, Told, register
from ui.learn.charts_strategy import strategy_chart
from ui.learn.deployments import DEPLOYMENTS, LIMITS, PLANS, STATES, Check, Deployment, Kind, checks_of, limits_text
from ui.learn.judging import affordable, counted, difference_text, guess_of, lost
from ui.theme import Theme

if TYPE_CHECKING:
    from pruning.evaluation import Evaluation
    from pruning.importance.base import Progress
    from pruning.models import LoadedModel
    from pruning.plan import Guarantee
    from pruning.search.planning import Planner
    from pruning.tasks import Examples

TOKENS, PASSES = 128, 4
UNKNOWN = Estimate(math.nan, math.nan, math.nan)
CONFIRMED = mark("With 95% confidence, {n:,} rows kept apart say: no more than {bound:.1f} points.")
NOT_CONFIRMED = mark(
    "{n:,} rows kept apart cannot confirm more: even the smallest cut may lose up to {bound:.1f} points, with 95% "
    "confidence, so nothing is removed."
)


@dataclass(frozen=True)
class Checked(Outcome):
    """A plan against its limits.

    Attributes:
        loss: How much worse than the whole model, paired.
        removed: Units that went, by scope; with ``weights`` the share that is zero, in percent.
        guarantee: What the rows kept apart say, where they were asked.
    """

    kind: Kind = "heads"
    checks: tuple[Check, ...] = ()
    loss: Estimate = UNKNOWN
    removed: tuple[tuple[str, int], ...] = ()
    guarantee: Guarantee | None = None
    classes: bool = True


@register
@dataclass(frozen=True)
class Strategy(Experiment):
    """Makes the plan that a deployment asks for and checks it.

    Attributes:
        deployment: A key of `DEPLOYMENTS`.
    """

    name: ClassVar[str] = "strategy"
    told: ClassVar[Told] = {"deployment": lambda one: tr(DEPLOYMENTS[one].label)}

    deployment: str = "phone"

    @classmethod
    def refusal(cls, subject: Subject) -> Later | None:
        if not any(site.support == "prune" for site in subject.model.anatomy.sites):
            return later("no attention head of this model can be cut out, so no plan can be made")
        return None

    @classmethod
    def choose(cls, subject: Subject) -> Self:
        classes = bool(subject.evaluation.class_names)
        names = [name for name, one in DEPLOYMENTS.items() if classes or not one.confirmed]
        name = st.selectbox(
            tr("Deployment"), names, index=names.index("phone"), key="lesson_strategy_deployment",
            format_func=cls.told["deployment"],
            help=tr("Each has limits of its own; a small rule turns them into a strategy"),
        )  # fmt: skip
        st.caption(limits_text(DEPLOYMENTS[name], classes))
        return cls(name)

    def guess(self, subject: Subject) -> Guess:
        return guess_of(bool(subject.evaluation.class_names), (0, 40, 1, 5), (0.0, 3.0, 0.05, 0.5))

    def run(self, subject: Subject, report: Report) -> Checked:
        from pruning.cost import count_cost
        from pruning.evaluation import evaluate

        model, wanted = subject.model, DEPLOYMENTS[self.deployment]
        rows = affordable(model, subject.evaluation, PASSES)
        few = affordable(model, subject.calibration, PASSES)
        begin = counted(report, 3)
        whole = evaluate(model, rows, on_progress=begin(mark("Measuring the whole model")))
        kind, costs = wanted.kind(model.anatomy), count_cost(model, TOKENS)
        planning, measuring = mark("Making the plan"), mark("Measuring the plan")
        guarantee, after = None, costs.total
        if kind == "weights":
            found, removed = _with_zeros(model, few, rows, begin(planning), begin(measuring))
        else:
            if kind == "guarantee":
                mask, guarantee = _confirmed(model, subject.calibration, wanted, begin(planning))
            else:
                mask = _within(model, few, wanted, kind, begin(planning))
            found = evaluate(model, rows, mask, on_progress=begin(measuring))
            after, removed = costs.after(mask), counts_of(mask)
        loss, classes = lost(whole, found), bool(rows.class_names)
        size, macs = after.parameters / costs.total.parameters, after.macs / costs.total.macs
        return Checked(
            truth=loss.value,
            low=loss.low,
            high=loss.high,
            samples=len(rows),
            kind=kind,
            checks=checks_of(wanted, size, macs, loss, classes),
            loss=loss,
            removed=removed,
            guarantee=guarantee,
            classes=classes,
        )

    def draw(self, subject: Subject, outcome: Outcome, theme: Theme) -> None:
        assert isinstance(outcome, Checked)
        title = title_of(outcome)
        bars = [
            (tr(LIMITS[one.name]), one.found, one.limit, one.state, bar_text(one, outcome.classes))
            for one in outcome.checks
        ]
        subtitle = tr("Bars as shares of their limits · n = {n:,}, 95% interval", n=outcome.samples)
        st.markdown(tr("**Strategy:** {plan}.", plan=tr(PLANS[outcome.kind])))
        figure = strategy_chart(bars, title, subtitle, theme)
        st.plotly_chart(figure, theme=None, config=CONFIG, key="lesson_strategy_figure", alt=title)
        st.markdown(" ".join(sentences_of(outcome)))
        with st.expander(tr("As a table")):
            st.dataframe(table_of(outcome), hide_index=True, width="stretch", key="lesson_strategy_table")


# The plan ---------------------------------------------------------------------------------------------------------


def _within(model: LoadedModel, examples: Examples, wanted: Deployment, kind: Kind, progress: Progress) -> Mask:
    """What has to go so that both limits are kept, and no more; where that cannot be, as much as may go."""
    from pruning.search.planning import Request, search

    scopes: tuple[Scope, ...] = ("heads", "neurons") if kind == "both" else ("heads",)
    strategy = "fisher" if kind == "both" else "one-shot"
    request = Request(strategy=strategy, scopes=scopes, whole_groups=True, tokens=TOKENS)
    planner = search(model, examples, request, progress=progress)
    limits: list[Budget] = [Budget("macs", wanted.macs), Budget("params", wanted.size)]
    masks = [_most(planner, budget) for budget in limits if budget.share < 1]
    fitting = [mask for mask in masks if all(planner.gauge(one.kind).meets(mask, one.share) for one in limits)]
    return (fitting or masks)[0]


def _most(planner: Planner, budget: Budget) -> Mask:
    """The mask that keeps to a budget; all that may go where none does."""
    from pruning.search.budget import BudgetError

    try:
        return planner.plan(budget).mask
    except BudgetError:
        return planner.found.most()


def _confirmed(
    model: LoadedModel, examples: Examples, wanted: Deployment, progress: Progress
) -> tuple[Mask, Guarantee | None]:
    from pruning.search.guarantee import guaranteed
    from pruning.search.planning import Request

    plan = guaranteed(model, examples, wanted.loss, Request(strategy="one-shot", whole_groups=True), progress=progress)
    return plan.mask, plan.guarantee


def _with_zeros(
    model: LoadedModel, examples: Examples, rows: Examples, planning: Progress, measuring: Progress
) -> tuple[Evaluation, tuple[tuple[str, int], ...]]:
    """Two of every four neighbouring weights become zero, on a copy."""
    from pruning.evaluation import evaluate
    from pruning.tasks import task_of
    from pruning.unstructured import Sparsity
    from pruning.unstructured.sparsifying import sparsify

    sparse = sparsify(model, examples, Sparsity("wanda", pattern="2:4"), progress=planning)
    found = evaluate(model.with_module(sparse.module), rows, task=task_of(model), on_progress=measuring)
    return found, (("weights", round(100 * sparse.share)),)


def counts_of(mask: Mask) -> tuple[tuple[str, int], ...]:
    """How many heads and neurons a mask removes, without those of which none goes."""
    return tuple((name, len(units)) for name, units in (("heads", mask.heads), ("neurons", mask.neurons)) if units)


# What is said -----------------------------------------------------------------------------------------------------


def title_of(outcome: Checked) -> str:
    """The finding."""
    met = sum(check.state == "met" for check in outcome.checks)
    total = len(outcome.checks)
    if met == total:
        return tr("All limits are met ({total} of {total})", total=total)
    missed = [tr(LIMITS[check.name]) for check in outcome.checks if check.state == "missed"]
    if missed:
        return tr("{met} of {total} limits are met; missed: {missed}", met=met, total=total, missed=listing(missed))
    return tr("{met} of {total} limits are met; whether the loss is cannot be told yet", met=met, total=total)


def found_text(check: Check, classes: bool) -> str:
    if check.name == "loss":
        return difference_text(check.found, classes)
    return look.percent(check.found.value)


def bar_text(check: Check, classes: bool) -> str:
    return tr("{found} · at most {limit}", found=found_text(check, classes), limit=limit_text(check, classes))


def limit_text(check: Check, classes: bool) -> str:
    if check.name != "loss":
        return look.percent(check.limit)
    if classes:
        return tr("{value} points", value=f"{check.limit:g}")
    return tr("{value} in loss", value=f"{check.limit:g}")


def _gone(what: str, count: int) -> str:
    if what == "heads":
        return trn("{n} head goes.", "{n:,} heads go.", count)
    if what == "neurons":
        return trn("{n} neuron goes.", "{n:,} neurons go.", count)
    return tr("{n}% of the weights are zero; the file is as large as before unless it is packed.", n=count)


def sentences_of(outcome: Checked) -> list[str]:
    """What went, what was lost, and what the rows kept apart say."""
    found = [_gone(name, count) for name, count in outcome.removed] or [tr("Nothing is removed.")]
    loss = difference_text(outcome.loss, outcome.classes)
    found.append(tr("Measured on {n:,} rows it loses **{loss}**.", n=outcome.samples, loss=loss))
    if outcome.guarantee:
        template = CONFIRMED if outcome.guarantee.confirmed else NOT_CONFIRMED
        found.append(tr(template, n=outcome.guarantee.samples, bound=outcome.guarantee.bound))
        if outcome.guarantee.needed:
            found.append(tr("The smallest cut would need about {n:,} rows.", n=outcome.guarantee.needed))
    return found


def table_of(outcome: Checked) -> pd.DataFrame:
    return pd.DataFrame(
        {
            tr("Limit"): tr(LIMITS[check.name]),
            tr("At most"): limit_text(check, outcome.classes),
            tr("Found"): found_text(check, outcome.classes),
            tr("Result"): tr(STATES[check.state]),
        }
        for check in outcome.checks
    )
