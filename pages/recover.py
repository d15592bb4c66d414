"""Recover: give a pruned model back what it lost, without training and with it; and two other ways to use masks."""

from collections.abc import Callable

import streamlit as st

from pruning.models import LoadedModel
from ui.ensembles import ensemble_view
from ui.page import begin, fitting_model
from ui.recovering import recover_view
from ui.sparsity import sparsity_view
from ui.theme import Theme

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
    model = fitting_model("to recover")
    if model is not None:
        VIEWS[view or next(iter(VIEWS))](model, page.theme)


main()
