"""A sweep of the history with all its points: the curve, the plan that was picked, the table, and the file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pruning.history.records import Record
from pruning.language import tr
from ui.browser import owner
from ui.naming import site_names
from ui.sweep_back import swept_of
from ui.sweep_card import Place, draw_card
from ui.sweep_view import draw_chart, draw_table, table_of
from ui.theme import Theme

if TYPE_CHECKING:
    from pruning.history.database import History


def draw_sweep(history: History, listed: Record, theme: Theme) -> None:
    """All that a sweep has measured.

    Args:
        listed: As a list has it, without its points.
    """
    record = history.get(owner(), listed.id) if listed.id is not None else None
    swept = swept_of(record) if record is not None else None
    st.subheader(tr("All points"))
    if record is None or swept is None:
        st.info(
            tr(
                "The points of this sweep were not kept: it is an older record, or has more points than a record "
                "holds. Reopen it in Trade-off and start it again to have them."
            )
        )
        return
    place = Place(f"history_sweep_{record.id}", record.model, record.data, _names(record), here=False)
    table = table_of(swept, place)
    draw_chart(swept, table, theme, place)
    draw_card(swept, table, place)
    draw_table(swept, table, place)
    text = table.to_csv(index=False)
    st.download_button(tr("Download the table"), text, f"sweep-{record.id}.csv", "text/csv", on_click="ignore")


def _names(record: Record) -> tuple[str, ...]:
    """Of the attention sites, from the record alone: its model need not be in memory."""
    noted = record.numbers.get("heads_per_site")
    return tuple(site_names(["self"] * len(noted))) if isinstance(noted, list) else ()
