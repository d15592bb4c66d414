"""Masks under a name: keeping the one on the screen, opening one again, and combining two."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from operator import and_, or_, sub

import streamlit as st

from pruning.importance import get_criterion
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
    "Union": (or_, "Remove what either of the two removes."),
    "Intersection": (and_, "Remove only what both remove."),
    "Minus": (sub, "Put back what the chosen one removes."),
}
HEADS: Scope = "heads"


def scenario_menu() -> None:
    """A button that opens the kept masks."""
    with st.popover("Scenarios", icon=":material/bookmark:", help="Keep this mask under a name, or bring one back."):
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
        st.toast(f"Kept as {plain(kept.name)}.")

    with st.form("scenario_form", border=False, clear_on_submit=False):
        st.text_input("Name", key=key, placeholder=free_name(), max_chars=80, help="What this mask is kept as.")
        st.form_submit_button("Keep this mask", on_click=act)


def _opening(kept: list[Scenario]) -> None:
    if not kept:
        return
    chosen = st.selectbox(
        "Kept for this model", range(len(kept)), format_func=lambda i: _label(kept[i]), key="scenario_choice"
    )
    if chosen is None:
        return
    with st.container(horizontal=True):
        st.button("Reopen", on_click=reopen, args=(kept[chosen],), help="Undo brings back the mask on the screen.")
        st.button("Forget", on_click=forget, args=(kept[chosen],), help="It is gone from the list, and not from links.")


def _label(scenario: Scenario) -> str:
    return f"{scenario.name} · {mask_words(scenario.mask) or 'nothing removed'}"


# Combining -------------------------------------------------------------------------------------------------------


def _combining(kept: list[Scenario]) -> None:
    """The mask on the screen and another one, at first the one that was kept last."""
    others = combinable(kept)
    if not others:
        return
    name = st.selectbox(
        "Combine with",
        list(others),
        key=f"combine_with_{len(kept)}",
        help="Masks that you have kept, and as many of the lowest heads by another criterion as are removed now.",
    )
    with st.container(horizontal=True):
        for label, (combine, about) in COMBINATIONS.items():
            st.button(label, key=f"combine_{label}", on_click=_combine, args=(combine, others.get(name)), help=about)


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
                label = get_criterion(name).label
                found[f"{count} lowest by {label[0].lower()}{label[1:]}"] = partial(importance.lowest, count)
    return found


def _mask_of(scenario: Scenario) -> Mask:
    return scenario.mask
