"""Which head is looked at: the link, the pickers, the keys, and whether it is removed."""

from __future__ import annotations

from typing import Any

import streamlit as st

from pruning.anatomy import Anatomy
from pruning.language import mark, tr
from pruning.masks import HeadId, Mask
from ui import state
from ui.controls import mirror_key, on_move
from ui.head.words import head_code, neighbours, parse_head
from ui.naming import head_name, names_of
from ui.removed import locked_heads

PREVIOUS, NEXT = "Alt+J", "Alt+K"  # single letters would be in the way of people who dictate


def open_head(head: HeadId) -> None:
    """Look at a head from now on."""
    state.update(head=head_code(head))


def chosen_head(anatomy: Anatomy) -> HeadId:
    """The one that the link names; where there is no such head, the first, and the page says why."""
    head, problem = parse_head(state.current().head, anatomy.heads_per_site)
    if problem:
        open_head(head)
        first = head_name(head, names_of(anatomy, len(anatomy.sites)))
        text = mark("The link does not fit: {problem}. This is {head}.")
        st.session_state["notice"] = tr(text, problem=problem, head=first)
        st.rerun()
    return head


def header(anatomy: Anatomy, head: HeadId) -> None:
    """The head's name and state, the way to the others, and the edit."""
    names = names_of(anatomy, len(anatomy.sites))
    mask = state.current().mask
    locked = head in locked_heads(mask, anatomy)
    gone = locked or head in mask.heads
    st.header(head_name(head, names))
    state_now = tr("removed") if gone else tr("kept")
    st.markdown(f"{tr('One of {n:,} heads', n=anatomy.total_heads)} · **{state_now}**")
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        _steps(anatomy, head)
        _pickers(anatomy, head, names)
        _edit(anatomy, head, gone, locked)


def _steps(anatomy: Anatomy, head: HeadId) -> None:
    keys = (
        (tr("Previous"), tr("The previous head, through all layers."), PREVIOUS, ":material/arrow_back:"),
        (tr("Next"), tr("The next head, through all layers."), NEXT, ":material/arrow_forward:"),
    )
    for (label, about, shortcut, icon), to in zip(keys, neighbours(anatomy, head), strict=True):
        st.button(
            label, icon=icon, shortcut=shortcut, disabled=to is None, on_click=open_head, args=(to or head,),
            help=about,
        )  # fmt: skip


def _pickers(anatomy: Anatomy, head: HeadId, names: list[str]) -> None:
    sizes = anatomy.heads_per_site

    def to_site(site: Any) -> int:
        open_head(HeadId(site, min(head.head, sizes[site] - 1)))
        return site

    def to_head(index: Any) -> HeadId:
        open_head(HeadId(head.site, index))
        return HeadId(head.site, index)

    key = mirror_key("head_site", head.site)
    st.selectbox(
        tr("Layer"), range(len(sizes)), head.site, key=key, format_func=names.__getitem__, width=190,
        on_change=on_move("head_site", key, to_site), help=tr("The attention layer that holds the head."),
    )  # fmt: skip
    key = mirror_key("head_index", head)
    st.selectbox(
        tr("Head"), range(sizes[head.site]), head.head, key=key, width=100,
        on_change=on_move("head_index", key, to_head), help=tr("Which of the layer's heads."),
    )  # fmt: skip


def _edit(anatomy: Anatomy, head: HeadId, gone: bool, locked: bool) -> None:
    site = anatomy.sites[head.site]
    why = (
        tr("Its layer is removed as a whole: restore the layer on Prune.") if locked
        else tr("It cannot be removed: {reason}.", reason=site.reason) if site.support == "none"
        else tr("Changes the mask that all pages share. Undo takes it back.")
    )  # fmt: skip
    st.button(
        tr("Restore") if gone else tr("Remove"), key="head_edit", type="primary", on_click=_toggle, args=(head,),
        help=why, disabled=locked or site.support == "none",
    )  # fmt: skip
    st.button(
        tr("Undo"), key="head_undo", on_click=state.undo, disabled=not state.current().history.past, shortcut="Ctrl+Z",
        icon=":material/undo:",
    )  # fmt: skip


def _toggle(head: HeadId) -> None:
    state.edit_mask(state.current().mask ^ Mask(frozenset({head})))
