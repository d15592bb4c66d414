"""The figure of the lesson on kinds of pruning. Pure: values in, figures out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from pruning.language import tr
from pruning.statistics import Estimate
from ui import theme as look
from ui.figure import figure_with_heading
from ui.theme import Theme

ROW_PX = 52
LEFT, RIGHT = (0.0, 0.44), (0.56, 1.0)


@dataclass(frozen=True)
class Bar:
    """One kind.

    Attributes:
        freed: Megabytes that really go.
        worse: Points of accuracy lost, or by how much the loss rises, with its interval.
        freed_text, worse_text: Both as they are written.
    """

    name: str
    freed: float
    worse: Estimate
    freed_text: str
    worse_text: str

    @property
    def text(self) -> str:
        return f"{self.name}: {self.freed_text} · {self.worse_text}"


def kinds_chart(
    bars: Sequence[Bar], *, unit: str, chosen: int, title: str, subtitle: str, theme: Theme = "light"
) -> go.Figure:
    """Left what each kind frees, right what it costs; the chosen kind in the accent.

    Args:
        unit: Of the right axis.
        chosen: Which bar the guess was about.
    """
    colours, places = look.tokens(theme), list(range(len(bars)))
    figure = figure_with_heading(theme, title, subtitle, ROW_PX * len(bars))
    faint = look.with_alpha(colours.accent, 0.45)
    figure.add_bar(
        x=[bar.freed for bar in bars], y=places, orientation="h", width=0.32,
        marker_color=[colours.accent if place == chosen else faint for place in places],
        customdata=[bar.text for bar in bars], hovertemplate="%{customdata}<extra></extra>",
    )  # fmt: skip
    for place, bar in enumerate(bars):
        for text, x in ((f"<b>{bar.name}</b>  {bar.freed_text}", LEFT[0]), (bar.worse_text, RIGHT[0])):
            figure.add_annotation(
                text=text, x=x, xref="paper", xanchor="left", y=place - 0.2, yanchor="bottom", showarrow=False,
                font={"size": look.CAPTION_PX, "color": colours.text},
            )  # fmt: skip
        figure.add_scatter(  # zero
            x=[0, 0], y=[place - 0.16, place + 0.16], xaxis="x2", mode="lines", hoverinfo="skip",
            line={"color": colours.text, "width": 1},
        )  # fmt: skip
        figure.add_scatter(
            x=[bar.worse.low, bar.worse.high], y=[place, place], xaxis="x2", mode="lines", hoverinfo="skip",
            line={"color": colours.pruned, "width": 3},
        )  # fmt: skip
    figure.add_scatter(
        x=[bar.worse.value for bar in bars], y=places, xaxis="x2", mode="markers", cliponaxis=False,
        marker={"color": colours.pruned, "size": 10}, customdata=[bar.text for bar in bars],
        hovertemplate="%{customdata}<extra></extra>",
    )  # fmt: skip
    axis = {"fixedrange": True, "nticks": 4}
    most = max([bar.freed for bar in bars], default=0.0) or 1.0
    figure.update_layout(
        xaxis={"domain": LEFT, "title": {"text": tr("MB really freed")}, "range": [0, 1.05 * most], **axis},
        xaxis2={"domain": RIGHT, "title": {"text": unit}, "anchor": "y", **axis},
    )  # fmt: skip
    figure.update_yaxes(range=[len(bars) - 0.6, -0.68], visible=False, fixedrange=True)
    return figure
