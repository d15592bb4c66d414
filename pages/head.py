"""Head: everything about one attention head."""

import streamlit as st

from pruning.masks import HeadId
from pruning.models import LoadedModel
from ui import state
from ui.head.attending import attention_view
from ui.head.choosing import chosen_head, header
from ui.head.habits import alike_view, patterns_view
from ui.head.worth import importance_view, loss_view
from ui.page import begin
from ui.removed import misfit
from ui.store import store
from ui.theme import Theme, plain


def main() -> None:
    page = begin("Head", "What one attention head looks at, what it is worth, and what the task loses without it.")
    session = state.current()
    loading = store().request_model(session.model)
    if loading.state == "failed":
        st.info("There is no model to look into. Pick one in the sidebar.")
    elif loading.model is None:
        with st.container(height=420, border=False):
            step = f"{loading.step[:1].lower()}{loading.step[1:]}"
            st.info(plain(f"{session.model} is loading: {step} … Head {session.head} appears here when it is there."))
    elif problem := misfit(session.mask, loading.model.anatomy.heads_per_site, loading.model.anatomy):
        state.update(history=state.History())
        st.session_state["notice"] = f"The mask does not fit this model: {problem}. All heads are kept now."
        st.rerun()
    else:
        head = chosen_head(loading.model.anatomy)
        header(loading.model.anatomy, head)
        draw(loading.model, head, page.theme)


def draw(model: LoadedModel, head: HeadId, theme: Theme) -> None:
    """One input, all inputs, worth. Each part keeps its place, whatever is in it."""
    st.header("On one input")
    attention_view(model, head)
    left, right = st.columns(2, gap="large")
    with left:
        st.header("On average")
        with st.container():
            patterns_view(model, head, theme)
        st.header("Heads that attend most alike")
        with st.container():
            alike_view(model, head)
    with right:
        st.header("Importance")
        with st.container():
            importance_view(model, head)
    st.header("What the task loses without it")
    with st.container():
        loss_view(model, head)


main()
