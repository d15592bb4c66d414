"""The line about the plan behind the present mask: what it had to meet, what it will give, and how it was made."""

from __future__ import annotations

import streamlit as st

from pruning.anatomy import Anatomy
from pruning.importance import criteria
from pruning.models import LoadedModel
from pruning.plan import Plan
from pruning.search import strategies
from ui import state
from ui import theme as look
from ui.kept_plans import plan_for
from ui.removed import counts
from ui.theme import plain
from ui.wishes import kind_name


def plan_line(model: LoadedModel | None) -> None:
    """Draw it, if the mask came from a plan."""
    plan = plan_for(state.current())
    if plan is None or model is None:
        return
    st.markdown(f"**{plain(goal(plan))}** Predicted: {plain(predicted(plan, model.anatomy))}.")
    other = "" if plan.model == model.fingerprint else " Made for other weights: its predictions may not hold."
    st.caption(plain(f"{made(plan)}.{other}"))
    for note in plan.notes:
        st.caption(plain(f"{note[:1].upper()}{note[1:]}."))


def goal(plan: Plan) -> str:
    """What the plan had to meet, in a sentence or two."""
    if plan.guarantee is not None:
        return plan.guarantee.message
    if plan.budget is not None:
        return f"Plan: at most {100 * plan.budget.share:.4g}% of the {kind_name(plan.budget.kind)} stay."
    return (
        "Plan without a budget." if plan.threshold is None else f"Plan: all below {look.number(plan.threshold)} goes."
    )


def predicted(plan: Plan, anatomy: Anatomy) -> str:
    """What the plan says will be left once it is carried out."""
    after = plan.predicted
    wholes = counts(anatomy)
    parts = [f"{getattr(after, scope):,} of {wholes[scope]:,} {scope} left" for scope in plan.scopes]
    example = f"{after.tokens} tokens" if after.tokens else "one image"
    parts += [look.parameters(after.parameters), f"{look.macs(after.macs)} for {example}"]
    if after.latency_ms is not None:
        parts.append(f"{look.milliseconds(after.latency_ms)} by the times measured on this computer")
    return ", ".join(parts)


def made(plan: Plan) -> str:
    """How the plan came about, on how many rows."""
    strategy = strategies()[plan.strategy].label if plan.strategy in strategies() else plan.strategy
    criterion = criteria()[plan.criterion].label if plan.criterion in criteria() else plan.criterion
    by = "" if plan.strategy == plan.criterion else f" by {criterion.lower()}"
    rows = f"n = {plan.samples:,} calibration rows" if plan.samples else "no data"
    return f"{strategy}{by} · {rows} · searched for {look.number(plan.seconds)} s on {plan.made}"
