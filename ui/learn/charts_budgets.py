"""How a budget was spent: what each layer loses, one row of bars for each way. Pure: values in, a figure out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from pruning.language import tr
from ui import theme as look
from ui.figure import figure_with_heading
from ui.theme import Theme

ROW_PX, HEAD_PX = 60, 32  # of one way: its bars, and its words above them


@dataclass(frozen=True)
class Spending:
    """One way to spend the budget.

    Attributes:
        words: Its name and what it left, drawn above its bars.
        removed: How many heads each layer loses.
    """

    words: str
    removed: tuple[int, ...]


def spending_chart(
    ways: Sequence[Spending], sizes: Sequence[int], names: Sequence[str], *, title: str, subtitle: str, theme: Theme
) -> go.Figure:
    """Draw the ways one below the other; behind each bar stands how many heads the layer has.

    Args:
        sizes, names: Of each layer.
    """
    colours = look.tokens(theme)
    height = len(ways) * (ROW_PX + HEAD_PX)
    figure = figure_with_heading(theme, title, subtitle, height, barmode="overlay", bargap=0.25)
    layers = list(range(len(sizes)))
    for row, way in enumerate(ways):
        axis = "" if row == 0 else str(row + 1)
        top = 1 - (row * (ROW_PX + HEAD_PX) + HEAD_PX) / height
        figure.add_bar(
            x=layers, y=list(sizes), yaxis=f"y{axis}", marker_color=colours.line, marker_line_width=0, hoverinfo="skip"
        )
        words = [
            tr("{layer}: {n} of {heads} heads removed", layer=name, n=gone, heads=size)
            for name, gone, size in zip(names, way.removed, sizes, strict=True)
        ]
        figure.add_bar(
            x=layers, y=list(way.removed), yaxis=f"y{axis}", marker_color=colours.pruned, marker_line_width=0,
            customdata=words, hovertemplate="%{customdata}<extra></extra>",
        )  # fmt: skip
        figure.update_layout({f"yaxis{axis}": {
            "domain": [max(0.0, top - ROW_PX / height), top], "range": [0, max(sizes)], "fixedrange": True,
            "tickvals": [0, max(sizes)], "showgrid": False, "anchor": "x",
        }})  # fmt: skip
        figure.add_annotation(
            text=way.words, x=0, xref="paper", xanchor="left", y=top, yref="paper", yanchor="bottom", showarrow=False,
            font={"size": look.CAPTION_PX + 1, "color": colours.text},
        )  # fmt: skip
    figure.update_xaxes(
        title_text=tr("layer · bars: heads removed, out of those it has"), fixedrange=True, anchor="free", position=0,
        tickmode="auto" if len(layers) > 12 else "array", tickvals=layers if len(layers) <= 12 else None, nticks=12,
    )  # fmt: skip
    return figure
