"""What comes back without training, as a figure. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from pruning.language import mark, tr
from pruning.statistics import Estimate
from ui import theme as look
from ui.figure import figure_with_heading
from ui.theme import Theme

STATES = (mark("Whole model"), mark("Cut"), mark("Cut, with means"), mark("Cut, reconstructed"))


def recovery_chart(
    values: Sequence[Estimate], classes: bool, title: str, subtitle: str, theme: Theme = "light"
) -> go.Figure:
    """A point with its interval for each state, from top to bottom, and the whole model's value as a line.

    Args:
        values: Accuracies as fractions, or losses; in the order of `STATES`.
    """
    colours = look.tokens(theme)
    scale = 100 if classes else 1
    figure = figure_with_heading(theme, title, subtitle, 210)
    for row, (value, colour) in enumerate(
        zip(values, (colours.text, colours.pruned, colours.accent, colours.kept), strict=True)
    ):
        low, centre, high = (scale * end for end in (value.low, value.value, value.high))
        text = look.proportion(value) if classes else look.measured(value)
        figure.add_scatter(
            x=[low, high], y=[row, row], mode="lines", line={"color": colour, "width": 3}, hoverinfo="skip"
        )
        figure.add_scatter(
            x=[centre], y=[row], mode="markers", marker={"color": colour, "size": 11}, cliponaxis=False,
            hovertemplate=f"{tr(STATES[row])}: {text}<extra></extra>",
        )  # fmt: skip
        figure.add_annotation(
            text=f"{tr(STATES[row])}  <b>{look.percent(value.value) if classes else look.number(value.value)}</b>",
            x=0, xref="paper", xanchor="left", y=row - 0.2, yanchor="bottom", showarrow=False,
            font={"size": look.CAPTION_PX + 1, "color": colours.text},
        )  # fmt: skip
    whole = {"color": colours.secondary, "width": 1, "dash": "dot"}
    figure.add_vline(x=scale * values[0].value, line=whole)
    ends = [scale * end for value in values for end in (value.low, value.high)]
    pad = 0.06 * (max(ends) - min(ends) or 1)
    axis = tr("accuracy (%)") if classes else tr("loss")
    figure.update_xaxes(title_text=axis, range=[min(ends) - pad, max(ends) + pad], fixedrange=True, nticks=6)
    figure.update_yaxes(range=[len(values) - 0.6, -0.75], visible=False, fixedrange=True)
    return figure
