"""The chart of the history: one pair of model and data, what was measured against what was removed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pruning.language import tr
from ui import charts, state
from ui.browser import owner
from ui.controls import mirror_key, on_move
from ui.history.browsing import zone
from ui.history.figures import comparable, describe_over_time, over_time, table_over_time
from ui.theme import Theme

if TYPE_CHECKING:
    from pruning.history.database import History

MOST = 500  # points, the newest


def draw_timeline(history: History, theme: Theme) -> None:
    """The picker, the chart, and the table that says the same."""
    from pruning.history.database import Wanted

    sources = history.sources(owner())
    if not sources:
        return
    st.header(tr("Over time"))
    model, data = _source(sources)
    found = history.find(owner(), Wanted(model=model, data=data), limit=MOST)
    records = comparable(found)
    if not records:
        st.info(
            tr("Nothing of this model and data has been measured yet. Open Prune, and the first figures appear here.")
        )
        return
    st.plotly_chart(
        over_time(records, zone(), theme), theme=None, config=charts.CONFIG, key="history_over_time",
        alt=describe_over_time(records),
    )  # fmt: skip
    with st.expander(tr("As a table")):
        table = table_over_time(records, zone()).rename(columns=tr)
        st.dataframe(table, hide_index=True, alt=tr("The points of the chart, the newest first"))


def _source(sources: list[tuple[str, str]]) -> tuple[str, str]:
    """Which model and data; by default those that are in use now, or the last that were."""
    session = state.current()
    now = (session.model, session.data)
    shown = st.session_state.get("history_source", now)
    shown = shown if shown in sources else sources[0]
    key = mirror_key("history_source_picker", shown)

    def choose(source: object) -> object:
        st.session_state["history_source"] = source
        return source

    st.selectbox(
        tr("Model and data"), sources, index=sources.index(shown), key=key, width=480,
        format_func=lambda pair: f"{state.model_label(pair[0])} · {state.data_label(pair[1])}",
        on_change=on_move("history_source_picker", key, choose),
        help=tr("The chart shows measurements of one model on one data set: others would not be comparable."),
    )  # fmt: skip
    return shown
