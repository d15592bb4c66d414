"""Head: everything about one attention head."""

import streamlit as st

from pruning.language import mark, tr
from pruning.masks import HeadId
from pruning.models import LoadedModel
from ui import state
from ui.head.attending import attention_view
from ui.head.choosing import chosen_head, header
from ui.head.habits import alike_view, patterns_view
from ui.head.worth import importance_view, loss_view
from ui.page import begin, fitting_model
from ui.theme import Theme


def main() -> None:
    lead = mark("What one attention head looks at, what it is worth, and what the task loses without it.")
    page = begin("Head", tr(lead))
    then = tr("Head {head} appears here when it is there.", head=state.current().head)
    model = fitting_model(tr("to look into"), then)
    if model is not None:
        head = chosen_head(model.anatomy)
        header(model.anatomy, head)
        draw(model, head, page.theme)


def draw(model: LoadedModel, head: HeadId, theme: Theme) -> None:
    """One input, all inputs, worth. Each part keeps its place, whatever is in it."""
    st.header(tr("On one input"))
    attention_view(model, head)
    left, right = st.columns(2, gap="large")
    with left:
        st.header(tr("On average"))
        with st.container():
            patterns_view(model, head, theme)
    with right:
        st.header(tr("Importance"))
        with st.container():
            importance_view(model, head)
        st.header(tr("Heads that attend most alike"))
        with st.container():
            alike_view(model, head)
    st.header(tr("What the task loses without it"))
    with st.container():
        loss_view(model, head)


main()
