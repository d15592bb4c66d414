"""The plans that a session has made or loaded: a mask that came from one still knows how, after an undo, too."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from pruning.plan import Plan
from ui import state
from ui.store import store

KEPT_PLANS = 20


def keep_plan(plan: Plan, model: str) -> None:
    """Remember a plan by its mask, for the model of that fingerprint."""
    plans = {**st.session_state.get("plans", {}), (model, plan.mask): plan}
    st.session_state["plans"] = dict(list(plans.items())[-KEPT_PLANS:])


def plans_of(model: str) -> list[Plan]:
    """The plans that were kept for the model of that fingerprint, the newest first."""
    plans: dict[tuple[str, object], Plan] = st.session_state.get("plans", {})
    return [plan for (made_for, _), plan in reversed(plans.items()) if made_for == model]


def plan_for(session: state.Session) -> Plan | None:
    """The plan behind the present mask, with the replacement that is chosen now.

    A guarantee was confirmed for one replacement and is dropped with another.
    """
    model = store().request_model(session.model).model
    found: Plan | None = st.session_state.get("plans", {}).get((model.fingerprint, session.mask)) if model else None
    if found is None or found.compensation == session.compensation:
        return found
    return replace(found, compensation=session.compensation, guarantee=None)
