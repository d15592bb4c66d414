"""Two models' confidence, losses, calibration and data sets as charts: pure functions, values in, figures out.

A is grey with squares and broken lines, B is in the accent with circles and whole lines, in every chart.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from pruning.calibration import ReliabilityBin
from pruning.language import tr
from pruning.statistics import Estimate
from ui import theme as look
from ui.figure import figure_with_heading
from ui.theme import Theme, Tokens

BINS, CHART_PX, MOST_POINTS = 20, 300, 3000
LEAST_LOSS = 1e-4  # smaller ones are drawn there: on a logarithmic axis nothing is at zero
LABEL_Y, DODGE = 0.3, 0.01


def histogram_table(a: np.ndarray, b: np.ndarray) -> pd.DataFrame:
    """How many examples of A and of B have a confidence in each of 20 ranges of equal width.

    Args:
        a, b: ``(example,)``, 0 to 1.

    Returns:
        Columns ``from``, ``to``, ``A``, ``B``; the ranges below the lowest confidence are left out.
    """
    lowest = float(min(np.min(a, initial=1.0), np.min(b, initial=1.0)))
    edges = np.linspace(0, 1, BINS + 1)
    edges = edges[max(0, math.floor(round(lowest * BINS, 6))) :]
    edges = edges if len(edges) > 1 else np.linspace(0, 1, BINS + 1)[-2:]
    counts = [np.histogram(np.clip(one, edges[0], 1.0), edges)[0] for one in (a, b)]
    return pd.DataFrame({"from": edges[:-1], "to": edges[1:], "A": counts[0], "B": counts[1]})


def confidence_chart(table: pd.DataFrame, *, title: str, subtitle: str, unit: str, theme: Theme = "light") -> go.Figure:
    """Both distributions over each other.

    Args:
        table: As `histogram_table` makes it.
    """
    colours = look.tokens(theme)
    figure = figure_with_heading(
        theme, title, subtitle, CHART_PX, barmode="overlay", bargap=0.04, hovermode="x unified"
    )
    middle = ((table["from"] + table["to"]) / 2).tolist()
    figure.add_bar(
        x=middle, y=table["A"].tolist(), name="A", marker_color=look.with_alpha(colours.secondary, 0.35),
        marker_line={"color": colours.secondary, "width": 1}, hovertemplate="%{y}",
    )  # fmt: skip
    ends = [*table["from"].tolist(), 1.0]
    counts = [*table["B"].tolist(), table["B"].iloc[-1]]
    figure.add_scatter(
        x=ends, y=counts, mode="lines", line={"color": colours.accent, "width": 2.5, "shape": "hv"}, hoverinfo="skip",
    )  # fmt: skip
    figure.add_scatter(
        x=middle, y=table["B"].tolist(), name="B", mode="markers", hovertemplate="%{y}",
        marker={"color": colours.accent, "size": 5},
    )  # fmt: skip
    figure.update_xaxes(title_text=unit, range=[ends[0], 1], fixedrange=True, nticks=6)
    figure.update_yaxes(title_text=tr("examples"), fixedrange=True, rangemode="tozero", nticks=5)
    _key(figure, colours)
    return figure


def thinned(count: int) -> int:
    """Of so many examples with the same answer every which is drawn.

    >>> thinned(1500), thinned(7000)
    (1, 3)
    """
    return max(1, math.ceil(count / MOST_POINTS))


def loss_chart(
    losses: tuple[np.ndarray, np.ndarray],
    kinds: Sequence[str],
    *,
    title: str,
    subtitle: str,
    theme: Theme = "light",
) -> go.Figure:
    """One point an example: its loss under A and under B, on logarithmic axes; above the line B is worse.

    Args:
        losses: Of A and B, ``(example,)``.
        kinds: Of each example ``worse`` where B has become wrong, ``better`` where it has become right, or nothing.
    """
    colours = look.tokens(theme)
    figure = figure_with_heading(theme, title, subtitle, CHART_PX)
    x, y = (np.maximum(np.asarray(one, float), LEAST_LOSS) for one in losses)
    low, high = (math.log10(f(np.append(x, y))) for f in (np.min, np.max)) if len(x) else (-1.0, 1.0)
    pad = 0.05 * (high - low) + 0.02
    ends = [low - pad, high + pad]
    line = {"color": colours.secondary, "width": 1, "dash": "dot"}
    figure.add_scatter(x=[10**e for e in ends], y=[10**e for e in ends], mode="lines", line=line, hoverinfo="skip")
    styles = {
        "": (tr("same answer"), "circle", look.with_alpha(colours.secondary, 0.5), 4),
        "worse": (tr("B became wrong"), "triangle-up", colours.pruned, 9),
        "better": (tr("B became right"), "triangle-down", colours.kept, 9),
    }
    for kind, (name, symbol, colour, size) in styles.items():
        chosen = np.flatnonzero([one == kind for one in kinds])[:: 1 if kind else thinned(len(kinds))]
        hover = [f"A {look.number(a)} · B {look.number(b)}" for a, b in zip(*(o[chosen] for o in losses), strict=True)]
        figure.add_scatter(
            x=x[chosen].tolist(), y=y[chosen].tolist(), mode="markers", name=name, text=hover,
            marker={"symbol": symbol, "color": colour, "size": size},
            hovertemplate="%{text}<br>" + name + "<extra></extra>",
        )  # fmt: skip
    figure.update_xaxes(title_text=tr("loss under {side}", side="A"), type="log", range=ends, fixedrange=True, dtick=1)
    figure.update_yaxes(title_text=tr("loss under {side}", side="B"), type="log", range=ends, fixedrange=True, dtick=1)
    return figure


def reliability_chart(
    a: Sequence[ReliabilityBin], b: Sequence[ReliabilityBin], *, title: str, subtitle: str, theme: Theme = "light"
) -> go.Figure:
    """How often each model is right where it is so sure, with Wilson's 95% intervals, and below how many there are."""
    colours = look.tokens(theme)
    figure = figure_with_heading(theme, title, subtitle, CHART_PX + 90, barmode="overlay")
    low = min([one.low for one in (*a, *b)], default=0.0)
    line = {"color": colours.secondary, "width": 1, "dash": "dot"}
    figure.add_scatter(x=[low, 1], y=[low, 1], mode="lines", line=line, hoverinfo="skip")
    for bins, name in ((a, "A"), (b, "B")):
        figure.add_traces(_bins(bins, name, colours))
    least = min([one.accuracy.low for one in (*a, *b)], default=0.0)
    percent = {"tickformat": ".0%", "fixedrange": True, "nticks": 6}
    figure.update_xaxes(title_text=tr("mean confidence"), range=[low, 1.005], anchor="y2", **percent)
    ends = [max(0.0, least - 0.05), 1.04]
    figure.update_yaxes(title_text=tr("share that is right"), domain=[0.3, 1], range=ends, **percent)
    figure.update_layout(
        yaxis2={"title": {"text": tr("examples")}, "domain": [0, 0.2], "fixedrange": True, "nticks": 3},
    )
    _key(figure, colours)
    return figure


