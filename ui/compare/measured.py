"""Measuring what is compared, without being asked, until somebody stops it: progress, cancelling, and why it failed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

from pruning.language import tr
from ui import state
from ui.compare.pairs import Pair, Side
from ui.importance import step_text
from ui.jobs import Job
from ui.sidebar import REFRESH_SECONDS
from ui.store import session_id, store
from ui.theme import plain

if TYPE_CHECKING:
    from pruning.models import LoadedModel


def measured(model: LoadedModel, a: Side, b: Side) -> Pair | None:
    """The pair; what is known of it so far while it is measured."""
    pairs, data = store().pairs, state.current().data
    known, key = pairs.known(model, data, a, b), pairs.key(model, data, a, b)
    if known is not None:
        measured_on()
        return known
    job = store().evaluator.latest((session_id(), "compare"))
    if stopped(key):
        mine = job if job is not None and job.fingerprint == key else None
        return mine.partial if mine else None
    job = pairs.compare(session_id(), model, data, a, b)
    return job.partial if follow(job) else None


def measured_draws(model: LoadedModel, couples: list[tuple[Side, Side]]) -> list[int]:
    """Which of several draws have been measured by now."""
    pairs, data = store().pairs, state.current().data

    def there() -> list[int]:
        return [number for number, (a, b) in enumerate(couples) if pairs.known(model, data, a, b) is not None]

    key = pairs.draws_key(model, data, couples)
    if len(found := there()) == len(couples):
        measured_on()
        return found
    if stopped(key):
        return found
    job, kind = store().evaluator.latest((session_id(), "compare")), pairs.compare_draws
    if job is None or job.fingerprint != key or not (job.active or job.state == "failed"):
        job = kind(session_id(), model, data, couples)
    follow(job)
    return there()


def measured_on() -> None:
    st.caption(tr("Measured on {data}.", data=plain(state.data_label(state.current().data))))


def stopped(key: object) -> bool:
    """Whether somebody has stopped this; then with the way back."""
    if st.session_state.get("compare_stopped") != key:
        return False
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(tr("Measuring was stopped."), width="content")
        st.button(tr("Measure again"), on_click=lambda: st.session_state.pop("compare_stopped", None))
    return True


def follow(job: Job) -> bool:
    """Progress with a way out, or why there is none (False)."""
    if job.state == "failed":
        text = tr("{error}. Pick another side above, or data that fits the model in the sidebar.", error=job.error)
        st.error(plain(text))
        return False
    st.fragment(_follow, run_every=REFRESH_SECONDS)(job, job.partial)
    return True


def _follow(job: Job, seen: Any) -> None:
    """Progress with a way out; the whole page is drawn again when there is something new."""
    state.note_url()
    if not job.active or job.partial is not seen:
        st.rerun()
    place = store().evaluator.place(job)
    step = step_text(job)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        text = tr("Waiting: {n} before this", n=place) if place and not job.done else step
        st.progress(min(1.0, job.done / max(1, job.total)), text=plain(text))
        st.button(tr("Cancel"), key="cancel_compare", on_click=_stop, args=(job,), wrap=False)


def _stop(job: Job) -> None:
    st.session_state["compare_stopped"] = job.fingerprint
    job.cancel()
