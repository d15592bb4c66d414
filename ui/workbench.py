"""Editing the mask: clicks, boxes, the grid, sliders, whole layers. One frozen mask behind all of them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import replace
from typing import Any

import streamlit as st

from pruning.anatomy import Anatomy
from pruning.importance import ImportanceMap, get_criterion
from pruning.language import mark, tr, trn
from pruning.masks import HeadId, Mask
from ui import charts, state
from ui import theme as look
from ui.controls import mirror_key, on_move
from ui.grid import GridEdit, apply_edit, head_grid
from ui.removed import layer_of, locked_heads, shown_mask
from ui.theme import Theme

THRESHOLDS = 200  # steps of the threshold slider
GRID_FIRST = 1000  # above so many heads the grid is quicker than the picture
TOOLS = {"click": mark("Click"), "box": mark("Box"), "grid": mark("Grid")}
TOOLS_HELP = mark(
    "Click: press on a cell to remove or restore a head. Box: drag over cells; they are all removed, or all restored "
    "where they were removed already. Grid: buttons for mouse, keyboard (arrows, Space, Shift + arrows) and screen "
    "reader, and the best choice for many quick edits."
)


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
        tr("Edit with"),
        list(TOOLS),
        default=shown,
        key=key,
        required=True,
        format_func=lambda name: tr(TOOLS[name]),
        help=tr(TOOLS_HELP),
        on_change=on_move("tool", key, _choose_tool),
    )
    widen = _group_choice(anatomy) if anatomy is not None and anatomy.is_grouped else frozenset
    if tool == "grid" or importance is None:
        _grid(importance, heads_per_site, names, widen, anatomy)
    else:
        _heatmap(importance, heads_per_site, names, theme, tool or "click", widen, anatomy)


Widen = Callable[[Iterable[HeadId]], frozenset[HeadId]]


def _group_choice(anatomy: Anatomy) -> Widen:
    """Whether an edit of one head is an edit of its key-value group."""
    whole = st.session_state.get("whole_groups", True)
    key = mirror_key("whole_groups", whole)

    def choose(value: Any) -> bool:
        st.session_state["whole_groups"] = bool(value)
        return bool(value)

    chosen = st.toggle(
        tr("Whole key-value groups"),
        value=whole,
        key=key,
        help=tr(
            "Heads of a group share their keys and values, which go only when the whole group goes. Off, single heads "
            "can be removed: their query and output weights go, and their attention is still computed."
        ),
        on_change=on_move("whole_groups", key, choose),
    )
    return anatomy.with_their_groups if chosen else frozenset


def _choose_tool(tool: Any) -> str:
    st.session_state["tool"] = tool
    return tool


def unlocked(heads: Iterable[HeadId], anatomy: Anatomy | None) -> set[HeadId]:
    """The heads that can be edited; where a removed layer holds them all, the page says so."""
    chosen = set(heads)
    free = chosen - locked_heads(state.current().mask, anatomy)
    if chosen and not free:
        st.toast(tr("This layer is removed as a whole: restore it below to edit its heads."))
    return free


def _grid(
    importance: ImportanceMap | None,
    heads_per_site: tuple[int, ...],
    names: list[str],
    widen: Widen,
    anatomy: Anatomy | None,
) -> None:
    def on_edit(edit: GridEdit) -> None:
        changes = {member: gone for head, gone in edit.changes for member in {head, *widen({head})}}
        free = unlocked(frozenset(changes), anatomy)
        if free:
            kept = tuple((head, gone) for head, gone in changes.items() if head in free)
            state.edit_mask(apply_edit(state.current().mask, replace(edit, changes=kept)))

    head_grid(
        importance.values if importance else None,
        shown_mask(state.current().mask, anatomy),
        heads_per_site=heads_per_site,
        site_names=names,
        key=f"grid_{state.current().model}",
        label=tr("Attention heads by layer"),
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
    anatomy: Anatomy | None,
) -> None:
    session, criterion = state.current(), get_criterion(importance.criterion)
    shown = shown_mask(session.mask, anatomy)
    removed = len(shown.heads)
    figure = charts.heatmap(
        importance.values,
        mask=shown,
        site_names=names,
        title=trn("{n} head removed", "{n} heads removed", removed) if removed else tr("All heads kept"),
        subtitle=tr("{criterion}; a cross marks a removed head", criterion=tr(criterion.label)),
        unit=tr(criterion.unit),
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
        free = unlocked({*heads, *widen(heads)}, anatomy)
        if free:
            state.edit_mask(toggled(mask, free))

    alt = charts.describe_heatmap(importance.values, mask=shown, site_names=names, unit=tr(criterion.unit))
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

    def with_heads(heads: frozenset[HeadId]) -> Mask:
        return replace(state.current().mask, heads=heads)

    def remove_lowest(count: Any) -> Hashable:
        state.edit_mask(with_heads(importance.lowest(count).heads))
        return importance.criterion, state.current().mask

    def use_threshold(threshold: float) -> Hashable:
        st.session_state["threshold_chosen"] = threshold
        state.edit_mask(with_heads(importance.below(threshold).heads))
        return importance.criterion, state.current().mask

    shown = importance.criterion, session.mask
    key = mirror_key("lowest", shown)
    st.slider(
        tr("Remove the lowest heads"),
        0,
        total,
        min(removed, total),
        key=key,
        on_change=on_move("lowest", key, remove_lowest),
        help=tr("Sets the mask to so many of the least important heads. Undo brings back what was there before."),
    )
    low = criterion.direction == "low"
    below = mark("Sets the mask to every head whose {criterion} is below this value ({unit}).")
    above = mark("Sets the mask to every head whose {criterion} is above this value ({unit}).")
    key = mirror_key("threshold", shown)
    stops = _stops(importance)
    st.select_slider(
        tr("Remove heads above a threshold") if low else tr("Remove heads below a threshold"),
        list(stops),
        _stop_at(stops, importance, session.mask),
        key=key,
        on_change=on_move("threshold", key, lambda label: use_threshold(stops[str(label)])),
        help=tr(above if low else below, criterion=tr(criterion.label).lower(), unit=tr(criterion.unit)),
    )
    if removed and not is_lowest(importance, session.mask):
        st.caption(_set_otherwise(removed, tr(criterion.label)))


def is_lowest(importance: ImportanceMap, mask: Mask) -> bool:
    """Whether a number of heads or a threshold gives this mask; equals may be taken in any order."""
    gone = [value for head, value in importance.keep_values.items() if head in mask.heads]
    kept = [value for head, value in importance.keep_values.items() if head not in mask.heads]
    return not gone or not kept or max(gone) <= min(kept)


def _set_otherwise(removed: int, criterion: str) -> str:
    """What the sliders have to say of a mask that neither of them gives."""
    return trn(
        "The removed head is not the least important by {criterion}: it was set by hand, by a link, a plan or another "
        "criterion. A slider replaces it.",
        "The {n:,} removed heads are not the {n:,} least important by {criterion}: they were set by hand, by a link, "
        "a plan or another criterion. A slider replaces them.",
        removed,
        criterion=criterion,
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


def layer_tool(heads_per_site: tuple[int, ...], names: list[str], anatomy: Anatomy | None = None) -> None:
    """Remove or restore a whole row, or the layer around it."""
    pick, heads, whole = st.columns([2, 2, 2], vertical_alignment="bottom")
    site = pick.selectbox(
        tr("Whole layer"),
        range(len(names)),
        format_func=names.__getitem__,
        key="layer_choice",
        help=tr("Its attention heads alone, or all that it holds: then only the residual stream passes by."),
    )
    mask, layer = state.current().mask, layer_of(site, anatomy)
    gone = _row(site, heads_per_site) <= mask.heads

    def toggle() -> None:  # the layer that is chosen by now, not the one that was when this was drawn
        row = _row(st.session_state.get("layer_choice", site), heads_per_site)
        state.edit_mask(toggled(state.current().mask, row))

    def toggle_layer() -> None:
        chosen = layer_of(st.session_state.get("layer_choice", site), anatomy)
        if chosen is not None:
            state.edit_mask(state.current().mask ^ Mask(layers=frozenset({chosen})))

    heads.button(
        tr("Restore the layer's heads") if gone else tr("Remove the layer's heads"),
        on_click=toggle,
        width="stretch",
        disabled=layer in mask.layers,
    )
    whole.button(
        tr("Restore the whole layer") if layer in mask.layers else tr("Remove the whole layer"),
        on_click=toggle_layer,
        width="stretch",
        disabled=layer is None,
        help=tr("Attention and feed-forward block together, where the model can do without them."),
    )


def _row(site: int, heads_per_site: tuple[int, ...]) -> set[HeadId]:
    return {HeadId(site, head) for head in range(heads_per_site[site])}
