"""One model measured on more and more rows. Pure: values in, a figure out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from pruning.language import tr
from pruning.statistics import Estimate
from ui import theme as look
from ui.figure import figure_with_heading
from ui.theme import Theme

PLOT_PX, FIRST, SPREAD = 260, -0.18, 0.34  # of a column: where its interval stands, and how wide its dots lie


def sizes_chart(
    parts: Mapping[int, Sequence[Estimate]],
    chosen: int,
    *,
    title: str,
    subtitle: str,
    y_title: str,
    scale: float,
    theme: Theme,
) -> go.Figure:
    """Draw a column for each number of rows: the first part with its interval, the other parts as small dots.

    Args:
        parts: By number of rows, the estimates on the parts that have so many.
        chosen: The number of rows that was asked about.
        scale: What values are multiplied by: 100 for percent.
    """
    colours = look.tokens(theme)
    figure = figure_with_heading(theme, title, subtitle, PLOT_PX, hovermode="closest")
    text = look.proportion if scale == 100 else look.measured
    for column, (size, found) in enumerate(parts.items()):
        colour = colours.accent if size == chosen else colours.secondary
        first, others = found[0], found[1:]
        step = SPREAD / max(1, len(others))
        figure.add_scatter(
            x=[column + 0.06 + step * i for i in range(len(others))], y=[scale * one.value for one in others],
            mode="markers", marker={"color": look.with_alpha(colour, 0.55), "size": 6},
            hovertemplate=tr("another {n:,} rows", n=size) + ": %{y:.3g}<extra></extra>",
        )  # fmt: skip
        figure.add_scatter(
            x=[column + FIRST], y=[scale * first.value], mode="markers", marker={"color": colour, "size": 10},
            error_y={
                "type": "data", "symmetric": False, "color": colour, "thickness": 2.5, "width": 5,
                "array": [scale * (first.high - first.value)], "arrayminus": [scale * (first.value - first.low)],
            },
            customdata=[text(first)],
            hovertemplate=tr("the first {n:,} rows", n=size) + ": %{customdata}<extra></extra>",
        )  # fmt: skip
    everything = list(parts.values())[-1][0]
    figure.add_hline(
        y=scale * everything.value, line={"color": colours.secondary, "width": 1, "dash": "dot"}, layer="below"
    )
    figure.update_xaxes(
        title_text=tr("rows that are measured"), tickvals=list(range(len(parts))), fixedrange=True,
        ticktext=[f"{size:,}" for size in parts], range=[-0.6, len(parts) - 0.4],
    )  # fmt: skip
    figure.update_yaxes(title_text=y_title, fixedrange=True, nticks=6)
    return figure
