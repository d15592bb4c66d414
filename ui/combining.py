"""Masks under a name: keeping the one on the screen, opening one again, and combining two."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from operator import and_, or_, sub

import streamlit as st

from pruning.importance import get_criterion
from pruning.language import mark, tr
from pruning.masks import Mask
from pruning.scopes import Scope
from ui import state
from ui.importance import known_maps
from ui.maps import Scoring
from ui.removed import mask_words
from ui.scenarios import Scenario, forget, free_name, keep, reopen, scenarios
from ui.theme import plain

Combine = Callable[[Mask, Mask], Mask]
COMBINATIONS: dict[str, tuple[Combine, str]] = {
    mark("Union"): (or_, mark("Remove what either of the two removes.")),
    mark("Intersection"): (and_, mark("Remove only what both remove.")),
    mark("Minus"): (sub, mark("Put back what the chosen one removes.")),
}
HEADS: Scope = "heads"


def scenario_menu() -> None:
    """A button that opens the kept masks."""
    about = tr("Keep this mask under a name, or bring one back.")
    with st.popover(tr("Scenarios"), icon=":material/bookmark:", help=about):
        kept = scenarios(state.current().model)
        _keeping()
        _opening(kept)
        _combining(kept)


def _keeping() -> None:
    number = st.session_state.get("scenarios_kept", 0)
    key = f"scenario_name_{number}"  # a new field after each, empty again

    def act() -> None:
        kept = keep(st.session_state.get(key, ""))
        st.session_state["scenarios_kept"] = number + 1
        st.toast(tr("Kept as {name}.", name=plain(kept.name)))

    with st.form("scenario_form", border=False, clear_on_submit=False):
        about = tr("What this mask is kept as.")
        st.text_input(tr("Name"), key=key, placeholder=free_name(), max_chars=80, help=about)
        st.form_submit_button(tr("Keep this mask"), on_click=act)


def _opening(kept: list[Scenario]) -> None:
    if not kept:
        return
    chosen = st.selectbox(
        tr("Kept for this model"), range(len(kept)), format_func=lambda i: _label(kept[i]), key="scenario_choice"
    )
    if chosen is None:
        return
    with st.container(horizontal=True):
        back = tr("Undo brings back the mask on the screen.")
        st.button(tr("Reopen"), on_click=reopen, args=(kept[chosen],), help=back)
        gone = tr("It is gone from the list, and not from links.")
        st.button(tr("Forget"), on_click=forget, args=(kept[chosen],), help=gone)


def _label(scenario: Scenario) -> str:
    return f"{scenario.name} · {mask_words(scenario.mask) or tr('nothing removed')}"


# Combining -------------------------------------------------------------------------------------------------------


def _combining(kept: list[Scenario]) -> None:
    """The mask on the screen and another one, at first the one that was kept last."""
    others = combinable(kept)
    if not others:
        return
    name = st.selectbox(
        tr("Combine with"),
        list(others),
        key=f"combine_with_{len(kept)}",
        help=tr("Masks that you have kept, and as many of the lowest heads by another criterion as are removed now."),
    )
    with st.container(horizontal=True):
        for label, (combine, about) in COMBINATIONS.items():
            key, args = f"combine_{label}", (combine, others.get(name))
            st.button(tr(label), key=key, on_click=_combine, args=args, help=tr(about))


def _combine(combine: Combine, other: Callable[[], Mask] | None) -> None:
    if other is not None:
        state.edit_mask(combine(state.current().mask, other()))


def combinable(kept: list[Scenario]) -> dict[str, Callable[[], Mask]]:
    """Other masks of this model by what they are called; each is made when it is asked for.

    Args:
        kept: Scenarios of this model, the newest first.
    """
    session = state.current()
    found: dict[str, Callable[[], Mask]] = {_label(one): partial(_mask_of, one) for one in kept}
    count = len(session.mask.heads)
    if count:
        for name, importance in known_maps(Scoring(session.criterion, HEADS)).items():
            if name != session.criterion:
                label = tr(get_criterion(name).label)
                what = tr("{n} lowest by {criterion}", n=count, criterion=f"{label[0].lower()}{label[1:]}")
                found[what] = partial(importance.lowest, count)
    return found


def _mask_of(scenario: Scenario) -> Mask:
    return scenario.mask
