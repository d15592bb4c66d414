"""Prune: take heads away and watch the task answer."""

import streamlit as st

from pruning.anatomy import Anatomy
from pruning.importance import ImportanceMap, get_criterion
from pruning.language import mark, tr
from pruning.masks import Mask
from ui import state
from ui.importance import criterion_picker, known_importance, provenance, scoring_state
from ui.live import flips_panel, live_panel, table_panel
from ui.naming import names_of
from ui.neurons import neuron_panel
from ui.page import Page, begin, send_now
from ui.plan_line import plan_line
from ui.plan_search import plan_state
from ui.planning import plan_form
from ui.removed import misfit
from ui.sentence import sentence_box
from ui.store import store
from ui.toolbar import toolbar
from ui.workbench import editor, layer_tool, sliders


def main() -> None:
    lead = mark("Take heads away and watch the task answer. You cannot break anything: undo goes all the way back.")
    page = begin("Prune", tr(lead))
    importance = known_importance()
    heads_per_site = shape(importance)
    if not heads_per_site:
        with st.container(height=420, border=False):
            scoring_state()
        return
    anatomy = known_anatomy()
    if not fits(heads_per_site, anatomy):
        st.rerun()
    toolbar(heads_per_site, anatomy)
    left, right = st.columns([3, 2], gap="large")
    with right:  # before the picture, which takes longer: the figures are what an edit is made for
        live_panel()
    send_now()
    with left:
        draw_editor(importance, heads_per_site, page)
        table_panel()
    with right:
        sentence_box()
        flips_panel()


def known_anatomy() -> Anatomy | None:
    """What the model has; nothing is known of it before it is loaded."""
    model = store().request_model(state.current().model).model
    return model.anatomy if model is not None else None


def shape(importance: ImportanceMap | None) -> tuple[int, ...]:
    """Heads of each site: from the kept map before the model is loaded, else from the model."""
    anatomy = known_anatomy()
    if anatomy is not None:
        return anatomy.heads_per_site
    return tuple(len(row) for row in importance.values) if importance else ()


def fits(heads_per_site: tuple[int, ...], anatomy: Anatomy | None) -> bool:
    """Whether the mask fits the model; one that came with a link and does not is emptied, and that is said."""
    problem = misfit(state.current().mask, heads_per_site, anatomy)
    if problem:
        state.update(history=state.History(Mask()))
        text = mark("The mask does not fit this model: {problem}. All heads are kept now.")
        st.session_state["notice"] = tr(text, problem=problem)
    return not problem


def draw_editor(importance: ImportanceMap | None, heads_per_site: tuple[int, ...], page: Page) -> None:
    """The picture or the grid, what sets the mask as a whole, and the plan."""
    model = store().request_model(state.current().model).model
    anatomy = model.anatomy if model is not None else None
    names = names_of(anatomy, len(heads_per_site))
    criterion_picker()
    # Each part keeps its place on the page, whatever is in it: a part that moves forgets whether it was unfolded.
    with st.container():
        if importance is None:
            scoring_state()
    with st.container():
        editor(importance, heads_per_site, names, page.theme, anatomy)
    with st.container():
        if importance is not None:
            sliders(importance)
            about = tr(get_criterion(importance.criterion).about)
            st.caption(f"{about} {tr('{text}.', text=provenance(importance))}")
    plan_form(model)
    with st.container():
        plan_state(model)
        plan_line(model)
    layer_tool(heads_per_site, names, anatomy)
    neuron_panel(model)


main()
