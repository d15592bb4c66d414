"""Work that is done when asked: the button that asks, then its progress with a way out, then why it failed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

from pruning.language import mark, tr
from ui import state
from ui.importance import step_text
from ui.jobs import Job, Worker
from ui.sidebar import REFRESH_SECONDS
from ui.theme import plain

MOST_SECONDS = 4.0  # between two looks at a job that many others are before


def wait_for(
    job: Job | None, wanted: object, label: str, ask: Callable[[], Any], worker: Worker, primary: bool = True
) -> None:
    """Draw whichever of the three fits; the whole page is drawn again when the work has ended.

    Args:
        job: The latest of its kind, whatever it is of.
        wanted: Fingerprint of the work that is wanted now.
        label, ask, primary: Of the button.
    """
    mine = job is not None and job.fingerprint == wanted
    if job is not None and mine and job.active:
        st.fragment(_follow, run_every=look_every(worker.place(job)))(job, worker)
        return
    if job is not None and mine and job.state == "failed":
        text = mark("That has failed: {error}. Change what is asked for, or pick other data or another model.")
        st.error(plain(tr(text, error=job.error)))
    st.button(label, type="primary" if primary else "secondary", on_click=ask, key=f"ask {label}")


def look_every(before: int) -> float:
    """Seconds between two looks at a job: a class that waits would keep the server busy with looking alone.

    >>> look_every(0), look_every(2), look_every(30)
    (0.5, 1.0, 4.0)
    """
    return min(MOST_SECONDS, REFRESH_SECONDS * (1 + before / 2))


def _follow(job: Job, worker: Worker) -> None:
    state.note_url()
    if not job.active:
        st.rerun()
    place = worker.place(job)
    step = step_text(job)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        text = tr("Waiting: {n} before this", n=place) if place and not job.done else step
        st.progress(min(1.0, job.done / max(1, job.total)), text=plain(text))
        st.button(tr("Cancel"), key=f"cancel {job.owner[1]}", on_click=job.cancel, wrap=False)
