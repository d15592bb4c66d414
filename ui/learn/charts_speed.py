"""The clock beside the promise, as a figure. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from pruning.language import mark, tr
from pruning.statistics import Estimate
from ui import theme as look
from ui.figure import figure_with_heading
from ui.theme import Theme

WAYS = {"whole": mark("Whole model"), "masked": mark("Masked"), "cut": mark("Cut")}


def speed_chart(
    milliseconds: Sequence[Estimate], promise: float, title: str, subtitle: str, theme: Theme = "light"
) -> go.Figure:
    """A bar for each way with its interval, and a mark where the MACs say that the cut model should be.

    Args:
        milliseconds: In the order of `WAYS`.
        promise: How many times as fast the cut model is by its MACs.
    """
    colours = look.tokens(theme)
    names = [tr(label) for label in WAYS.values()]
    figure = figure_with_heading(theme, title, subtitle, 190, bargap=0.35)
    figure.add_bar(
        y=names, x=[one.value for one in milliseconds], orientation="h",
        marker_color=[colours.secondary, colours.pruned, colours.kept],
        error_x={"type": "data", "symmetric": False, "array": [one.high - one.value for one in milliseconds],
                 "arrayminus": [one.value - one.low for one in milliseconds], "color": colours.text, "thickness": 1.5},
        customdata=[look.measured(one, "ms") for one in milliseconds],
        hovertemplate="%{y}: %{customdata}<extra></extra>",
    )  # fmt: skip
    promised = milliseconds[0].value / promise
    figure.add_scatter(
        x=[promised], y=[names[-1]], mode="markers", cliponaxis=False,
        marker={"symbol": "line-ns", "size": 40, "line": {"color": colours.accent, "width": 3}},
        hovertemplate=tr("promised by MACs: {value} ms", value=look.number(promised)) + "<extra></extra>",
    )  # fmt: skip
    figure.add_annotation(
        x=promised, y=names[-1], text=tr("promised by MACs"), showarrow=False, yshift=-25, yanchor="top",
        font={"color": colours.accent, "size": look.CAPTION_PX},
    )  # fmt: skip
    most = max(promised, *(one.high for one in milliseconds))
    figure.update_xaxes(title_text=tr("time of a batch (ms)"), range=[0, 1.08 * most], fixedrange=True, nticks=6)
    figure.update_yaxes(range=[len(names) - 0.05, -0.6], fixedrange=True)
    return figure
