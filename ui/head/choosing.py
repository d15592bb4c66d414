"""Which head is looked at: the link, the pickers, the keys, and whether it is removed."""

from __future__ import annotations

from typing import Any

import streamlit as st

from pruning.anatomy import Anatomy
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
        st.session_state["notice"] = f"The link does not fit: {problem}. This is {first}."
        st.rerun()
    return head


def header(anatomy: Anatomy, head: HeadId) -> None:
    """The head's name and state, the way to the others, and the edit."""
    names = names_of(anatomy, len(anatomy.sites))
    mask = state.current().mask
    locked = head in locked_heads(mask, anatomy)
    gone = locked or head in mask.heads
    st.header(head_name(head, names))
    st.markdown(f"One of {anatomy.total_heads:,} heads · **{'removed' if gone else 'kept'}**")
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        _steps(anatomy, head)
        _pickers(anatomy, head, names)
        _edit(anatomy, head, gone, locked)


def _steps(anatomy: Anatomy, head: HeadId) -> None:
    keys = (("Previous", PREVIOUS, ":material/arrow_back:"), ("Next", NEXT, ":material/arrow_forward:"))
    for (label, shortcut, icon), to in zip(keys, neighbours(anatomy, head), strict=True):
        st.button(
            label, icon=icon, shortcut=shortcut, disabled=to is None, on_click=open_head, args=(to or head,),
            help=f"The {label.lower()} head, through all layers.",
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
        "Layer", range(len(sizes)), head.site, key=key, format_func=names.__getitem__, width=190,
        on_change=on_move("head_site", key, to_site), help="The attention layer that holds the head.",
    )  # fmt: skip
    key = mirror_key("head_index", head)
    st.selectbox(
        "Head", range(sizes[head.site]), head.head, key=key, width=100,
        on_change=on_move("head_index", key, to_head), help="Which of the layer's heads.",
    )  # fmt: skip


def _edit(anatomy: Anatomy, head: HeadId, gone: bool, locked: bool) -> None:
    site = anatomy.sites[head.site]
    why = (
        "Its layer is removed as a whole: restore the layer on Prune." if locked
        else f"It cannot be removed: {site.reason}." if site.support == "none"
        else "Changes the mask that all pages share. Undo takes it back."
    )  # fmt: skip
    st.button(
        "Restore" if gone else "Remove", key="head_edit", type="primary", on_click=_toggle, args=(head,), help=why,
        disabled=locked or site.support == "none",
    )  # fmt: skip
    st.button(
        "Undo", key="head_undo", on_click=state.undo, disabled=not state.current().history.past, shortcut="Ctrl+Z",
        icon=":material/undo:",
    )  # fmt: skip


def _toggle(head: HeadId) -> None:
    state.edit_mask(state.current().mask ^ Mask(frozenset({head})))