def _bins(bins: Sequence[ReliabilityBin], name: str, colours: Tokens) -> tuple[go.Scatter, go.Bar]:
    """One model's line with its intervals, and its bars below; A's stand to the left, B's to the right."""
    _, colour, symbol, dash = _style(name, colours)
    hover = [
        tr(
            "{side} is {confidence} sure and {share} right",
            side=name,
            confidence=look.percent(one.confidence),
            share=look.proportion(one.accuracy, one.count),
        )
        for one in bins
    ]
    y, shift = [one.accuracy.value for one in bins], -DODGE if name == "A" else DODGE
    error = {
        "type": "data", "symmetric": False, "array": [one.accuracy.high - one.accuracy.value for one in bins],
        "arrayminus": [one.accuracy.value - one.accuracy.low for one in bins], "thickness": 1.2, "width": 0,
    }  # fmt: skip
    points = go.Scatter(
        x=[min(1.0, one.confidence + shift / 2) for one in bins], y=y, error_y=error, mode="lines+markers", name=name,
        line={"color": colour, "width": 1.5, "dash": dash}, marker={"symbol": symbol, "size": 8, "color": colour},
        text=hover, hovertemplate="%{text}<extra></extra>", cliponaxis=False,
    )  # fmt: skip
    width = (bins[0].high - bins[0].low) * 0.4 if bins else 0.01
    middle = [(one.low + one.high) / 2 + math.copysign(width / 2, shift) for one in bins]
    bars = go.Bar(
        x=middle, y=[one.count for one in bins], width=width, yaxis="y2", marker_color=look.with_alpha(colour, 0.6),
        text=hover, textposition="none", hovertemplate="%{text}<extra></extra>", showlegend=False,
    )  # fmt: skip
    return points, bars


