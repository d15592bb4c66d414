"""The figure of the lesson on why to prune. Pure: values in, figures out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from pruning.language import tr
from ui import theme as look
from ui.figure import figure_with_heading
from ui.theme import Theme

ROW_PX = 46


@dataclass(frozen=True)
class Left:
    """What is left of one thing.

    Attributes:
        share: Of the whole model's, a fraction; more than 1 where it grew.
        text: Both numbers, as they are written.
        low, high: The interval of the share, where it is measured.
    """

    name: str
    share: float
    text: str
    low: float | None = None
    high: float | None = None


def left_chart(rows: Sequence[Left], *, title: str, subtitle: str, theme: Theme = "light") -> go.Figure:
    """A bar for each thing: what is left of it in percent, its numbers above the bar; what is measured in teal."""
    colours = look.tokens(theme)
    figure = figure_with_heading(theme, title, subtitle, ROW_PX * len(rows))
    places = list(range(len(rows)))
    figure.add_bar(
        x=[100.0] * len(rows), y=places, orientation="h", width=0.3, marker_color=look.with_alpha(colours.accent, 0.14),
        hoverinfo="skip",
    )  # fmt: skip
    figure.add_bar(
        x=[100 * row.share for row in rows], y=places, orientation="h", width=0.3,
        marker_color=[colours.accent if row.low is None else colours.kept for row in rows],
        customdata=[f"{row.name}: {row.text}" for row in rows], hovertemplate="%{customdata}<extra></extra>",
    )  # fmt: skip
    for place, row in enumerate(rows):
        if row.low is not None and row.high is not None:
            figure.add_scatter(
                x=[100 * row.low, 100 * row.high], y=[place, place], mode="lines", hoverinfo="skip",
                line={"color": colours.text, "width": 1.5},
            )  # fmt: skip
        figure.add_annotation(
            text=f"{row.name}  <b>{row.text}</b>", x=0, xref="paper", xanchor="left", y=place - 0.17, yanchor="bottom",
            showarrow=False, font={"size": look.CAPTION_PX + 1, "color": colours.text},
        )  # fmt: skip
    reach = max(100.0, *(100 * (row.high or row.share) for row in rows))
    figure.update_xaxes(title_text=tr("% of the whole model"), range=[0, 1.02 * reach], fixedrange=True, nticks=6)
    figure.update_yaxes(range=[len(rows) - 0.6, -0.62], visible=False, fixedrange=True)
    return figure.update_layout(barmode="overlay")
