"""Asking for a plan and waiting for it: the search runs behind the page, and what it finds replaces the mask."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import streamlit as st

from pruning.errors import PruningError, message_of
from pruning.language import Later, later, tr
from pruning.search import Budget, BudgetError
from ui import state
from ui.jobs import Job
from ui.kept_plans import keep_plan
from ui.maps import calibration_data
from ui.sidebar import REFRESH_SECONDS
from ui.store import session_id, store
from ui.theme import as_sentence, plain
from ui.wishes import kind_name, request_of

if TYPE_CHECKING:
    from pruning.models import LoadedModel
    from pruning.plan import Plan
    from pruning.search.planning import Planner, Request


@dataclass(frozen=True)
class Asked:
    """A search that the session waits for, and what is to be made of it: a budget met, or points guaranteed."""

    model: str
    data: str
    request: Request
    budget: Budget | None
    points: float | None = None


@dataclass(frozen=True)
class Problem:
    """Why there is no plan for a model, and the nearest budget for which there is one."""

    model: str
    text: Later
    asked: Asked | None = None
    nearest: Budget | None = None


# Asking ----------------------------------------------------------------------------------------------------------


def find() -> None:
    wish = st.session_state["wish"]
    _ask(lambda: Budget(wish.kind, wish.keep / 100), None)


def find_guaranteed() -> None:
    _ask(lambda: None, st.session_state["wish"].points)


def _model() -> LoadedModel:
    model = store().request_model(state.current().model).model
    assert model is not None  # there is a form only then
    return model


def _ask(budget: Callable[[], Budget | None], points: float | None) -> None:
    """Note what is wanted; where the search is done already, the plan is there at once."""
    for name in ("plan_problem", "plan_asked"):
        st.session_state.pop(name, None)
    session, model = state.current(), _model()
    whole = model.anatomy.is_grouped and st.session_state.get("whole_groups", True)
    try:
        request = request_of(st.session_state["wish"], session.criterion, whole)
        request.protected.check(model.anatomy)
        asked = Asked(model.fingerprint, session.data, request, budget(), points)
    except PruningError as error:
        st.session_state["plan_problem"] = Problem(model.fingerprint, message_of(error))
        return
    planner = store().plans.planner(model, session.data, request)
    if planner is None or asked.budget is None or (asked.budget.kind == "latency" and planner.latency is None):
        st.session_state["plan_asked"] = asked
    else:
        settle(asked, planner)


def settle(asked: Asked, found: Planner | Plan) -> None:
    """Make of a search what was asked: the plan's mask replaces the present one, and undo brings that back."""
    st.session_state.pop("plan_asked", None)
    if asked.budget is None:
        _adopt(found, asked)  # type: ignore[arg-type]
        return
    try:
        _adopt(found.plan(asked.budget), asked)  # type: ignore[union-attr]
    except BudgetError as error:
        st.session_state["plan_problem"] = _unmet(asked, asked.budget, found, error)  # type: ignore[arg-type]
    except PruningError as error:
        st.session_state["plan_problem"] = Problem(asked.model, message_of(error))


def _adopt(plan: Plan, asked: Asked) -> None:
    if plan.guarantee is not None and not plan.guarantee.confirmed:
        st.session_state["plan_problem"] = Problem(asked.model, plan.guarantee.said)
        return
    state.edit_mask(plan.mask)
    if plan.guarantee is not None:
        state.update(compensation="none")  # what it was confirmed with
        rows = state.data_label(calibration_data(asked.data))
        note = later("this is confirmed for examples like the calibration rows of {data}", data=rows)
        plan = replace(plan, notes=(*plan.notes, note))
    keep_plan(plan, asked.model)


def _unmet(asked: Asked, budget: Budget, planner: Planner, error: BudgetError) -> Problem:
    gauge = planner.gauge(budget.kind)
    most = gauge.share(planner.found.most())
    if most <= budget.share:  # not for want of anything to remove
        return Problem(asked.model, message_of(error))
    what = kind_name(budget.kind)
    text = later(
        "at most {share:.0%} of the {what} cannot be met: without all that may go, {most:.1%} are left",
        share=budget.share, what=what, most=most,
    )  # fmt: skip
    return Problem(asked.model, text, asked, Budget(budget.kind, min(1.0, math.ceil(most * 1e4) / 1e4)))


def _take_nearest(problem: Problem) -> None:
    assert problem.asked is not None
    st.session_state.pop("plan_problem", None)
    asked = replace(problem.asked, budget=problem.nearest)
    planner = store().plans.planner(_model(), asked.data, asked.request)
    if planner is None:  # made so long ago that it has been dropped
        st.session_state["plan_asked"] = asked
    else:
        settle(asked, planner)


# Waiting ---------------------------------------------------------------------------------------------------------


def plan_state(model: LoadedModel | None) -> None:
    """Progress of the search that is under way, or why there is no plan."""
    problem: Problem | None = st.session_state.get("plan_problem")
    if problem is not None and model is not None and problem.model == model.fingerprint:
        st.warning(plain(as_sentence(problem.text)))
        if problem.nearest is not None:
            share, kind = problem.nearest.share, kind_name(problem.nearest.kind)
            st.button(
                tr("Keep {share} of the {kind}", share=f"{100 * share:.4g}%", kind=kind),
                on_click=_take_nearest,
                args=(problem,),
            )
    asked: Asked | None = st.session_state.get("plan_asked")
    if asked is None or model is None:
        return
    if (asked.model, asked.data) != (model.fingerprint, state.current().data):
        _stop(store().plans.worker.latest((session_id(), "plan")))
        return
    job = _job(asked, model)
    st.fragment(_progress, run_every=REFRESH_SECONDS if job.active else None)(job, asked)


def _job(asked: Asked, model: LoadedModel) -> Job:
    plans = store().plans
    if asked.points is not None:
        return plans.guarantee(session_id(), model, asked.data, asked.request, asked.points)
    timed = asked.budget is not None and asked.budget.kind == "latency"
    return plans.search(session_id(), model, asked.data, asked.request, timed)


def _progress(job: Job, asked: Asked) -> None:
    if st.session_state.get("plan_asked") != asked:
        return  # a late refresh
    if job.active:
        place = store().plans.worker.place(job)
        text = tr("Waiting: {n} before this", n=place) if place else progress_words(job)
        with st.container(horizontal=True, vertical_alignment="bottom"):
            st.progress(min(1.0, job.done / max(1, job.total)), text=text)
            st.button(tr("Cancel"), key="cancel_plan", on_click=_stop, args=(job,), wrap=False)
        return
    if job.result is not None:
        settle(asked, job.result)
    else:
        st.session_state.pop("plan_asked", None)
        if job.error is not None:
            st.session_state["plan_problem"] = Problem(asked.model, message_of(job.error))
    st.rerun()


def progress_words(job: Job) -> str:
    """What a search does, how far it is and how long it will take, as far as that is known."""
    if job.total <= 1 or job.done >= job.total:
        return tr(job.step) or tr("Starting")
    left = job.seconds_left
    far = f"{job.done / job.total:.0%}"
    if left is not None and left > 1.5:
        far = tr("{far}, about {seconds} s left", far=far, seconds=max(1, round(left)))
    return f"{tr(job.step)}: {far}"


def _stop(job: Job | None) -> None:
    st.session_state.pop("plan_asked", None)
    if job is not None:
        job.cancel()
