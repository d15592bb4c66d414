"""Try it: one's own sentence, or an image of the data, answered by both models in large type."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

import streamlit as st

from pruning.errors import PruningError
from pruning.language import tr
from pruning.presenting.examples import shown_at
from ui import state
from ui.present.stage import Scene, example_html, missing
from ui.present.wish import Wish
from ui.sentence import PLACEHOLDER
from ui.sidebar import REFRESH_SECONDS
from ui.store import session_id, store
from ui.theme import plain

if TYPE_CHECKING:
    from pruning.answering import Answer
    from pruning.models import LoadedModel
    from pruning.presenting.figures import Presented


def try_it(scene: Scene, wished: Wish) -> None:
    """What fits the model: a sentence where it reads text, a row where it looks at images."""
    loading = store().request_model(state.current().model)
    with st.container(key="present_try"):
        if loading.model is None or scene.found is None:
            st.html(f"<div class='present'><p class='wait'>{html.escape(missing(scene))}</p></div>")
        elif loading.task == "image-classification":
            _row(scene.found)
        else:
            _sentence(loading.model, scene.found, loading.task == "language-modeling")


def _row(found: Presented) -> None:
    before, after = found.before, found.after
    if before is None or after is None:
        return
    place = st.number_input(
        tr("Which image"), 1, after.samples, 1, key="present_row",
        help=tr("Any image that was measured, by its number; both models have answered all of them."),
    )  # fmt: skip
    one = shown_at(before, after, int(place) - 1)
    st.html(f"<div class='present'>{example_html(one, tr('Image {n}', n=int(place)))}</div>")


def _sentence(model: LoadedModel, found: Presented, continues: bool) -> None:
    prompt = tr("The beginning of a text") if continues else tr("Your own sentence")
    text = st.text_input(
        prompt, key="present_sentence", placeholder="The weather today is" if continues else PLACEHOLDER,
        max_chars=2000, help=tr("Both models answer it: the whole one and the smaller one. Type it and press Enter."),
    )  # fmt: skip
    if not text.strip():
        return
    session, mask = state.current(), found.mask
    replacement = store().replacements.known(model, session.data, mask, found.compensation)
    if replacement is None and found.compensation != "none" and mask:
        job = store().presentations.refit(session_id(), model, session.data, mask, found.compensation)
        st.fragment(_wait, run_every=REFRESH_SECONDS)(job)
        return
    try:
        from pruning.answering import answer

        sides = answer(model, text), answer(model, text, mask, compensation=replacement)
    except PruningError as error:
        st.error(plain(f"{error}."))
        return
    both = _side(tr("before"), sides[0]) + _side(tr("after"), sides[1])
    st.html(f"<div class='present'><div class='pair'>{both}</div></div>")


def _wait(job: object) -> None:
    state.note_url()
    if not getattr(job, "active", False):
        st.rerun()
    st.caption(tr("The answer comes when what is left has been fitted again."))


def _side(when: str, said: tuple[Answer, ...]) -> str:
    """The most probable answer large, the others below."""
    first = html.escape(_shown(said[0].label))
    rest = " · ".join(f"{html.escape(_shown(one.label))} {one.probability:.2f}" for one in said[1:])
    return (
        f"<div class='side'><span class='when'>{html.escape(when)}</span><span class='number'>{first}"
        f" <span class='unit'>{said[0].probability:.2f}</span></span><span class='interval'>{rest}</span></div>"
    )


def _shown(label: str) -> str:
    """Tokens may be nothing but spaces."""
    return label.strip() or repr(label)
