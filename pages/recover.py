"""Recover: give a pruned model back what it lost, without training and with it; and two other ways to use masks."""

from collections.abc import Callable

import streamlit as st

from pruning.models import LoadedModel
from ui import state
from ui.ensembles import ensemble_view
from ui.page import begin
from ui.recovered import mask_words
from ui.recovering import recover_view
from ui.removed import misfit
from ui.sparsity import sparsity_view
from ui.store import store
from ui.theme import Theme, plain

VIEWS: dict[str, Callable[[LoadedModel, Theme], None]] = {
    "Pruned model": recover_view,
    "Single weights": sparsity_view,
    "Ensembles": ensemble_view,
}


def main() -> None:
    page = begin("Recover", "Give a pruned model back what it lost, and see what other kinds of pruning are worth.")
    view = st.segmented_control(
        "What to look at", list(VIEWS), default=next(iter(VIEWS)), key="recover_view", required=True,
        persist_state="session", label_visibility="collapsed",
    )  # fmt: skip
    loading = store().request_model(state.current().model)
    if loading.state == "failed":
        st.info("There is no model to recover. Pick one in the sidebar.")
    elif loading.model is None:
        removed = mask_words(state.current().mask)
        kept = f" The mask ({removed} removed) is waiting for it." if removed else ""
        st.info(plain(f"{state.current().model} is loading: {loading.step[:1].lower()}{loading.step[1:]} …{kept}"))
    elif problem := misfit(state.current().mask, loading.model.anatomy.heads_per_site, loading.model.anatomy):
        state.update(history=state.History())
        st.session_state["notice"] = f"The mask does not fit this model: {problem}. All heads are kept now."
        st.rerun()
    else:
        VIEWS[view or next(iter(VIEWS))](loading.model, page.theme)


main()
