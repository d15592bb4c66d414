"""Recover: give a pruned model back what it lost, without training and with it; and two other ways to use masks."""

from collections.abc import Callable

import streamlit as st

from pruning.language import mark, tr
from pruning.models import LoadedModel
from ui.ensembles import ensemble_view
from ui.page import begin, fitting_model
from ui.recovering import recover_view
from ui.sparsity import sparsity_view
from ui.theme import Theme

VIEWS: dict[str, Callable[[LoadedModel, Theme], None]] = {
    mark("Pruned model"): recover_view,
    mark("Single weights"): sparsity_view,
    mark("Ensembles"): ensemble_view,
}


def main() -> None:
    lead = mark("Give a pruned model back what it lost, and see what other kinds of pruning are worth.")
    page = begin("Recover", tr(lead))
    view = st.segmented_control(
        tr("What to look at"), list(VIEWS), default=next(iter(VIEWS)), key="recover_view", required=True,
        persist_state="session", label_visibility="collapsed", format_func=tr,
    )  # fmt: skip
    model = fitting_model(tr("to recover"))
    if model is not None:
        VIEWS[view or next(iter(VIEWS))](model, page.theme)


main()
