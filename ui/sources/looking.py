"""The data half of the page: bring a table, see its first rows, say what is what, see what fits, use it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pruning.data import is_source
from pruning.errors import PruningError
from ui import allowed, state
from ui.sources.counts import cell_text, draw_fit, draw_sources, use_button
from ui.sources.draft import Draft, discard, fit_of, fitted, note_in_use, own_sources, present, table_of, target
from ui.sources.getting import get_table
from ui.sources.mapping import column_pickers, label_pickers, split_pickers, written_pickers
from ui.store import store
from ui.theme import Theme, plain

if TYPE_CHECKING:
    import pandas as pd

PREVIEW_ROWS, PREVIEW_COLUMNS = 8, 20


def data_view(theme: Theme) -> None:
    """Draw it all."""
    note_in_use()
    draft = present()
    if draft is None:
        data_in_use()
        get_table()
    else:
        draw_draft(draft, theme)
    draw_sources(own_sources())


def data_in_use() -> None:
    """What the session looks at, or why it cannot: a link may name what is not here."""
    data = state.current().data
    try:
        allowed.check_data(data)
    except PruningError as error:
        st.warning(plain(f"{str(error)[:1].upper()}{str(error)[1:]}."))
        return
    st.markdown(f"In use: **{plain(state.data_label(data))}**.")
    if is_source(data):
        st.page_link("pages/explore.py", label="See which heads this model needs for it")


def draw_draft(draft: Draft, theme: Theme) -> None:
    """The table that is being looked at."""
    try:
        with st.spinner("Reading the table …"):
            table = table_of(draft)
    except PruningError as error:
        st.header(plain(draft.name))
        st.error(plain(f"{str(error)[:1].upper()}{str(error)[1:]}."))
        written_pickers(draft)
        st.button("Bring another table", on_click=discard)
        return
    preview(draft, table)
    written_pickers(draft)
    wanted = target()
    if wanted is None:
        failed = store().request_model(state.current().model).state == "failed"
        st.info(
            "There is no model to fit this table to: pick one in the sidebar." if failed
            else "The model is loading. Labels are matched to its classes when it is there."
        )  # fmt: skip
        st.button("Discard", on_click=discard)
        return
    draft = fitted(draft, table, wanted)
    st.header("Columns")
    column_pickers(draft, table, wanted)
    try:
        with st.spinner("Looking at each row …"):
            found = fit_of(draft, table)
    except PruningError as error:
        st.error(plain(f"{error}."))
        return
    label_pickers(draft, table, wanted)
    st.header("Choosing and measuring")
    split_pickers(draft, table)
    draw_fit(draft, table, found, wanted, theme)
    use_button(draft, found, wanted)
    if problem := st.session_state.get("draft_problem"):
        st.error(plain(problem))


def preview(draft: Draft, table: pd.DataFrame) -> None:
    """The first rows as they are written."""
    st.header(plain(draft.name))
    wide = f", the first {PREVIEW_COLUMNS} shown" if len(table.columns) > PREVIEW_COLUMNS else ""
    rows, columns = len(table), len(table.columns)
    st.caption(
        f"{rows:,} {'row' if rows == 1 else 'rows'}, {columns:,} {'column' if columns == 1 else 'columns'}{wide}"
    )
    names = list(table.columns)[:PREVIEW_COLUMNS]
    first = table[names].head(PREVIEW_ROWS)
    st.dataframe({name: [cell_text(value) for value in first[name]] for name in names}, hide_index=True)
