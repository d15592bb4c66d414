"""The figure of the lesson on importance. Pure: values in, figures out."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from pruning.language import tr
from ui import theme as look
from ui.figure import figure_with_heading
from ui.theme import Theme

FIRST, SECOND, BOTH = 1, 2, 3
LARGEST_PX = 520


def doomed_grid(
    marks: Sequence[Sequence[int]],
    *,
    rows: Sequence[str],
    names: tuple[str, str],
    title: str,
    subtitle: str,
    theme: Theme = "light",
) -> go.Figure:
    """Which heads two criteria would remove: a sign for each criterion, side by side where both agree.

    Args:
        marks: ``[site][head]``: 0 for a head that stays, 1 or 2 for what one criterion names, 3 for both.
        rows: A name for each site.
        names: Of the criteria.
    """
    colours, columns = look.tokens(theme), max(map(len, marks), default=0)
    row_px = max(12, min(34, LARGEST_PX // max(1, len(marks))))
    figure = figure_with_heading(theme, title, subtitle, row_px * len(marks), 92)
    cells = [[0 if mark == 0 else 1 if mark < BOTH else 2 for mark in row] for row in marks]
    grounds = [look.with_alpha(colours.secondary, share) for share in (0.08, 0.08, 0.35)]
    figure.add_heatmap(
        z=[row + [None] * (columns - len(row)) for row in cells], zmin=0, zmax=2, showscale=False, xgap=2, ygap=2,
        colorscale=[[0.0, grounds[0]], [0.5, grounds[1]], [1.0, grounds[2]]], hoverinfo="skip", hoverongaps=False,
    )  # fmt: skip
    for one, name, colour, symbol, shift in (
        (FIRST, names[0], colours.accent, "circle", -0.2),
        (SECOND, names[1], colours.pruned, "diamond", 0.2),
    ):
        points = [(s, h) for s, row in enumerate(marks) for h, mark in enumerate(row) if mark & one]
        figure.add_scatter(
            x=[h + shift for _, h in points], y=[s for s, _ in points], mode="markers", name=name,
            marker={"color": colour, "symbol": symbol, "size": min(9, row_px // 2), "line": {"width": 0}},
            text=[f"{name}: {tr('{layer}, head {head}', layer=rows[s], head=h)}" for s, h in points],
            hovertemplate="%{text}<extra></extra>",
        )  # fmt: skip
    every = max(1, -(-len(rows) // 16))
    figure.update_xaxes(title_text=tr("head"), fixedrange=True, nticks=min(columns, 12), range=[-0.5, columns - 0.5])
    figure.update_yaxes(
        tickmode="array", tickvals=list(range(0, len(rows), every)), ticktext=list(rows[::every]), fixedrange=True,
        range=[len(rows) - 0.5, -0.5], showgrid=False,
    )  # fmt: skip
    legend = {"orientation": "h", "x": 0, "xanchor": "left", "y": 0, "yanchor": "bottom", "yref": "container"}
    return figure.update_layout(showlegend=True, legend=legend)
