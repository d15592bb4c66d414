"""Work that is done when asked: the button that asks, then its progress with a way out, then why it failed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

from ui import state
from ui.importance import progress_text
from ui.jobs import Job, Worker
from ui.sidebar import REFRESH_SECONDS
from ui.theme import plain


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
        st.fragment(_follow, run_every=REFRESH_SECONDS)(job, worker)
        return
    if job is not None and mine and job.state == "failed":
        st.error(plain(f"That has failed: {job.error}. Change what is asked for, or pick other data or another model."))
    st.button(label, type="primary" if primary else "secondary", on_click=ask, key=f"ask {label}")


def _follow(job: Job, worker: Worker) -> None:
    state.note_url()
    if not job.active:
        st.rerun()
    place = worker.place(job)
    step = " ".join(filter(None, [job.step or "Starting", progress_text(job)]))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        text = f"Waiting: {place} before this" if place and not job.done else step
        st.progress(min(1.0, job.done / max(1, job.total)), text=plain(text))
        st.button("Cancel", key=f"cancel {job.owner[1]}", on_click=job.cancel, wrap=False)
