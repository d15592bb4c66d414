"""The page: the step in large type, its progress, the slider, the buttons, and what a presenter prepares with."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import streamlit as st

from pruning.language import mark, tr
from pruning.presenting.examples import Shown, choose_examples
from ui import charts, state
from ui.controls import mirror_key, on_move
from ui.importance import step_text
from ui.jobs import Job
from ui.present.charts import before_after, describe
from ui.present.choice import Choice
from ui.present.look import RULES
from ui.present.preparing import prepare
from ui.present.room import room
from ui.present.stage import STEPS, Scene, beside, stage_html, step_of
from ui.present.trying import try_it
from ui.present.wish import (
    STOPPED,
    Wish,
    failure,
    fitted,
    keep_measuring,
    known,
    measured_steps,
    measures_every_step,
    stop,
    wish,
)
from ui.removed import mask_words, misfit
from ui.sidebar import REFRESH_SECONDS
from ui.store import Loading, session_id, store
from ui.theme import Theme, plain

if TYPE_CHECKING:
    from pruning.models import LoadedModel

SLIDER_HELP = mark(
    "Each step is a plan of its own, made by the default strategy; what is left is fitted again. A step that was "
    "measured before answers at once."
)


def present_view(theme: Theme) -> None:
    """Draw everything; measuring begins by itself as soon as the model is there."""
    st.html(RULES)
    session, wished = state.current(), wish()
    loading = store().request_model(session.model)
    model = loading.model
    job = None
    if model is not None:
        wished = fitted(wished, model, session.data)
        problem = _misfit(wished, model)
        wished = replace(wished, problem=wished.problem or problem)
        job = None if problem else keep_measuring(wished, model, session.data)
    scene = scene_of(wished, loading, job)
    step = list(STEPS)[step_of(session.step) - 1]
    with st.container(key="present_area"):
        with st.container(key="present_stage"):
            _stage(step, scene, wished, theme)
        with st.container(key="present_controls"):
            with st.container(key="present_progress"):
                _progress(wished, model, job)
            with st.container(key="present_slider"):
                _slider(wished)
            room(step_of(session.step), lambda number: state.update(step=str(number)))
        with st.container(key="present_more"):
            prepare(wished, scene, model, theme)


def _misfit(wished: Wish, model: LoadedModel) -> Exception | None:
    """Why the session's mask does not fit, where that is what is presented."""
    from pruning.errors import MaskError

    if wished.choice.kind != "mask":
        return None
    why = misfit(wished.own, model.anatomy.heads_per_site, model.anatomy)
    return MaskError("the mask does not fit this model: {why}", why=why) if why else None


def scene_of(wished: Wish, loading: Loading, job: Job | None) -> Scene:
    """What the steps show now."""
    session, model = state.current(), loading.model
    found = None
    examples: tuple[Shown, ...] = ()
    if model is not None and wished.problem is None:
        found = known(wished, model, session.data)
        if found is not None and found.evaluated and found.before and found.after:
            examples = choose_examples(found.before, found.after)
    return Scene(
        wished.choice, state.model_label(session.model), state.data_label(session.data),
        loading.task or "", wished.prices, found, _waiting(wished, loading, job), examples,
    )  # fmt: skip


def _waiting(wished: Wish, loading: Loading, job: Job | None) -> str:
    """What to say in place of a number that is not there."""
    if loading.state == "failed":
        return tr("There is no model to present. Pick one in the sidebar.")
    if loading.model is None:
        return tr("{model} is loading …", model=state.model_label(loading.name))
    if wished.problem is not None:
        return tr("Not measured: {error}.", error=wished.problem)
    return tr("Being measured …") if job is not None else tr("Not measured.")


# Parts -----------------------------------------------------------------------------------------------------------


def _stage(step: str, scene: Scene, wished: Wish, theme: Theme) -> None:
    st.header(tr(STEPS[step]))
    pairs = beside(step, scene)
    if step == "try":
        try_it(scene, wished)
    elif pairs:
        left, right = st.columns([3, 2] if step != "story" else [1, 1], gap="large")
        left.html(stage_html(step, scene))
        with right:
            figure = before_after(pairs, theme=theme)
            st.plotly_chart(
                figure, theme=None, config=charts.CONFIG, key=f"present_{step}_{theme}", alt=describe(pairs)
            )
    else:
        st.html(stage_html(step, scene))


def _progress(wished: Wish, model: LoadedModel | None, job: Job | None) -> None:
    """How far the measurement is, or that it has stopped, and the way on."""
    if model is None:
        return
    data = state.current().data
    if job is not None:
        found = known(wished, model, data)
        st.fragment(_follow, run_every=REFRESH_SECONDS)(wished, model, job, found.stage if found else None)
        return
    error = failure(wished, model, data)
    if error is not None:
        text = mark("That has failed: {error}. Move the slider, or pick other data or another model.")
        st.error(plain(tr(text, error=error)))
    if error is not None or st.session_state.get(STOPPED):
        found = known(wished, model, data) if wished.problem is None else None
        if found is None or not found.complete:
            st.button(tr("Measure"), key="present_again", on_click=_again, args=(wished, model, data))


def _again(wished: Wish, model: LoadedModel, data: str) -> None:
    st.session_state.pop(STOPPED, None)
    store().presentations.start(
        session_id(), model, data, [wished.choice], wished.own, wished.method, wished.prices.tokens
    )


def _follow(wished: Wish, model: LoadedModel, job: Job, drawn: object) -> None:
    """A line that refreshes itself; the page is drawn again whenever more is known."""
    state.note_url()
    found = known(wished, model, state.current().data)
    if not job.active or (found.stage if found else None) != drawn:
        st.rerun()
    place = store().presentations.worker.place(job)
    text = tr("Waiting: {n} before this", n=place) if place and not job.done else step_text(job)
    if measures_every_step(wished, model, state.current().data, job):
        done, count = measured_steps(wished, model, state.current().data), len(wished.steps)
        text = tr("{done} of {count} steps measured. {now}", done=done, count=count, now=text)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.progress(min(1.0, job.done / max(1, job.total)), text=plain(text))
        cancel = {"on_click": stop, "args": (wished, model, state.current().data, job)}
        st.button(tr("Cancel"), key="present_cancel", wrap=False, **cancel)  # type: ignore[arg-type]


def _slider(wished: Wish) -> None:
    """How much goes: the one control of the room."""
    kind = wished.choice.kind
    if kind == "mask":
        st.caption(tr("The mask of this session: {removed} removed.", removed=mask_words(wished.own)))
        return
    if len(wished.steps) < 2:
        st.caption(tr("Nothing can be removed here."))
        return
    shown = (kind, wished.steps, wished.choice.percent)
    key = mirror_key("present_share", shown)

    def act(percent: object) -> tuple[object, ...]:
        state.update(share=Choice(kind, int(str(percent))).to_code())
        return kind, wished.steps, percent

    label = mark("Attention heads removed") if kind == "heads" else mark("Compute removed")
    st.select_slider(
        tr(label), wished.steps, wished.choice.percent, key=key, format_func=lambda percent: f"{percent}%",
        on_change=on_move("present_share", key, act), help=tr(SLIDER_HELP),
    )  # fmt: skip
