"""Work that begins when the page is opened: its progress with a way out, and what to do when it was stopped."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from pruning.language import tr
from ui import state
from ui.importance import step_text
from ui.jobs import Job, Worker
from ui.sidebar import REFRESH_SECONDS
from ui.theme import as_sentence, plain


def follow(start: Callable[[], Job], wanted: object, worker: Worker, draw: Callable[[Job], None] | None = None) -> None:
    """Start the work unless it was stopped, and draw how far it is; the page is drawn again when it has ended.

    Args:
        wanted: What it is of, as a key.
        draw: Shows what is known by now, again and again.
    """
    if st.session_state.get("head_stopped") == wanted:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.caption(tr("Stopped before there was a result."))
            st.button(tr("Go on"), key=f"again {wanted[0]}" if isinstance(wanted, tuple) else None, on_click=_go_on)
        return
    job = start()
    st.fragment(_progress, run_every=REFRESH_SECONDS if job.active else None)(job, job.active, wanted, worker, draw)


def _go_on() -> None:
    st.session_state.pop("head_stopped", None)


def _progress(
    job: Job, was_active: bool, wanted: object, worker: Worker, draw: Callable[[Job], None] | None = None
) -> None:
    state.note_url()
    if job.state == "failed":
        st.error(plain(f"{as_sentence(job.error)} {tr('Pick other data or another model in the sidebar.')}"))
        return
    if draw is not None:
        draw(job)
    if not job.active:
        if was_active:
            st.rerun()
        return
    place = worker.place(job)
    step = step_text(job)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        text = tr("Waiting: {n} before this", n=place) if place and not job.done else step
        st.progress(min(1.0, job.done / max(1, job.total)), text=plain(text))
        st.button(tr("Cancel"), key=f"cancel {job.owner[1]}", on_click=_stop, args=(job, wanted), wrap=False)


def _stop(job: Job, wanted: object) -> None:
    job.cancel()
    st.session_state["head_stopped"] = wanted
