"""Looking at a sweep: the chart, and the table that holds the same for keyboards."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pandas as pd
import streamlit as st

from pruning.language import mark, tr
from pruning.masks import Mask
from ui import charts, state
from ui import theme as look
from ui.store import session_id, store
from ui.sweep_card import Place, choose, chosen_row, place_here
from ui.sweeping import progress_line
from ui.sweeps import Swept
from ui.theme import Theme
from ui.tradeoff import clicked_row, tradeoff
from ui.tradeoff_text import (
    KEPT,
    KEY,
    LINES_AT_FIRST,
    SAVED,
    WHOLE,
    describe_tradeoff,
    finding,
    keys_of,
    label_among,
    line_label,
    subtitle,
    whole_row,
)

if TYPE_CHECKING:
    from pruning.models import LoadedModel

MEASURE_LATENCY = mark("Measure latency on this computer")


def table_of(swept: Swept, place: Place | None = None) -> pd.DataFrame:
    """The rows as a table, with predicted milliseconds where this computer has measured them."""
    place = place or place_here()
    table = pd.DataFrame(list(swept.rows))
    model = store().request_model(place.model).model if place.here else None
    latency = store().sweeps.latency(model) if model else None
    if latency is not None:
        table["latency_ms"] = [latency.predict(Mask.from_code(code)) for code in table["mask"]]
    return table


def draw_chart(swept: Swept, table: pd.DataFrame, theme: Theme, place: Place) -> None:
    """The chart under its three choices: what is kept, what is saved, and the front."""
    kept, saved, front = _choices(table, place)
    if saved == "latency_ms" and table["latency_ms"].isna().any():
        _offer_latency()
        return
    rows = len(table)
    table = _chosen_lines(table, place)
    title, shown = finding(table, saved, kept)
    figure = tradeoff(
        table,
        saved=saved,
        kept=kept,
        front=front,
        chosen=chosen_row(swept, place),
        title=title if len(table) > 1 else tr("The first points are being measured"),
        subtitle=subtitle(table, shown, state.data_label(place.data), swept.settings is None or swept.reopened),
        theme=theme,
    )

    def on_select() -> None:
        event = st.session_state.get(f"{place.key}_chart")
        row = clicked_row(event.get("selection") if event else None, rows)
        if row is not None:
            choose(swept, row, place)

    st.plotly_chart(
        figure, theme=None, config=charts.CONFIG, key=f"{place.key}_chart", on_select=on_select,
        selection_mode="points", alt=describe_tradeoff(table, saved, kept),
    )  # fmt: skip


def _choices(table: pd.DataFrame, place: Place) -> tuple[str, str, bool]:
    """Drawn as one line of controls; what every row has in full is no axis."""
    kept = [name for name in KEPT if name in table]
    whole = whole_row(table)
    times = place.here or table["latency_ms"].notna().all()
    saved = [name for name in SAVED if (times if name == "latency_ms" else (table[name] < whole[name]).any())]
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        metric = st.segmented_control(
            tr("Kept"), kept, default=kept[0], key=f"{place.key}_kept", required=True, persist_state="session",
            format_func=lambda name: tr(KEPT[name]),
        )  # fmt: skip
        cost = st.segmented_control(
            tr("Against what is left"), saved, default=saved[0], key=f"{place.key}_saved", required=True,
            format_func=lambda name: tr(SAVED[name])[:1].upper() + tr(SAVED[name])[1:], persist_state="session",
        )  # fmt: skip
        front = st.toggle(
            tr("Pareto front"), key=f"{place.key}_front", persist_state="session",
            help=tr(
                "The plans that no other beats: none keeps as much with less left. The luckiest of many plans stand on "
                "it, so mind the intervals."
            ),
        )  # fmt: skip
    return metric or kept[0], cost or saved[0], front


def _chosen_lines(table: pd.DataFrame, place: Place) -> pd.DataFrame:
    """The rows of the lines to draw: all, or the first few and whichever the user adds."""
    keys = keys_of(table)
    if len(keys) <= LINES_AT_FIRST:
        return table
    labels = [label_among(key, keys) for key in keys]
    chosen = st.pills(
        tr("Lines"), labels, selection_mode="multi", default=labels[:LINES_AT_FIRST], key=f"{place.key}_lines",
        persist_state="session", wrap=True,
    )  # fmt: skip
    wanted = {key for key, label in zip(keys, labels, strict=True) if label in chosen} or set(keys)
    return table[[key in wanted for key in zip(*(table[name] for name in KEY), strict=True)]]


def _offer_latency() -> None:
    """Latency is measured when asked for, and never guessed."""
    model = store().request_model(state.current().model).model
    job = store().scorer.latest((session_id(), "latency"))
    with st.container(height=460, border=False):
        if model is None:
            st.info(tr("Latency can be measured when the model is there."))
            return
        if job is not None and job.active:
            st.fragment(_follow_latency, run_every=1.0)()
            return
        if store().sweeps.latency(model) is not None:  # it has come since the table was drawn
            st.rerun()
        if job is not None and job.state == "failed":
            st.error(look.plain(tr("Latency could not be measured: {error}.", error=job.error)))
        text = mark(
            "Latency has not been measured on this computer. The model is cut to a few sizes, and each is timed in "
            "turns with the whole model; from these times that of every plan is predicted."
        )
        st.info(tr(text))
        st.button(tr(MEASURE_LATENCY), type="primary", on_click=_measure_latency, args=(model,))


def _measure_latency(model: LoadedModel) -> None:
    store().sweeps.measure_latency(session_id(), model)


def _follow_latency() -> None:
    job = store().scorer.latest((session_id(), "latency"))
    if job is None or not job.active:
        st.rerun()
    progress_line(job)


# The table -------------------------------------------------------------------------------------------------------


def draw_table(swept: Swept, table: pd.DataFrame, place: Place) -> None:
    """All points; picking a row is the same as clicking its point."""
    key = f"{place.key}_table"

    def on_select() -> None:
        event = st.session_state.get(key)
        rows = event["selection"]["rows"] if event else []
        if rows:
            choose(swept, rows[0], place)

    shown, columns = readable(table)
    st.dataframe(
        shown, hide_index=True, height=320, key=key, on_select=on_select, selection_mode="single-row",
        column_config=columns,
    )  # fmt: skip


def readable(table: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The columns that people look at, and how they are formatted."""
    labels = [
        tr("Whole model")
        if row["mask"] == WHOLE
        else line_label(row["strategy"], row["criterion"], row["compensation"])
        for _, row in table.iterrows()
    ]
    number: Callable[..., Any] = st.column_config.NumberColumn
    shown, columns = {tr("plan"): labels, tr("seed"): table["seed"]}, {}
    whole = whole_row(table)
    for name in ("heads", "parameters", "macs"):
        heading = tr("{what} left", what=tr(SAVED[name]))
        shown[heading] = 100 * table[name] / whole[name]
        columns[heading] = number(format="%.1f%%")
    for name in (kept for kept in KEPT if kept in table):
        percent = 100 if name == "accuracy" else 1
        for end, text in (("", mark("{metric}")), ("_low", mark("{metric}, from")), ("_high", mark("{metric}, to"))):
            heading = tr(text, metric=tr(KEPT[name]).lower())
            shown[heading] = percent * table[f"{name}{end}"]
            columns[heading] = number(format="%.1f%%" if percent > 1 else "%.4g")
    if table["latency_ms"].notna().all():
        shown[tr("latency")] = table["latency_ms"]
        columns[tr("latency")] = number(format="%.2f ms")
    return pd.DataFrame(shown), columns
