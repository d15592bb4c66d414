"""The data half of the page: bring a table, see its first rows, say what is what, see what fits, use it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pruning.data import is_source
from pruning.errors import PruningError
from pruning.language import listing, tr, trn
from ui import allowed, state
from ui.sources.counts import cell_text, draw_fit, draw_sources, use_button
from ui.sources.draft import Draft, discard, fit_of, fitted, note_in_use, own_sources, present, table_of, target
from ui.sources.getting import get_table
from ui.sources.mapping import column_pickers, label_pickers, split_pickers, written_pickers
from ui.store import store
from ui.theme import Theme, as_sentence, plain

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
        st.warning(plain(as_sentence(error)))
        return
    st.markdown(tr("In use: **{data}**.", data=plain(state.data_label(data))))
    if is_source(data):
        st.page_link("pages/explore.py", label=tr("See which heads this model needs for it"))


def draw_draft(draft: Draft, theme: Theme) -> None:
    """The table that is being looked at."""
    try:
        with st.spinner(tr("Reading the table …")):
            table = table_of(draft)
    except PruningError as error:
        st.header(plain(draft.name))
        st.error(plain(as_sentence(error)))
        written_pickers(draft)
        st.button(tr("Bring another table"), on_click=discard)
        return
    preview(draft, table)
    written_pickers(draft)
    wanted = target()
    if wanted is None:
        failed = store().request_model(state.current().model).state == "failed"
        st.info(
            tr("There is no model to fit this table to: pick one in the sidebar.") if failed
            else tr("The model is loading. Labels are matched to its classes when it is there.")
        )  # fmt: skip
        st.button(tr("Discard"), on_click=discard)
        return
    draft = fitted(draft, table, wanted)
    st.header(tr("Columns"))
    column_pickers(draft, table, wanted)
    try:
        with st.spinner(tr("Looking at each row …")):
            found = fit_of(draft, table)
    except PruningError as error:
        st.error(plain(as_sentence(error)))
        return
    label_pickers(draft, table, wanted)
    st.header(tr("Choosing and measuring"))
    split_pickers(draft, table)
    draw_fit(draft, table, found, wanted, theme)
    use_button(draft, found, wanted)
    if problem := st.session_state.get("draft_problem"):
        st.error(plain(as_sentence(problem)))


def preview(draft: Draft, table: pd.DataFrame) -> None:
    """The first rows as they are written."""
    st.header(plain(draft.name))
    columns = len(table.columns)
    parts = [trn("{n:,} row", "{n:,} rows", len(table)), trn("{n:,} column", "{n:,} columns", columns)]
    if columns > PREVIEW_COLUMNS:
        parts.append(tr("the first {n} shown", n=PREVIEW_COLUMNS))
    st.caption(listing(parts))
    names = list(table.columns)[:PREVIEW_COLUMNS]
    first = table[names].head(PREVIEW_ROWS)
    st.dataframe({name: [cell_text(value) for value in first[name]] for name in names}, hide_index=True)
