"""Getting an importance map onto a page: kept, scored before, or being scored now with progress and cancel."""

from __future__ import annotations

from typing import Any

import streamlit as st

from pruning.importance import ImportanceMap, criteria, get_criterion
from ui import state
from ui.controls import mirror_key, on_move
from ui.jobs import Job
from ui.sidebar import REFRESH_SECONDS
from ui.store import session_id, store
from ui.theme import plain

CRITERION_HELP = (
    "How the importance of a head is measured. Each criterion says below what it means and where it comes from."
)


def criterion_picker() -> None:
    """Choose the criterion; the choice is in the link."""
    shown, names = state.current().criterion, list(criteria())
    key = mirror_key("criterion", shown)
    st.selectbox(
        "Criterion",
        names,
        index=names.index(shown),
        key=key,
        format_func=lambda name: get_criterion(name).label,
        on_change=on_move("criterion", key, _choose),
        help=CRITERION_HELP,
    )


def _choose(name: Any) -> str:
    state.update(criterion=name)
    return name


def known_importance() -> ImportanceMap | None:
    """The map of the chosen criterion, if it need not be scored."""
    session = state.current()
    return store().importance(session.model, session.data, session.criterion)


def scoring_state() -> None:
    """Score what is missing: quick criteria at once, slow ones when asked. Draws progress, cancel and errors."""
    session = state.current()
    loading = store().request_model(session.model)
    if loading.state == "failed":
        st.info("There is no model to score. Pick one in the sidebar.")
        return
    if loading.model is None:
        st.info(plain(f"{session.model} is loading. Its heads appear here as soon as they are found."))
        return
    criterion = get_criterion(session.criterion)
    wanted = ("score", loading.model.fingerprint, session.data, session.criterion)
    if not criterion.quick and st.session_state.get("score_asked") != wanted:
        passes = loading.model.anatomy.total_heads + 1
        st.info(f"{criterion.label} runs the calibration rows {passes:,} times, once for each head.")
        st.button("Score now", type="primary", on_click=_ask, args=(wanted,))
        return
    if st.session_state.get("score_stopped") == wanted:
        st.info("Scoring was stopped.")
        st.button("Score again", on_click=_ask, args=(wanted,))
        return
    job = store().score(session_id(), loading.model, session.data, session.criterion)
    st.fragment(_progress, run_every=REFRESH_SECONDS if job.active else None)(job, wanted)


def _ask(wanted: tuple) -> None:
    st.session_state["score_asked"] = wanted
    st.session_state.pop("score_stopped", None)


def _stop(job: Job, wanted: tuple) -> None:
    job.cancel()
    st.session_state["score_stopped"] = wanted


def _progress(job: Job, wanted: tuple) -> None:
    if job.state == "failed":
        st.error(plain(f"{job.error}. Pick data that fits the model in the sidebar, or another criterion."))
        return
    if not job.active:
        st.rerun()
    place = store().scorer.place(job)
    text = f"Waiting: {place} before this" if place else f"{job.step or 'Starting'} {progress_text(job)}"
    st.progress(min(1.0, job.done / max(1, job.total)), text=text)
    st.button("Cancel", key="cancel_score", on_click=_stop, args=(job, wanted))


def progress_text(job: Job) -> str:
    """How far a job is and how long it will take, as far as that is known."""
    if job.total <= 1:
        return ""
    left = job.seconds_left
    about = f", about {max(1, round(left))} s left" if left is not None and left > 1.5 else ""
    return f"{job.done:,} of {job.total:,}{about}"


def provenance(importance: ImportanceMap) -> str:
    """Where the figures come from, in one line."""
    kept = store().importance("demo", "demo", importance.criterion) is importance and importance.model
    what = f"n = {importance.samples:,} calibration rows" if importance.samples else "no data needed"
    when = f"measured on {importance.made}" + (" and kept with the built-in model" if kept else "")
    return f"{what} · {when}"
