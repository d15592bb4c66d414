"""What both sides of Compare cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pruning.language import tr
from ui import state
from ui import theme as look
from ui.compare import words
from ui.compare.pairs import Side
from ui.details import figures_table
from ui.history.words import size
from ui.store import store

if TYPE_CHECKING:
    from pruning.models import LoadedModel


def draw_cost(model: LoadedModel, a: Side, b: Side) -> None:
    """Size and arithmetic of both once they are really cut."""
    st.header(tr("Cost"))
    cost = store().request_model(state.current().model).cost
    if cost is None:
        st.caption(tr("Cost: {value}.", value=tr(look.NOT_MEASURED)))
        return
    found = [cost.after(side.mask) for side in (a, b)]
    sizes = [
        side.trained.recovered.pruned.parameters if side.trained else after.parameters
        for side, after in zip((a, b), found, strict=True)
    ]
    label = tr("MACs for {n} tokens", n=cost.tokens) if cost.tokens else tr("MACs for one image")
    work = [after.macs for after in found]
    rows = [
        [tr("Parameters"), *map(size, sizes), words.ratio(*sizes)],
        [label, *map(look.macs, work), words.ratio(*work)],
    ]
    figures_table(tr("Cost of A and B"), ["A", "B", "B : A"], rows)
    st.caption(tr("Counted as if both were really cut: a mask alone saves nothing."))
