"""A model that fails, as a figure. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from pruning.language import mark, tr
from pruning.statistics import Estimate
from ui import theme as look
from ui.figure import figure_with_heading
from ui.theme import Theme

LINES = {
    "accuracy": mark("accuracy"),
    "top": mark("same answer"),
    "confidence": mark("confidence"),
    "worst": mark("lowest recall"),
}
LABEL_PX, PLOT_PX, GAP = 96, 250, 7.0


def failure_chart(
    shares: Sequence[int],
    lines: Mapping[str, Sequence[Estimate]],
    worst: Sequence[float],
    baseline: float | None,
    asked: int,
    title: str,
    subtitle: str,
    theme: Theme = "light",
) -> go.Figure:
    """A line for each sign of failure over the share that is removed, its name at its end.

    Args:
        shares: In percent.
        lines: Fractions by key of `LINES`; accuracy with its interval.
        worst: Lowest recall of any class as a fraction; empty without classes.
        baseline: Accuracy of always giving the most frequent class.
        asked: The share that the guess was about.
    """
    colours = look.tokens(theme)
    styles = {
        "accuracy": (colours.accent, "solid"),
        "top": (colours.pruned, "solid"),
        "confidence": (colours.secondary, "dash"),
        "worst": (colours.kept, "dot"),
    }
    figure = figure_with_heading(theme, title, subtitle, PLOT_PX, hovermode="closest")
    figure.update_layout(margin_r=LABEL_PX)
    _interval(figure, shares, lines["accuracy"], colours.accent)
    values = {name: [100 * one.value for one in found] for name, found in lines.items()}
    if worst:
        values["worst"] = [100 * one for one in worst]
    for name, found in values.items():
        colour, dash = styles[name]
        figure.add_scatter(
            x=list(shares), y=found, mode="lines+markers", line={"color": colour, "width": 2.5, "dash": dash},
            marker={"color": colour, "size": 6}, cliponaxis=False,
            hovertemplate=f"{tr(LINES[name])} %{{y:.1f}}%, %{{x}}%<extra></extra>",
        )  # fmt: skip
    for name, place in spread({name: found[-1] for name, found in values.items()}).items():
        figure.add_annotation(
            x=shares[-1], y=place, text=tr(LINES[name]), showarrow=False, xanchor="left", xshift=9,
            font={"color": styles[name][0], "size": look.CAPTION_PX},
        )  # fmt: skip
    if baseline is not None:
        figure.add_hline(y=100 * baseline, line={"color": colours.text, "width": 1, "dash": "dot"})
        figure.add_annotation(
            x=shares[0], y=100 * baseline, text=tr("always the most frequent class"), showarrow=False, xanchor="left",
            yanchor="top", yshift=-10,  # clear of the line of the same answer, which begins there
            font={"color": colours.text, "size": look.CAPTION_PX},
        )  # fmt: skip
    figure.add_vline(x=asked, line={"color": colours.line, "width": 2})
    figure.update_xaxes(
        title_text=tr("heads removed (%)"), fixedrange=True, tickvals=list(shares), range=[-3, shares[-1] + 3]
    )
    figure.update_yaxes(title_text="%", range=[-3, 103], fixedrange=True, nticks=6)
    return figure


def _interval(figure: go.Figure, shares: Sequence[int], estimates: Sequence[Estimate], colour: str) -> None:
    """A band around the accuracy."""
    upper, lower = [100 * one.high for one in estimates], [100 * one.low for one in estimates]
    figure.add_scatter(
        x=[*shares, *reversed(shares)], y=[*upper, *reversed(lower)], fill="toself", mode="lines", line={"width": 0},
        fillcolor=look.with_alpha(colour, 0.15), hoverinfo="skip",
    )  # fmt: skip


def spread(ends: Mapping[str, float], gap: float = GAP) -> dict[str, float]:
    """Where labels stand so that none covers another and none leaves the figure.

    >>> spread({"a": 50.0, "b": 51.0}), spread({"a": 100.0, "b": 99.0}), spread({"a": 0.0, "b": 1.0})
    ({'b': 51.0, 'a': 44.0}, {'a': 100.0, 'b': 93.0}, {'b': 7.0, 'a': 0.0})
    """
    order = sorted(ends, key=lambda name: -ends[name])
    places, above = {}, 100.0
    for name in order:
        places[name] = min(ends[name], above)
        above = places[name] - gap
    below = 0.0
    for name in reversed(order):
        places[name] = max(places[name], below)
        below = places[name] + gap
    return places
