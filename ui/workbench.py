"""Editing the mask: clicks, boxes, the grid, sliders, whole layers, undo. One frozen mask behind all of them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import replace
from typing import Any

import streamlit as st

from pruning.anatomy import Anatomy
from pruning.importance import ImportanceMap, get_criterion
from pruning.masks import HeadId, Mask
from ui import charts, state
from ui import theme as look
from ui.controls import mirror_key, on_move
from ui.grid import GridEdit, apply_edit, head_grid
from ui.theme import Theme

THRESHOLDS = 200  # steps of the threshold slider
GRID_FIRST = 1000  # above so many heads the grid is quicker than the picture
TOOLS = {"click": "Click", "box": "Box", "grid": "Grid"}
TOOLS_HELP = (
    "Click: press on a cell to remove or restore a head. Box: drag over cells; they are all removed, or all restored "
    "where they were removed already. Grid: buttons for mouse, keyboard (arrows, Space, Shift + arrows) and screen "
    "reader, and the best choice for many quick edits."
)


def toolbar(heads_per_site: tuple[int, ...]) -> None:
    """How much is removed, and the edits that concern the mask as a whole."""
    session = state.current()
    history, total = session.history, sum(heads_per_site)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"**Removed {len(session.mask.heads):,} of {total:,} heads**", width="content")
        st.button("Undo", on_click=state.undo, disabled=not history.past, shortcut="Ctrl+Z", icon=":material/undo:")
        st.button(
            "Redo", on_click=state.redo, disabled=not history.future, shortcut="Ctrl+Shift+Z", icon=":material/redo:"
        )
        st.button(
            "Invert",
            on_click=lambda: state.edit_mask(inverted(state.current().mask, heads_per_site)),
            help="Keep what is removed and remove what is kept.",
        )
        st.button(
            "Reset",
            on_click=lambda: state.edit_mask(Mask()),
            disabled=not session.mask,
            help="Put all heads back. Undo brings the mask back.",
        )


def inverted(mask: Mask, heads_per_site: tuple[int, ...]) -> Mask:
    """Every head the other way round; neurons and layers stay as they are."""
    every = {HeadId(site, head) for site, heads in enumerate(heads_per_site) for head in range(heads)}
    return replace(mask, heads=frozenset(every - mask.heads))


def toggled(mask: Mask, heads: set[HeadId]) -> Mask:
    """Remove these heads, or restore them where all of them are removed already."""
    chosen = Mask(frozenset(heads))
    return mask - chosen if chosen.heads <= mask.heads else mask | chosen


def editor(
    importance: ImportanceMap | None,
    heads_per_site: tuple[int, ...],
    names: list[str],
    theme: Theme,
    anatomy: Anatomy | None = None,
) -> None:
    """The heatmap that takes clicks, or the grid."""
    default = "grid" if sum(heads_per_site) > GRID_FIRST or importance is None else "click"
    shown = st.session_state.get("tool") or default
    key = mirror_key("tool", shown)
    tool = st.segmented_control(
        "Edit with",
        list(TOOLS),
        default=shown,
        key=key,
        required=True,
        format_func=TOOLS.__getitem__,
        help=TOOLS_HELP,
        on_change=on_move("tool", key, _choose_tool),
    )
    widen = _group_choice(anatomy) if anatomy is not None and anatomy.is_grouped else frozenset
    if tool == "grid" or importance is None:
        _grid(importance, heads_per_site, names, widen)
    else:
        _heatmap(importance, heads_per_site, names, theme, tool or "click", widen)


Widen = Callable[[Iterable[HeadId]], frozenset[HeadId]]


def _group_choice(anatomy: Anatomy) -> Widen:
    """Whether an edit of one head is an edit of its key-value group."""
    whole = st.session_state.get("whole_groups", True)
    key = mirror_key("whole_groups", whole)

    def choose(value: Any) -> bool:
        st.session_state["whole_groups"] = bool(value)
        return bool(value)

    chosen = st.toggle(
        "Whole key-value groups",
        value=whole,
        key=key,
        help="Heads of a group share their keys and values, which go only when the whole group goes. "
        "Off, single heads can be removed: their query and output weights go, and their attention is still computed.",
        on_change=on_move("whole_groups", key, choose),
    )
    return anatomy.with_their_groups if chosen else frozenset


def _choose_tool(tool: Any) -> str:
    st.session_state["tool"] = tool
    return tool


def _grid(importance: ImportanceMap | None, heads_per_site: tuple[int, ...], names: list[str], widen: Widen) -> None:
    def on_edit(edit: GridEdit) -> None:
        changes = tuple((member, gone) for head, gone in edit.changes for member in widen({head}))
        state.edit_mask(apply_edit(state.current().mask, replace(edit, changes=changes)))

    head_grid(
        importance.values if importance else None,
        state.current().mask,
        heads_per_site=heads_per_site,
        site_names=names,
        key=f"grid_{state.current().model}",
        label="Attention heads by layer",
        signed=importance is not None and get_criterion(importance.criterion).signed,
        reverse=importance is not None and get_criterion(importance.criterion).direction == "low",
        on_edit=on_edit,
    )


def _heatmap(
    importance: ImportanceMap,
    heads_per_site: tuple[int, ...],
    names: list[str],
    theme: Theme,
    tool: str,
    widen: Widen,
) -> None:
    session, criterion = state.current(), get_criterion(importance.criterion)
    removed = len(session.mask.heads)
    figure = charts.heatmap(
        importance.values,
        mask=session.mask,
        site_names=names,
        title=f"{removed} heads removed" if removed else "All heads kept",
        subtitle=f"{criterion.label}; a cross marks a removed head",
        unit=criterion.unit,
        signed=criterion.signed,
        reverse=criterion.direction == "low",
        theme=theme,
        clickable=True,
        drag="box" if tool == "box" else "click",
    )
    key = f"heatmap_{tool}"

    def on_select() -> None:
        event = st.session_state.get(key)
        heads = charts.clicked_heads(event.get("selection") if event else None, heads_per_site)
        click, mask = (session.mask, heads), state.current().mask
        if click == st.session_state.get("last_click") and mask != session.mask:
            return  # a late refresh brings the click on the picture before once more
        st.session_state["last_click"] = click
        if heads:
            state.edit_mask(toggled(mask, set(widen(heads))))

    alt = charts.describe_heatmap(importance.values, mask=session.mask, site_names=names, unit=criterion.unit)
    st.plotly_chart(
        figure,
        theme=None,
        config=charts.CONFIG,
        key=key,
        on_select=on_select,
        selection_mode=("points", "box"),
        alt=alt,
    )


def sliders(importance: ImportanceMap) -> None:
    """Two ways to say the same: how many of the lowest heads go, or a threshold."""
    session = state.current()
    total, removed = len(importance.keep_values), len(session.mask.heads)
    criterion = get_criterion(importance.criterion)

    def remove_lowest(count: Any) -> Hashable:
        state.edit_mask(importance.lowest(count))
        return importance.criterion, state.current().mask

    def use_threshold(threshold: float) -> Hashable:
        st.session_state["threshold_chosen"] = threshold
        state.edit_mask(importance.below(threshold))
        return importance.criterion, state.current().mask

    shown = importance.criterion, session.mask
    key = mirror_key("lowest", shown)
    st.slider(
        "Remove the lowest heads",
        0,
        total,
        min(removed, total),
        key=key,
        on_change=on_move("lowest", key, remove_lowest),
        help="Sets the mask to so many of the least important heads. Undo brings back what was there before.",
    )
    side = "above" if criterion.direction == "low" else "below"
    key = mirror_key("threshold", shown)
    stops = _stops(importance)
    st.select_slider(
        f"Remove heads {side} a threshold",
        list(stops),
        _stop_at(stops, importance, session.mask),
        key=key,
        on_change=on_move("threshold", key, lambda label: use_threshold(stops[str(label)])),
        help=f"Sets the mask to every head whose {criterion.label.lower()} is {side} this value ({criterion.unit}).",
    )


def _stops(importance: ImportanceMap) -> dict[str, float]:
    """Thresholds to choose from, by their label, from a little below the values to a little above.

    A fixed set of stops, because a slider over all numbers rounds what it is given and sends that back as a wish.
    """
    values = [value for row in importance.values for value in row]
    low, high = min(values), max(values)
    margin = (high - low or 1.0) / 100
    step = (high - low + 2 * margin) / THRESHOLDS
    return {look.number(low - margin + i * step, 4): low - margin + i * step for i in range(THRESHOLDS + 1)}


def _stop_at(stops: dict[str, float], importance: ImportanceMap, mask: Mask) -> str:
    """Where the threshold stands: where the user put it while it still gives this mask, else by the number of heads."""
    chosen = st.session_state.get("threshold_chosen")
    labels = list(stops)
    if chosen is not None and chosen in stops.values() and importance.below(chosen).heads == mask.heads:
        return labels[list(stops.values()).index(chosen)]
    between = importance.threshold_for(len(mask.heads))
    if between is None:
        nothing_first = get_criterion(importance.criterion).direction == "high"
        return labels[0] if bool(mask.heads) != nothing_first else labels[-1]
    return min(labels, key=lambda label: abs(stops[label] - between))


def layer_tool(heads_per_site: tuple[int, ...], names: list[str]) -> None:
    """Remove or restore a whole row."""
    pick, act = st.columns([3, 2], vertical_alignment="bottom")
    site = pick.selectbox(
        "Whole layer",
        range(len(names)),
        format_func=names.__getitem__,
        key="layer_choice",
        help="All attention heads of this layer; its feed-forward block stays.",
    )
    gone = _row(site, heads_per_site) <= state.current().mask.heads

    def toggle() -> None:  # the layer that is chosen by now, not the one that was when this was drawn
        row = _row(st.session_state.get("layer_choice", site), heads_per_site)
        state.edit_mask(toggled(state.current().mask, row))

    act.button("Restore the layer's heads" if gone else "Remove the layer's heads", on_click=toggle, width="stretch")


def _row(site: int, heads_per_site: tuple[int, ...]) -> set[HeadId]:
    return {HeadId(site, head) for head in range(heads_per_site[site])}
