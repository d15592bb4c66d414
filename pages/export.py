"""Export: take the smaller model away, the decision, the numbers, the figures, and a report."""

import streamlit as st

from ui import state
from ui.export.view import export_view
from ui.page import begin
from ui.recovered import mask_words
from ui.removed import misfit
from ui.store import store
from ui.theme import plain


def main() -> None:
    page = begin("Export", "Take away what you have made: the model, the decision, the numbers, the figures, a report.")
    session = state.current()
    loading = store().request_model(session.model)
    if loading.state == "failed":
        st.info("There is no model to export. Pick one in the sidebar.")
    elif loading.model is None:
        removed = mask_words(session.mask)
        kept = f" The mask ({removed} removed) is waiting for it." if removed else ""
        st.info(plain(f"{session.model} is loading: {loading.step[:1].lower()}{loading.step[1:]} …{kept}"))
    elif problem := misfit(session.mask, loading.model.anatomy.heads_per_site, loading.model.anatomy):
        state.update(history=state.History())
        st.session_state["notice"] = f"The mask does not fit this model: {problem}. All heads are kept now."
        st.rerun()
    else:
        export_view(loading.model, page.theme)


main()
