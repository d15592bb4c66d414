"""The class balance of somebody's own rows as a chart: values in, a plotly figure out."""

from __future__ import annotations

from collections.abc import Mapping

import plotly.graph_objects as go

from pruning.data import Split
from pruning.language import mark, tr
from ui import theme as look
from ui.figure import figure_with_heading
from ui.theme import Theme

EVEN = 1.5  # the largest class has at most so many times the rows of the smallest
MOST_BARS, LONGEST_NAME = 20, 24
Balance = Mapping[str, Mapping[Split, int]]


def finding(balance: Balance, classes: int) -> str:
    """What there is to say of the classes.

    Args:
        balance: Rows that choose and that measure, by class.
        classes: Of the model.
    """
    totals = {name: sum(parts.values()) for name, parts in balance.items()}
    if not totals:
        return tr("No row fits")
    largest, smallest = max(totals, key=lambda n: totals[n]), min(totals, key=lambda n: totals[n])
    share = look.percent(totals[largest] / sum(totals.values()))
    if len(totals) < 2:
        return tr("Every row is {name}", name=_short(largest))
    if len(totals) < classes:
        text = mark("{n} of {total} classes occur; {name} has {share}")
        return tr(text, n=len(totals), total=classes, name=_short(largest), share=share)
    if totals[largest] <= EVEN * totals[smallest]:
        return tr("The classes are about even: the largest, {name}, has {share}", name=_short(largest), share=share)
    times = totals[largest] / totals[smallest]
    text = mark("{name} has {share} of the rows, {times:.1f} times as many as {other}")
    return tr(text, name=_short(largest), share=share, times=times, other=_short(smallest))


def balance_chart(balance: Balance, classes: int, theme: Theme = "light") -> go.Figure:
    """Rows of each class, those that choose and those that measure side by side; the largest classes where many."""
    colours = look.tokens(theme)
    ranked = sorted(balance, key=lambda name: -sum(balance[name].values()))[:MOST_BARS]
    every = mark("Rows by class: muted ones choose, strong ones measure")
    most = mark("Rows by class, the {n} largest of {total} classes: muted ones choose, strong ones measure")
    subtitle = tr(most if len(balance) > MOST_BARS else every, n=MOST_BARS, total=len(balance))
    figure = figure_with_heading(
        theme, finding(balance, classes), subtitle,
        30 * max(2, len(ranked)), barmode="stack", bargap=0.35,
    )  # fmt: skip
    drawn: tuple[tuple[Split, str, str], ...] = (
        ("calibration", tr("choose"), look.with_alpha(colours.accent, 0.55)),
        ("evaluation", tr("measure"), colours.accent),
    )
    for part, word, colour in drawn:
        figure.add_bar(
            y=[_short(name) for name in ranked], x=[balance[name][part] for name in ranked], orientation="h",
            name=word, marker_color=colour, hovertemplate="%{y}: %{x:,} " + word + "<extra></extra>",
        )  # fmt: skip
    figure.update_xaxes(title_text=tr("rows"), fixedrange=True, rangemode="tozero", showgrid=True, nticks=5)
    figure.update_yaxes(title_text="", fixedrange=True, autorange="reversed", showgrid=False, type="category")
    return figure


def describe_balance(balance: Balance, classes: int) -> str:
    """The chart in words."""
    parts = [
        tr("{name} {n:,} rows", name=name, n=sum(rows.values())) for name, rows in list(balance.items())[:MOST_BARS]
    ]
    return f"{finding(balance, classes)}. {'; '.join(parts)}."


def _short(name: str) -> str:
    """A class name that leaves room for its bar; plotly reads HTML, so no mark in it means anything."""
    cut = name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"
    return cut.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
