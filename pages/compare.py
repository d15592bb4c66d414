"""Compare: any two kept masks, plans or recovered models side by side."""

import streamlit as st

from ui import state
from ui.compare.panels import compare_view
from ui.page import begin
from ui.removed import misfit
from ui.store import store
from ui.theme import plain


def main() -> None:
    page = begin("Compare", "Two versions of one model, measured on the same examples: which is better, and where?")
    loading = store().request_model(state.current().model)
    if loading.state == "failed":
        st.info("There is no model to compare. Pick one in the sidebar.")
    elif loading.model is None:
        step = f"{loading.step[:1].lower()}{loading.step[1:]}"
        st.info(plain(f"{state.current().model} is loading: {step} … The comparison begins when it is there."))
    elif problem := misfit(state.current().mask, loading.model.anatomy.heads_per_site, loading.model.anatomy):
        state.update(history=state.History())
        st.session_state["notice"] = f"The mask does not fit this model: {problem}. All heads are kept now."
        st.rerun()
    else:
        compare_view(loading.model, page.theme)


main()
