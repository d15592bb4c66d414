"""Looking at a sweep: the chart, the point that was picked, and the table that holds the same for keyboards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import pandas as pd
import streamlit as st

from pruning.language import mark, tr
from pruning.masks import Mask
from pruning.scopes import units_of
from ui import charts, state
from ui import theme as look
from ui.naming import names_of
from ui.removed import count_words
from ui.store import session_id, store
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
    change_text,
    describe_tradeoff,
    finding,
    keys_of,
    label_among,
    line_label,
    subtitle,
    value_text,
    whole_row,
)

if TYPE_CHECKING:
    from pruning.models import LoadedModel

MEASURE_LATENCY = mark("Measure latency on this computer")


def table_of(swept: Swept) -> pd.DataFrame:
    """The rows as a table, with predicted milliseconds where this computer has measured them."""
    table = pd.DataFrame(list(swept.rows))
    model = store().request_model(state.current().model).model
    latency = store().sweeps.latency(model) if model else None
    if latency is not None:
        table["latency_ms"] = [latency.predict(Mask.from_code(code)) for code in table["mask"]]
    return table


def draw_chart(swept: Swept, table: pd.DataFrame, theme: Theme) -> None:
    """The chart under its three choices: what is kept, what is saved, and the front."""
    kept, saved, front = _choices(table)
    if saved == "latency_ms" and table["latency_ms"].isna().any():
        _offer_latency()
        return
    rows = len(table)
    table = _chosen_lines(table)
    title, shown = finding(table, saved, kept)
    data = state.data_label(state.current().data)
    figure = tradeoff(
        table,
        saved=saved,
        kept=kept,
        front=front,
        chosen=chosen_row(swept),
        title=title if len(table) > 1 else tr("The first points are being measured"),
        subtitle=subtitle(table, shown, data, swept.settings is None),
        theme=theme,
    )

    def on_select() -> None:
        event = st.session_state.get("tradeoff_chart")
        row = clicked_row(event.get("selection") if event else None, rows)
        if row is not None:
            _choose(swept, row)

    st.plotly_chart(
        figure, theme=None, config=charts.CONFIG, key="tradeoff_chart", on_select=on_select, selection_mode="points",
        alt=describe_tradeoff(table, saved, kept),
    )  # fmt: skip


def _choices(table: pd.DataFrame) -> tuple[str, str, bool]:
    """Drawn as one line of controls; what every row has in full is no axis."""
    kept = [name for name in KEPT if name in table]
    whole = whole_row(table)
    saved = [name for name in SAVED if name == "latency_ms" or (table[name] < whole[name]).any()]
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        metric = st.segmented_control(
            tr("Kept"), kept, default=kept[0], key="tradeoff_kept", required=True, persist_state="session",
            format_func=lambda name: tr(KEPT[name]),
        )  # fmt: skip
        cost = st.segmented_control(
            tr("Against what is left"), saved, default=saved[0], key="tradeoff_saved", required=True,
            format_func=lambda name: tr(SAVED[name])[:1].upper() + tr(SAVED[name])[1:], persist_state="session",
        )  # fmt: skip
        front = st.toggle(
            tr("Pareto front"), key="tradeoff_front", persist_state="session",
            help=tr(
                "The plans that no other beats: none keeps as much with less left. The luckiest of many plans stand on "
                "it, so mind the intervals."
            ),
        )  # fmt: skip
    return metric or kept[0], cost or saved[0], front


def _chosen_lines(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of the lines to draw: all, or the first few and whichever the user adds."""
    keys = keys_of(table)
    if len(keys) <= LINES_AT_FIRST:
        return table
    labels = [label_among(key, keys) for key in keys]
    chosen = st.pills(
        tr("Lines"), labels, selection_mode="multi", default=labels[:LINES_AT_FIRST], key="tradeoff_lines",
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


# The chosen point ------------------------------------------------------------------------------------------------


def chosen_row(swept: Swept) -> int | None:
    """The position of the row that was picked in this sweep: rows are only ever added."""
    about, row = st.session_state.get("tradeoff_row", (None, None))
    return row if about == (swept.settings,) and row is not None and row < len(swept.rows) else None


def _choose(swept: Swept, row: int) -> None:
    st.session_state["tradeoff_row"] = ((swept.settings,), row)


def draw_card(swept: Swept, table: pd.DataFrame) -> None:
    """What the chosen plan removes, what that saves and costs, and the way to Prune."""
    position = chosen_row(swept)
    if position is None:
        st.caption(tr("Click a point of the chart, or pick a row of the table, to see what it removes."))
        return
    row, whole = table.loc[position], whole_row(table)
    mask = Mask.from_code(row["mask"])
    with st.container(border=True):
        label = line_label(row["strategy"], row["criterion"], row["compensation"])
        units = tr(SAVED.get(row["budget"], SAVED["parameters"]))
        most = tr("no more than {share:.0%} of the {units} left", share=row["share"], units=units)
        st.markdown(f"**{label}** · {most}")
        kept = "perplexity" if "perplexity" in table else "accuracy"
        figures = {
            tr(KEPT[kept]): (value_text(row, kept), tr("{change}, paired", change=change_text(row, kept))),
            tr("Size"): (look.parameters(int(row["parameters"])), _saved(row, whole, "parameters")),
            tr("Work"): (look.macs(int(row["macs"])), _saved(row, whole, "macs")),
        }
        if not pd.isna(row["latency_ms"]):
            figures[tr("Latency")] = (look.milliseconds(float(row["latency_ms"])), _saved(row, whole, "latency_ms"))
        if "worse" in row and not pd.isna(row["worse"]):
            worse, better = int(row["worse"]), int(row["better"])
            flips = tr("{worse} became wrong, {better} became right", worse=worse, better=better)
            figures[tr("Answers")] = (tr("{n} of {total:,} flipped", n=worse + better, total=row["samples"]), flips)
        for column, (name, (value, change)) in zip(st.columns(len(figures)), figures.items(), strict=True):
            column.markdown(f"{name}  \n**{value.partition(' (')[0]}**")
            column.caption(f"({value.partition(' (')[2]}  \n{change}" if " (" in value else change)
        st.markdown(removed_text(mask, _names(mask)))
        _open_button(mask, str(row["compensation"]))


def _saved(row: pd.Series, whole: pd.Series, name: str) -> str:
    share = f"{100 * (row[name] / whole[name] - 1):.1f}%".replace("-", look.MINUS)
    return tr("{share} if really cut", share=share)


def _names(mask: Mask) -> list[str]:
    loading = store().request_model(state.current().model)
    count = 1 + max((head.site for head in mask.heads), default=-1)
    return names_of(loading.model.anatomy if loading.model else None, count)


def removed_text(mask: Mask, names: list[str]) -> str:
    """Heads by site, and how many neurons of each block.

    >>> removed_text(Mask.parse_heads("0:1,0:3,2:5"), ["Layer 0", "Layer 1", "Layer 2"])
    'Removes 3 heads: **Layer 0** 1, 3 · **Layer 2** 5'
    """
    parts = []
    for scope in ("heads", "neurons"):
        units = sorted(units_of(mask, scope))  # type: ignore[arg-type]
        where: dict[int, list[int]] = {}
        for part, unit in units:
            where.setdefault(part, []).append(unit)
        if scope == "heads":
            lists = [f"**{names[part]}** {', '.join(map(str, found))}" for part, found in where.items()]
        else:
            lists = [f"**{tr('Block {n}', n=part)}** {len(found):,}" for part, found in where.items()]
        if units:
            words = count_words(len(units), scope)  # type: ignore[arg-type]
            parts.append(tr("Removes {parts}: {lists}", parts=words, lists=" · ".join(lists)))
    return "  \n".join(parts) or tr("Removes nothing.")


def _open_button(mask: Mask, compensation: str) -> None:
    session = state.current()

    def open_plan() -> None:
        known = {field.name for field in fields(state.Session)}
        changes: dict[str, Any] = {"history": session.history.edit(mask), "compensation": compensation}
        state.update(**{name: value for name, value in changes.items() if name in known})

    if st.button(tr("Open in Prune"), type="primary", on_click=open_plan):
        st.switch_page("pages/prune.py")


# The table -------------------------------------------------------------------------------------------------------


def draw_table(swept: Swept, table: pd.DataFrame) -> None:
    """All points; picking a row is the same as clicking its point."""
    key = "tradeoff_table"

    def on_select() -> None:
        event = st.session_state.get(key)
        rows = event["selection"]["rows"] if event else []
        if rows:
            _choose(swept, rows[0])

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
