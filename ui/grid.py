"""The grid editor: every head is a button, for keyboard, mouse and screen reader, quick at thousands of heads.

The browser shows an edit at once and sends it as absolute changes (this head: removed or kept) under a rising number.
Until it hears the number back it sends the changes again together with newer ones, so that two quick edits that
Streamlit folds into one rerun are both kept, and applying one twice would change nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import streamlit as st

from pruning.language import tr
from pruning.masks import HeadId, Mask
from ui import theme as look
from ui.heatmap import value_range
from ui.theme import Words

LEVELS = 33  # steps of the colour scale
LARGEST_ID = 1 << 53  # beyond it JavaScript cannot count
_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class GridEdit:
    """One gesture: the heads that it touched, and whether each is removed now."""

    id: int
    changes: tuple[tuple[HeadId, bool], ...]


def parse_edit(value: object, heads_per_site: Sequence[int]) -> GridEdit | None:
    """What the browser sent, or None where it is no edit; changes that are malformed or out of range are dropped."""
    if not hasattr(value, "get"):
        return None
    number, changes = value.get("id"), value.get("changes")
    if not _whole(number) or not 0 < number < LARGEST_ID or not isinstance(changes, list | tuple):
        return None
    kept = {}
    for change in changes:
        if not isinstance(change, list | tuple) or len(change) != 3:
            continue
        site, head, removed = change
        if not (_whole(site) and _whole(head) and (isinstance(removed, bool) or removed in (0, 1))):
            continue
        if 0 <= site < len(heads_per_site) and 0 <= head < heads_per_site[site]:
            kept[HeadId(site, head)] = bool(removed)
    return GridEdit(number, tuple(kept.items()))


def apply_edit(mask: Mask, edit: GridEdit | None) -> Mask:
    """The mask after the edit; neurons and layers stay as they are, and a second application changes nothing."""
    if edit is None:
        return mask
    last = dict(edit.changes)
    removed = frozenset(head for head, gone in last.items() if gone)
    return Mask((mask.heads - last.keys()) | removed, mask.neurons, mask.layers)


def head_grid(
    values: Sequence[Sequence[float]] | None,
    mask: Mask,
    *,
    heads_per_site: Sequence[int],
    site_names: Sequence[str],
    key: str,
    label: str,
    signed: bool = False,
    reverse: bool = False,
    on_edit: Callable[[GridEdit], None] | None = None,
    ends: tuple[float, float] | None = None,
    words: Words | None = None,
) -> GridEdit | None:
    """Draw the editor.

    Args:
        values: ``[site][head]``, ragged, for colours and labels; None while nothing is measured.
        mask: What is removed now.
        heads_per_site: ``[site]``.
        key: Unique on the page. The last edit number is kept in ``st.session_state`` under a name made from it.
        label: What a screen reader calls the whole group.
        on_edit: Called with each new edit before the page runs, as a callback; the best place to change the mask.
        reverse: Low values are important, so they get the deep end of the scale.
        ends: Ends of the colour scale; by default the data's.

    Returns:
        The new edit, once, where ``on_edit`` is not given; otherwise None.
    """
    seen, inbox = f"{key}:seen", f"{key}:inbox"

    def receive() -> None:
        state = st.session_state.get(key)
        edit = parse_edit(state.get("edit") if state else None, heads_per_site)
        if edit is None or edit.id <= st.session_state.get(seen, 0):
            return
        st.session_state[seen] = edit.id
        if on_edit is not None:
            on_edit(edit)
        else:
            st.session_state[inbox] = edit

    edit = st.session_state.pop(inbox, None)
    cells = _cells(_frozen(values), tuple(heads_per_site), ends, signed, reverse)
    shown = apply_edit(mask, edit)
    data = {
        **cells,
        "names": list(site_names),
        "removed": sorted([h.site, h.head] for h in shown.heads),
        "signed": signed,
        "label": label,
        "seen": st.session_state.get(seen, 0),
        "words": {**asdict(words or look.words()), "not_measured": tr(look.NOT_MEASURED)},
    }
    _grid(key=key, data=data, on_edit_change=receive)
    return edit


# Values to colours ------------------------------------------------------------------------------------------------


def levels(
    values: Sequence[Sequence[float]],
    *,
    signed: bool,
    reverse: bool = False,
    ends: tuple[float, float] | None = None,
) -> list[list[int]]:
    """The step of the colour scale for each value, ``[site][head]``, 0 to ``LEVELS - 1``; -1 where not measured."""
    low, high = ends or value_range(values, signed)
    top = LEVELS - 1

    def step(value: float) -> int:
        share = (high - value if reverse else value - low) / (high - low)
        return round(top * min(1.0, max(0.0, share))) if math.isfinite(share) else -1

    return [[step(value) for value in row] for row in values]


@lru_cache(maxsize=16)
def _cells(
    values: tuple[tuple[float, ...], ...] | None,
    heads_per_site: tuple[int, ...],
    ends: tuple[float, float] | None,
    signed: bool,
    reverse: bool,
) -> dict[str, object]:
    """The part of the data that an edit leaves alone."""
    if values is None:
        return {"levels": [[-1] * heads for heads in heads_per_site], "texts": [[""] * h for h in heads_per_site]}
    texts = [[look.number(value) for value in row] for row in values]
    return {"levels": levels(values, signed=signed, reverse=reverse, ends=ends), "texts": texts}


def _frozen(values: Sequence[Sequence[float]] | None) -> tuple[tuple[float, ...], ...] | None:
    return None if values is None else tuple(tuple(row) for row in values)


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


# The component ----------------------------------------------------------------------------------------------------


def stylesheet() -> str:
    """The component's CSS: its rules, and every colour for both themes through ``light-dark()``.

    Streamlit sets ``color-scheme`` on the app, and it is inherited into the component, so that a change of theme
    recolours the grid without a rerun.
    """
    light, dark = look.tokens("light"), look.tokens("dark")
    roles = [
        f"--{role}: light-dark({getattr(light, role)}, {getattr(dark, role)});" for role in light.__dataclass_fields__
    ]
    scales = [
        f'[data-signed="{int(signed)}"] [data-level="{level}"]{{--cell:light-dark({a},{b})}}'
        for signed, scale in ((False, look.sequential), (True, look.diverging))
        for level, (a, b) in enumerate(zip(scale("light", LEVELS), scale("dark", LEVELS), strict=True))
    ]
    return "\n".join([".grid{" + "".join(roles) + "}", *scales, (_FOLDER / "grid.css").read_text(encoding="utf-8")])


_grid = st.components.v2.component(  # at module level: registering again with every run would warn
    "headroom_grid",
    html='<div class="grid"></div>',
    css=stylesheet(),
    js=(_FOLDER / "grid.js").read_text(encoding="utf-8"),
)
