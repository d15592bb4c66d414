"""Neurons, block by block: a strip of what is removed, and the editing of one block."""

from __future__ import annotations

import html
from collections.abc import Hashable, Sequence
from typing import Any

import streamlit as st

from pruning.importance import ImportanceMap, get_criterion
from pruning.language import mark, tr
from pruning.masks import Mask, NeuronId
from pruning.models import LoadedModel
from ui import state
from ui import theme as look
from ui.controls import mirror_key, on_move
from ui.importance import known_importance, scoring_state
from ui.maps import Scoring
from ui.removed import neurons_removed

LIGHT, DARK = look.tokens("light"), look.tokens("dark")


def neuron_panel(model: LoadedModel | None) -> None:
    """A strip of what is removed, where anything is, and behind it the editing of one block."""
    if model is None or not any(block.support != "none" for block in model.anatomy.blocks):
        return
    mask, anatomy = state.current().mask, model.anatomy
    rows = neurons_removed(mask, anatomy)
    with st.container():
        if any(gone for gone, _ in rows):
            st.caption(tr("Neurons removed in each feed-forward block"))
            st.html(strip(rows))
    with st.expander(tr("Edit neurons")):
        block = st.selectbox(
            tr("Feed-forward block"),
            [block.index for block in anatomy.blocks if block.support != "none"],
            format_func=lambda index: tr("Block {block}, {n:,} neurons", block=index, n=anatomy.blocks[index].neurons),
            key=f"neuron_block_{model.fingerprint}",
        )
        gone = {layer_block for layer in mask.layers for layer_block in anatomy.layers[layer].blocks}
        if block in gone:
            st.caption(tr("This block goes with its layer: restore that first."))
        else:
            _lowest_slider(block, model)
            _restore_buttons(block)


def _lowest_slider(block: int, model: LoadedModel) -> None:
    """Remove so many of the block's least important neurons, once they have been scored."""
    session = state.current()
    what = Scoring(session.criterion, "neurons")
    label = tr(get_criterion(what.criterion).label)
    if "neurons" not in get_criterion(what.criterion).scopes:
        text = mark("{criterion} does not score neurons: choose another criterion above.")
        st.caption(tr(text, criterion=label))
        return
    importance, wanted = known_importance(what), (model.fingerprint, session.data, what)
    if importance is None:
        if st.session_state.get("neurons_asked") == wanted:
            scoring_state(what)
        else:
            st.button(tr("Score the neurons by {criterion}", criterion=label.lower()), on_click=_ask, args=(wanted,))
        return
    count = sum(neuron.block == block for neuron in session.mask.neurons)
    key = mirror_key("neurons", (block, count))

    def remove(number: Any) -> Hashable:
        state.edit_mask(lowest_neurons(state.current().mask, importance, block, int(number)))
        return block, int(number)

    st.slider(
        tr("Remove the lowest neurons"),
        0,
        model.anatomy.blocks[block].neurons,
        count,
        key=key,
        on_change=on_move("neurons", key, remove),
        help=tr("Of this block, by {criterion}. Other blocks stay as they are.", criterion=label.lower()),
    )


def _ask(wanted: Hashable) -> None:
    st.session_state["neurons_asked"] = wanted


def _restore_buttons(block: int) -> None:
    touched = {neuron.block for neuron in state.current().mask.neurons}

    def restore(blocks: set[int]) -> None:
        state.edit_mask(without_neurons(state.current().mask, blocks))

    with st.container(horizontal=True):
        one = tr("Restore the block's neurons")
        st.button(one, on_click=restore, args=({block},), disabled=block not in touched)
        st.button(tr("Restore all neurons"), on_click=restore, args=(touched,), disabled=not touched)


def lowest_neurons(mask: Mask, importance: ImportanceMap, block: int, count: int) -> Mask:
    """The mask in which this block loses so many of its least important neurons, and no others."""
    ranked = sorted(range(len(importance.values[block])), key=lambda i: importance.sign * importance.values[block][i])
    chosen = Mask(neurons=frozenset(NeuronId(block, i) for i in ranked[:count]))
    return without_neurons(mask, {block}) | chosen


def without_neurons(mask: Mask, blocks: set[int]) -> Mask:
    """The mask with all neurons of these blocks kept."""
    return mask - Mask(neurons=frozenset(neuron for neuron in mask.neurons if neuron.block in blocks))


def strip(rows: Sequence[tuple[int, int]]) -> str:
    """One bar a block, as long as the share of its neurons that is removed.

    Args:
        rows: Removed neurons and all neurons, by block.
    """
    lines = []
    for block, (gone, whole) in enumerate(rows):
        share = 100 * gone / max(1, whole)
        bar = (
            f"<div style='height:8px;border-radius:4px;background:light-dark({LIGHT.line}, {DARK.line})'>"
            f"<div style='height:8px;border-radius:4px;width:{share:.1f}%;"
            f"background:light-dark({LIGHT.pruned}, {DARK.pruned})'></div></div>"
        )
        words = html.escape(tr("{done:,} of {total:,}", done=gone, total=whole))
        cells = f"<td style='width:100%'>{bar}</td><td style='white-space:nowrap'>{words}</td>"
        lines.append(f"<tr><td>{tr('Block {n}', n=block)}</td>{cells}</tr>")
    label = tr("Neurons removed in each feed-forward block")
    return (
        f"<div class='headroom-figures' role='region' tabindex='0' aria-label='{label}' "
        f"style='max-height:16rem;overflow-y:auto'><table>{''.join(lines)}</table></div>"
    )
