"""One's own sentence, answered by the unpruned and the pruned model side by side."""

from __future__ import annotations

import streamlit as st

from pruning.errors import PruningError
from pruning.language import tr
from ui import state
from ui.store import store
from ui.theme import as_sentence, plain

PLACEHOLDER = "A slow start, but the last half hour is a delight."


@st.fragment
def sentence_box() -> None:
    """A text field and two answers; typing reruns nothing else. Not for models of images, which read no sentences."""
    session = state.current()
    loading = store().request_model(session.model)
    if loading.task == "image-classification":
        return
    st.header(tr("Try a sentence"))
    text = st.text_input(
        tr("Your own sentence"),
        key="sentence",
        placeholder=PLACEHOLDER,
        max_chars=2000,
        help=tr("Both models answer it: the one with all heads, and the one without the heads that are removed now."),
    )
    if not text.strip():
        st.caption(tr("Type a sentence and press Enter."))
        return
    model = loading.model
    if model is None:
        st.caption(tr("The answer comes when the model is there."))
        return
    try:
        from pruning.answering import answer

        found = store().replacements.known(model, session.data, session.mask, session.replacement)
        if found is None and session.replacement != "none":
            st.caption(tr("The answer comes when the replacement of what is removed has been worked out."))
            return
        answers = [answer(model, text), answer(model, text, session.mask, compensation=found)]
    except PruningError as error:
        st.error(plain(as_sentence(error)))
        return
    for column, title, said in zip(
        st.columns(2), (tr("All heads"), tr("Without the removed heads")), answers, strict=True
    ):
        with column:
            st.caption(title)
            st.markdown(f"**{_shown(said[0].label)}** {said[0].probability:.2f}")
            st.progress(said[0].probability)
            st.caption(" · ".join(f"{_shown(a.label)} {a.probability:.2f}" for a in said[1:]))


def _shown(label: str) -> str:
    """A label as plain text; tokens may be nothing but spaces."""
    return plain(label if label.strip() else repr(label))
