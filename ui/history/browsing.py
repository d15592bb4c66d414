"""Looking through the history: filters, the order, pages, the table, and which rows are selected."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, tzinfo
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pandas as pd
import streamlit as st

from pruning.history.records import KINDS, Record
from pruning.language import mark, tr, trn
from ui import state
from ui.browser import owner
from ui.history.words import duration, in_line, metric_text, removed_text

if TYPE_CHECKING:
    from pruning.history.database import History, Wanted

PAGE = 50  # rows
ALL_MODELS = ""
SORTS = {
    mark("Newest first"): ("made", True),
    mark("Oldest first"): ("made", False),
    mark("Main metric, highest first"): ("metric", True),
    mark("Main metric, lowest first"): ("metric", False),
    mark("Most removed first"): ("removed", True),
    mark("Longest first"): ("seconds", True),
    mark("Name"): ("name", False),
    mark("Kind"): ("kind", False),
    mark("Model"): ("model", False),
    mark("Data"): ("data", False),
}
COLUMNS = (
    mark("Made"), "★", mark("Kind"), mark("Name"), mark("Removed"), mark("Main metric"), mark("Model"), mark("Data"),
    mark("Took"),
)  # fmt: skip
KEEP: dict[str, Any] = {"persist_state": "session"}  # across pages


def zone() -> tzinfo:
    """The browser's time zone."""
    try:
        return ZoneInfo(st.context.timezone or "UTC")
    except (ZoneInfoNotFoundError, ValueError):
        return UTC


# Filters ---------------------------------------------------------------------------------------------------------


def filters(history: History) -> tuple[Wanted, str]:
    """The controls: what is looked for, and in which order."""
    from pruning.history.database import Wanted

    version = st.session_state.get("history_filters", 0)  # a new one empties all of them
    models = list(dict.fromkeys(model for model, _ in history.sources(owner())))
    chosen = st.session_state.get(f"history_model_{version}", ALL_MODELS)
    options = list(dict.fromkeys([ALL_MODELS, *models, chosen]))  # the last record of a model may be gone
    with st.container(horizontal=True, vertical_alignment="bottom"):
        text = st.text_input(
            tr("Search"), key=f"history_text_{version}", width=240, icon=":material/search:", **KEEP,
            help=tr("In names, models, data and settings, in upper or lower case."),
        )  # fmt: skip
        model = st.selectbox(
            tr("Model"), options, key=f"history_model_{version}", width=240, **KEEP,
            format_func=lambda name: state.model_label(name) if name else tr("All models"),
            help=tr("Only records of one model."),
        )  # fmt: skip
        order = st.selectbox(
            tr("Order"), list(SORTS), key="history_order", width=240, help=tr("Of all pages."), format_func=tr, **KEEP
        )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        kinds = st.pills(
            tr("Kinds"), list(KINDS.all()), key=f"history_kinds_{version}", selection_mode="multi", **KEEP,
            format_func=lambda name: tr(KINDS.get(name).label), help=_about_kinds(),
        )  # fmt: skip
        starred = st.toggle(
            tr("Starred only"), key=f"history_starred_{version}", help=tr("Only records with a star."), **KEEP
        )
    return Wanted(tuple(kinds or ()), text or "", bool(starred), model or ""), order


def _about_kinds() -> str:
    about = {tr(one.label): tr(one.about) for one in KINDS.all().values()}
    each = [tr("{what}: {about}", what=label, about=f"{text[:1].lower()}{text[1:]}") for label, text in about.items()]
    return in_line([tr("Those that are shown; all where none is picked."), *each])


def show_all() -> None:
    """Empty the filters."""
    st.session_state["history_filters"] = st.session_state.get("history_filters", 0) + 1


# The table -------------------------------------------------------------------------------------------------------


def table(history: History, wanted: Wanted, order: str) -> list[Record]:
    """Draw one page of what is found, and return the records that are selected on it."""
    total = history.count(owner(), wanted)
    if not total:
        st.info(tr("Nothing in the history is like that."))
        st.button(tr("Show all records"), on_click=show_all)
        return []
    place, pages = st.container(), math.ceil(total / PAGE)
    number = 1
    with st.container(horizontal=True, vertical_alignment="center"):
        if pages > 1:
            number = min(pages, st.pagination(pages, key=f"history_page_{hash((wanted, order))}"))
        first = (number - 1) * PAGE
        st.caption(
            tr(
                "{first:,} to {last:,} of {total:,} records. Tick rows to work with them.",
                first=first + 1,
                last=min(total, first + PAGE),
                total=total,
            )
        )
    by, descending = SORTS[order]
    shown = history.find(owner(), wanted, by, descending, PAGE, first)
    with place:
        return _draw(shown)


def _draw(shown: Sequence[Record]) -> list[Record]:
    """The table; it is a new widget whenever other records are in it, and keeps what is selected by its number."""
    ids, chosen = [one.id for one in shown], st.session_state.get("history_selected", ())
    if st.session_state.get("history_shown") != (ids, st.session_state.get("history_drawn_for")):
        st.session_state["history_tables"] = st.session_state.get("history_tables", 0) + 1
        st.session_state["history_drawn_for"] = chosen
        st.session_state["history_shown"] = (ids, chosen)
    key = f"history_table_{st.session_state['history_tables']}"
    at = [place for place, number in enumerate(ids) if number in st.session_state["history_drawn_for"]]

    def select() -> None:
        answer = st.session_state.get(key)
        if answer is not None and st.session_state["history_shown"][0] == ids:
            st.session_state["history_selected"] = selected(ids, answer["selection"]["rows"])

    st.dataframe(
        frame(shown, zone()).rename(columns=tr), hide_index=True, key=key, on_select=select, selection_mode="multi-row",
        selection_default={"selection": {"rows": at, "columns": [], "cells": []}}, column_config=_columns(),
        height="content" if len(shown) <= 12 else 460,
        alt=trn("{n} record of the history", "{n} records of the history", len(shown)),
    )  # fmt: skip
    kept = st.session_state.get("history_selected", ())
    return [one for one in shown if one.id in kept]


def selected(ids: Sequence[int | None], rows: Sequence[object]) -> tuple[int, ...]:
    """The numbers of the records in these rows of the table; rows that it does not have are dropped."""
    places = [row for row in rows if isinstance(row, int) and 0 <= row < len(ids)]
    return tuple(number for place in places if (number := ids[place]) is not None)


def frame(records: Sequence[Record], where: tzinfo) -> pd.DataFrame:
    """A row for each record, under `COLUMNS`."""
    rows = [
        (
            one.made.astimezone(where).replace(tzinfo=None, microsecond=0), "★" if one.starred else "",
            tr(KINDS.get(one.kind).label), one.name, removed_text(one), metric_text(one), state.model_label(one.model),
            state.data_label(one.data), duration(one.seconds),
        )
        for one in records
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _columns() -> dict[str, Any]:
    column = st.column_config
    return {
        tr("Made"): column.DatetimeColumn(format=tr("D MMM YYYY, HH:mm"), width=150),
        "★": column.TextColumn(width=40, help=tr("Starred records are kept for good.")),
        tr("Name"): column.TextColumn(width=130, help=tr("Named records are kept for good.")),
        tr("Removed"): column.TextColumn(width=125),
        tr("Main metric"): column.TextColumn(width=210, help=tr("With its 95% interval.")),
        tr("Took"): column.TextColumn(width=70, help=tr("Computing alone, without waiting for others.")),
    }
