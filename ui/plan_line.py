"""The line about the plan behind the present mask: what it had to meet, what it will give, and how it was made."""

from __future__ import annotations

import streamlit as st

from pruning.anatomy import Anatomy
from pruning.importance import criteria
from pruning.language import listing, tr
from pruning.models import LoadedModel
from pruning.plan import Plan
from pruning.search import strategies
from ui import state
from ui import theme as look
from ui.kept_plans import plan_for
from ui.removed import OF_ALL, counts
from ui.theme import as_sentence, plain
from ui.wishes import kind_name


def plan_line(model: LoadedModel | None) -> None:
    """Draw it, if the mask came from a plan."""
    plan = plan_for(state.current())
    if plan is None or model is None:
        return
    left = plain(predicted(plan, model.anatomy))
    st.markdown(f"**{plain(goal(plan))}** " + tr("Predicted: {left}.", left=left))
    other = "" if plan.model == model.fingerprint else tr("Made for other weights: its predictions may not hold.")
    st.caption(plain(f"{as_sentence(made(plan))} {other}".rstrip()))
    for note in plan.notes:
        st.caption(plain(as_sentence(note)))


def goal(plan: Plan) -> str:
    """What the plan had to meet, in a sentence or two."""
    if plan.guarantee is not None:
        return str(plan.guarantee.said)
    if plan.budget is not None:
        share, kind = f"{100 * plan.budget.share:.4g}%", kind_name(plan.budget.kind)
        return tr("Plan: at most {share} of the {kind} stay.", share=share, kind=kind)
    if plan.threshold is None:
        return tr("Plan without a budget.")
    return tr("Plan: all below {threshold} goes.", threshold=look.number(plan.threshold))


def predicted(plan: Plan, anatomy: Anatomy) -> str:
    """What the plan says will be left once it is carried out."""
    after = plan.predicted
    wholes = counts(anatomy)
    parts = [
        tr("{parts} left", parts=tr(OF_ALL[scope], n=getattr(after, scope), total=wholes[scope]))
        for scope in plan.scopes
    ]
    macs = look.macs(after.macs)
    one = tr("{macs} for one image", macs=macs)
    work = tr("{macs} for {n} tokens", macs=macs, n=after.tokens) if after.tokens else one
    parts += [look.parameters(after.parameters), work]
    if after.latency_ms is not None:
        latency = look.milliseconds(after.latency_ms)
        parts.append(tr("{latency} by the times measured on this computer", latency=latency))
    return listing(parts)


def made(plan: Plan) -> str:
    """How the plan came about, on how many rows."""
    strategy = tr(strategies()[plan.strategy].label) if plan.strategy in strategies() else plan.strategy
    criterion = tr(criteria()[plan.criterion].label) if plan.criterion in criteria() else plan.criterion
    if plan.strategy != plan.criterion:
        strategy = tr("{strategy} by {criterion}", strategy=strategy, criterion=criterion.lower())
    rows = tr("n = {n:,} calibration rows", n=plan.samples) if plan.samples else tr("no data")
    seconds = look.number(plan.seconds)
    return f"{strategy} · {rows} · {tr('searched for {seconds} s on {date}', seconds=seconds, date=plan.made)}"
