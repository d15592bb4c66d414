"""Above the editor: how much is removed, what stands in for it, undo and the like, and files."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import streamlit as st

from pruning.anatomy import Anatomy
from pruning.language import mark, tr
from pruning.masks import HeadId, Mask
from pruning.plan import COMPENSATIONS
from ui import state
from ui.combining import scenario_menu
from ui.controls import mirror_key, on_move
from ui.files import save_menu
from ui.removed import summary

REPLACEMENTS = {"none": mark("Zero"), "mean": mark("Mean"), "reconstruct": mark("Reconstructed")}
REPLACEMENT_HELP = mark(
    "What stands in for the output of what is removed. Zero: nothing, as in plain cutting. Mean: its mean output over "
    "the calibration rows, folded into the biases. Reconstructed: the projections that lose an input are fitted again, "
    "by least squares on the calibration rows. Nothing is trained, and all three are exact: the preview gives what the "
    "cut model gives."
)


def toolbar(heads_per_site: tuple[int, ...], anatomy: Anatomy | None = None) -> None:
    """How much is removed, what stands in for it, and the edits that concern the mask as a whole."""
    session = state.current()
    history = session.history
    with st.container(horizontal=True, vertical_alignment="bottom", horizontal_alignment="distribute"):
        st.markdown(f"**{summary(session.mask, heads_per_site, anatomy)}**", width="content")
        _replacement_choice(session.compensation)
    with st.container(horizontal=True, gap="small"):
        st.button(tr("Undo"), on_click=state.undo, disabled=not history.past, shortcut="Ctrl+Z", icon=":material/undo:")
        st.button(
            tr("Redo"),
            on_click=state.redo,
            disabled=not history.future,
            shortcut="Ctrl+Shift+Z",
            icon=":material/redo:",
        )
        st.button(
            tr("Invert"),
            on_click=lambda: state.edit_mask(inverted(state.current().mask, heads_per_site)),
            help=tr("Keep what is removed and remove what is kept."),
        )
        st.button(
            tr("Reset"),
            on_click=lambda: state.edit_mask(Mask()),
            disabled=not session.mask,
            shortcut="Ctrl+Alt+Z",
            help=tr("Put everything back. Undo brings the mask back."),
        )
        scenario_menu()
        save_menu()
    with st.container():
        if not state.fits_a_link(session.mask):
            st.caption(tr("This mask is too long for a link: take it with you as a file, under Save as."))


def _replacement_choice(shown: str) -> None:
    key = mirror_key("replacement", shown)

    def choose(method: Any) -> str:
        state.update(compensation=method)
        return method

    st.segmented_control(
        tr("Replacement"),
        COMPENSATIONS,
        default=shown,
        key=key,
        required=True,
        format_func=lambda method: tr(REPLACEMENTS[method]),
        help=tr(REPLACEMENT_HELP),
        on_change=on_move("replacement", key, choose),
    )


def inverted(mask: Mask, heads_per_site: tuple[int, ...]) -> Mask:
    """Every head the other way round; neurons and layers stay as they are."""
    every = {HeadId(site, head) for site, heads in enumerate(heads_per_site) for head in range(heads)}
    return replace(mask, heads=frozenset(every - mask.heads))
