"""Pictures of the history: what was measured against what was removed, and a mask. Pure: no streamlit, no torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import tzinfo

import pandas as pd
import plotly.graph_objects as go

from pruning.history.records import KINDS, Record, estimate_in
from pruning.language import mark, tr, trn
from pruning.scopes import SCOPES, Scope
from ui import theme as look
from ui.details import PERCENT
from ui.figure import figure_with_heading
from ui.history.entries import CHANGE
from ui.history.words import gone, in_line, metric_name, metric_text, part_text, removed_text, title, when
from ui.theme import Theme

SYMBOLS = {"evaluation": "circle", "sweep": "diamond", "recovery": "square", "export": "triangle-up", "scenario": "x"}

REMOVED = {"heads": mark("heads removed"), "neurons": mark("neurons removed"), "layers": mark("layers removed")}
COLUMNS = (mark("made"), mark("what"), mark("removed"), mark("main metric"), mark("clear loss"))


def comparable(records: Sequence[Record]) -> list[Record]:
    """Those with the main metric of the newest that has one, the oldest first: they share an axis."""
    measured = sorted((one for one in records if one.main is not None), key=lambda one: one.made)
    return [one for one in measured if one.main and measured[-1].main and one.main[0] == measured[-1].main[0]]


def scope_of(records: Sequence[Record]) -> Scope:
    """What is counted as removed: heads, unless only something else ever was."""
    return next((scope for scope in SCOPES if any(gone(one, scope)[0] for one in records)), "heads")


def unharmed(record: Record) -> bool:
    """Whether the interval of the change holds no loss for certain; the unpruned model is its own equal."""
    if not record.mask or record.main is None:
        return not record.mask
    name = record.main[0]
    change = estimate_in(record.numbers, ("accuracy" if name == "accuracy" else "loss") + CHANGE)
    if change is None:
        return False
    return change.high >= 0 if name == "accuracy" else change.low <= 0


def finding(records: Sequence[Record]) -> str:
    """The title of the chart: the most that went without a clear loss."""
    scope = scope_of(records)
    fine = [one for one in records if one.mask and unharmed(one) and gone(one, scope)[0]]
    if not fine:
        return trn(
            "{n} measured model, one pair of model and data",
            "{n:,} measured models, one pair of model and data",
            len(records),
        )
    most = max(fine, key=lambda one: gone(one, scope)[0])
    return tr("{removed} went without a clear loss", removed=part_text(most, scope))


def over_time(records: Sequence[Record], zone: tzinfo, theme: Theme) -> go.Figure:
    """The main metric against what is removed, with 95% intervals; the newer a point, the stronger its colour.

    Args:
        records: As `comparable` gives them.
    """
    scope, name = scope_of(records), records[-1].main[0] if records and records[-1].main else "accuracy"
    factor = 100 if name in PERCENT else 1
    shades = look.sequential(theme, 33)[12:]
    subtitle = tr("{n:,} measured · 95% intervals · stronger is newer", n=len(records))
    figure = figure_with_heading(theme, finding(records), subtitle, 300, bottom_px=56)
    for kind in dict.fromkeys(one.kind for one in records):
        chosen = [(place, one) for place, one in enumerate(records) if one.kind == kind]
        values = [one.main[1] for _, one in chosen if one.main]
        colours = [shades[round(place / max(1, len(records) - 1) * (len(shades) - 1))] for place, _ in chosen]
        figure.add_scatter(
            x=[gone(one, scope)[0] for _, one in chosen], y=[factor * one.value for one in values], mode="markers",
            name=tr(KINDS.get(kind).label),
            marker={"size": 10, "color": colours, "symbol": SYMBOLS.get(kind, "circle")},
            error_y={
                "type": "data", "symmetric": False, "thickness": 1, "width": 0, "color": look.tokens(theme).secondary,
                "array": [factor * (one.high - one.value) for one in values],
                "arrayminus": [factor * (one.value - one.low) for one in values],
            },
            text=["<br>".join([title(one, zone), metric_text(one), _without(one)]) for _, one in chosen],
            hovertemplate="%{text}<extra></extra>",
        )  # fmt: skip
    several = len(figure.data) > 1
    figure.update_layout(showlegend=several, legend={"orientation": "h", "y": -0.2, "x": 0})
    most = max((gone(one, scope)[0] for one in records), default=0)
    figure.update_xaxes(
        title_text=tr(REMOVED[scope]), fixedrange=True, range=[-0.04 * (most + 1), 1.04 * (most + 1)], nticks=8,
        tickformat=",d", dtick=1 if most < 8 else None,
    )  # fmt: skip
    figure.update_yaxes(
        title_text=tr("{metric}, percent", metric=metric_name(name)) if factor == 100 else metric_name(name),
        fixedrange=True,
        nticks=6,
        range=_room(records, factor),
    )
    return figure


def _room(records: Sequence[Record], factor: float) -> list[float] | None:
    """An axis that holds every interval, with a little air."""
    ends = [factor * end for one in records if one.main for end in (one.main[1].low, one.main[1].high)]
    finite = [end for end in ends if math.isfinite(end)]
    if not finite:
        return None
    air = 0.05 * ((max(finite) - min(finite)) or 1.0)
    return [min(finite) - air, max(finite) + air]


def describe_over_time(records: Sequence[Record]) -> str:
    """The same for those who do not see it."""
    if not records:
        return tr("No measured models yet.")
    newest = tr(
        "The newest of {n:,}: {metric} with {removed} removed",
        n=len(records),
        metric=metric_text(records[-1]),
        removed=removed_text(records[-1]),
    )
    return in_line([look.as_sentence(finding(records)), look.as_sentence(newest)])


def _without(record: Record) -> str:
    return tr("{removed} removed", removed=removed_text(record))


def table_over_time(records: Sequence[Record], zone: tzinfo) -> pd.DataFrame:
    """The chart's twin, the newest first."""
    rows = [
        (
            when(one.made, zone),
            title(one, zone),
            removed_text(one),
            metric_text(one),
            tr("no") if unharmed(one) else tr("yes"),
        )
        for one in reversed(records)
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))
