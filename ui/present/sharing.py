"""Taking it away: one file of HTML, and the same as PDF where a browser can print it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

import streamlit as st

from pruning.language import language, tr
from ui import state
from ui.export.browser import missing
from ui.export.subject import Decision
from ui.export.webpage import for_reader
from ui.jobs import Job
from ui.present.handout import Handout, handout
from ui.present.stage import Scene
from ui.present.wish import Wish
from ui.sidebar import REFRESH_SECONDS
from ui.store import session_id, store
from ui.theme import Theme, plain

if TYPE_CHECKING:
    from pruning.models import LoadedModel


def take_away(wished: Wish, scene: Scene, model: LoadedModel | None, theme: Theme) -> None:
    """Both buttons; they say why where they cannot be used."""
    ready = model is not None and scene.found is not None and scene.found.complete
    why = "" if ready else tr("There as soon as everything is measured.")
    if not ready or model is None:
        st.button(tr("Download HTML"), disabled=True, help=why, wrap=False)
        st.button(tr("Make a PDF"), disabled=True, help=why, wrap=False)
        return
    about = Handout(scene, model, _decision(wished, scene), _link())
    st.download_button(
        tr("Download HTML"), for_reader(lambda: handout(about)), "headroom-presentation.html", "text/html",
        on_click="ignore", help=tr("One file with everything in it: no request leaves it."), wrap=False,
    )  # fmt: skip
    _pdf(about, wished, model)


def _decision(wished: Wish, scene: Scene) -> Decision:
    session = state.current()
    assert scene.found is not None
    return Decision(session.model, session.data, scene.found.mask, scene.found.compensation)


def _link() -> str:
    """To this page with this choice."""
    return f"{st.context.url.partition('?')[0] if st.context.url else ''}?{urlencode(state.link())}"


def _pdf(about: Handout, wished: Wish, model: LoadedModel) -> None:
    """Ask for it, wait for it, download it."""
    if why := missing():
        st.button(tr("Make a PDF"), disabled=True, help=tr("Not possible here: {why}.", why=why), wrap=False)
        return
    found = about.scene.found
    assert found is not None
    key = ("present pdf", model.fingerprint, about.decision, wished.prices, wished.choice, language(), about.link)
    job = store().exports.worker.latest((session_id(), "present pdf"))
    mine = job is not None and job.fingerprint == key
    if mine and job is not None and job.active:
        st.fragment(_wait, run_every=REFRESH_SECONDS)(job)
        return
    if mine and job is not None and job.state == "done":
        st.download_button(
            tr("Download PDF"), job.result, "headroom-presentation.pdf", "application/pdf", on_click="ignore",
            wrap=False, help=tr("The same as the HTML file, as it prints."),
        )  # fmt: skip
        return
    if mine and job is not None and job.error is not None:
        st.caption(plain(tr("That has failed: {error}.", error=job.error)))
    st.button(
        tr("Make a PDF"), on_click=_ask, args=(key, about), wrap=False,
        help=tr("The Chromium of this computer prints the HTML file; that takes a few seconds."),
    )  # fmt: skip


def _ask(key: object, about: Handout) -> None:
    from ui.present.paper import print_pdf

    text = handout(about)
    store().exports.worker.submit(Job((session_id(), "present pdf"), key, lambda job: print_pdf(text)))


def _wait(job: Job) -> None:
    state.note_url()
    if not job.active:
        st.rerun()
    st.button(tr("Making the PDF …"), disabled=True, wrap=False, key="present_pdf_wait")
