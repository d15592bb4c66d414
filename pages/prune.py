"""Prune: take heads away and watch the task answer."""

import streamlit as st

from pruning.importance import ImportanceMap, get_criterion
from pruning.masks import Mask
from ui import state
from ui.importance import criterion_picker, known_importance, provenance, scoring_state
from ui.live import flips_panel, live_panel, table_panel
from ui.naming import names_of
from ui.page import Page, begin
from ui.sentence import sentence_box
from ui.store import store
from ui.workbench import editor, layer_tool, sliders, toolbar


def main() -> None:
    page = begin(
        "Prune", "Take heads away and watch the task answer. You cannot break anything: undo goes all the way back."
    )
    importance = known_importance()
    heads_per_site = shape(importance)
    if not heads_per_site:
        with st.container(height=420, border=False):
            scoring_state()
        return
    if not fits(heads_per_site):
        st.rerun()
    toolbar(heads_per_site)
    left, right = st.columns([3, 2], gap="large")
    with left:
        draw_editor(importance, heads_per_site, page)
        table_panel()
    with right:
        live_panel()
        sentence_box()
        flips_panel()


def shape(importance: ImportanceMap | None) -> tuple[int, ...]:
    """Heads of each site: from the kept map before the model is loaded, else from the model."""
    loading = store().request_model(state.current().model)
    if loading.model is not None:
        return loading.model.anatomy.heads_per_site
    return tuple(len(row) for row in importance.values) if importance else ()


def fits(heads_per_site: tuple[int, ...]) -> bool:
    """Whether the mask fits the model; one that came with a link and does not is emptied, and that is said."""
    mask = state.current().mask
    wrong = next(
        (h for h in sorted(mask.heads) if h.site >= len(heads_per_site) or h.head >= heads_per_site[h.site]), None
    )
    if wrong is None and not mask.neurons and not mask.layers:
        return True
    what = f"the model has no head {wrong}" if wrong else "only heads can be edited here"
    state.update(history=state.History(Mask()))
    st.session_state["notice"] = f"The mask does not fit this model: {what}. All heads are kept now."
    return False


def draw_editor(importance: ImportanceMap | None, heads_per_site: tuple[int, ...], page: Page) -> None:
    loading = store().request_model(state.current().model)
    names = names_of(loading.model.anatomy if loading.model else None, len(heads_per_site))
    criterion_picker()
    if importance is None:
        scoring_state()
    editor(importance, heads_per_site, names, page.theme, loading.model.anatomy if loading.model else None)
    if importance is not None:
        sliders(importance)
        st.caption(f"{get_criterion(importance.criterion).about} {provenance(importance)}.")
    layer_tool(heads_per_site, names)


main()