@dataclass(frozen=True)
class DataRow:
    """The difference between A and B on one data set, in the unit of the axis.

    Attributes:
        text: The difference and its interval in words.
        home: Whether the models' own data is meant; it is drawn as a square.
        better: Whether B is clearly better (True), clearly worse (False), or neither (None).
    """

    name: str
    difference: Estimate
    text: str
    home: bool
    better: bool | None


def domain_chart(rows: Sequence[DataRow], *, title: str, subtitle: str, unit: str, theme: Theme = "light") -> go.Figure:
    """The difference B − A on each data set as a dot with its interval, the home data first."""
    colours = look.tokens(theme)
    figure = figure_with_heading(theme, title, subtitle, 54 * len(rows))
    ends = [end for row in rows for end in (row.difference.low, row.difference.high) if math.isfinite(end)]
    reach = 1.1 * max([abs(end) for end in ends if end] or [1.0])
    zero = {"color": colours.text, "width": 1}
    figure.add_scatter(x=[0, 0], y=[-0.2, len(rows) - 0.6], mode="lines", line=zero, hoverinfo="skip")
    for place, row in enumerate(rows):
        colour = {True: colours.kept, False: colours.pruned, None: colours.secondary}[row.better]
        found = row.difference
        if math.isfinite(found.low) and math.isfinite(found.high):
            line = {"color": colour, "width": 3}
            figure.add_scatter(x=[found.low, found.high], y=[place] * 2, mode="lines", line=line, hoverinfo="skip")
        figure.add_scatter(
            x=[found.value], y=[place], mode="markers", cliponaxis=False,
            marker={"color": colour, "size": 10, "symbol": "square" if row.home else "circle"},
            hovertemplate=f"{row.text}<extra></extra>",
        )  # fmt: skip
        figure.add_annotation(
            text=f"{row.name}  <b>{row.text}</b>", x=0, xref="paper", xanchor="left", y=place - LABEL_Y,
            yanchor="middle", showarrow=False, font={"size": look.CAPTION_PX, "color": colours.text}, align="left",
        )  # fmt: skip
    figure.update_xaxes(title_text=unit, range=[-reach, reach], fixedrange=True, nticks=5)
    figure.update_yaxes(range=[len(rows) - 0.6, -0.7], visible=False, fixedrange=True)
    return figure


def _style(name: str, colours: Tokens) -> tuple[str, str, str, str]:
    """Name, colour, symbol and dash of a side."""
    return (name, colours.secondary, "square", "dash") if name == "A" else (name, colours.accent, "circle", "solid")


def _key(figure: go.Figure, colours: Tokens) -> None:
    """Which side is which, in the corner: small and in words."""
    for name, words, place in (("A", "■ A", 0.01), ("B", "● B", 0.09)):
        figure.add_annotation(
            text=f"<b>{words}</b>", x=place, y=1, xref="paper", yref="paper", xanchor="left", yanchor="top",
            showarrow=False, font={"size": look.CAPTION_PX, "color": _style(name, colours)[1]},
        )  # fmt: skip
