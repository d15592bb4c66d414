"""Data and model: bring a table or a model of your own, and see what becomes of it before it is used."""

import streamlit as st

from pruning.language import mark, tr
from ui.page import begin
from ui.sources.looking import data_view
from ui.sources.models import model_view

VIEWS = (mark("Data"), mark("Model"))


def main() -> None:
    page = begin("Data and model", tr("Bring your own, and see what becomes of it before it is used."))
    view = st.segmented_control(
        tr("What to bring"), VIEWS, default="Data", key="sources_view", required=True, format_func=tr,
        persist_state="session", label_visibility="collapsed",
    )  # fmt: skip
    if view == "Model":
        model_view()
    else:
        data_view(page.theme)


main()
