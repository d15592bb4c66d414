"""What is missed when one thing is left out, a bar for each. Pure: values in, a figure out."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from pruning.language import tr
from pruning.statistics import Estimate
from ui import theme as look
from ui.figure import figure_with_heading
from ui.theme import Theme

PLOT_PX, NAMED_UP_TO = 240, 16


def bars_chart(
    names: Sequence[str],
    values: Sequence[Estimate | None],
    top: int,
    *,
    title: str,
    subtitle: str,
    x_title: str,
    y_title: str,
    theme: Theme,
) -> go.Figure:
    """Draw the bars with their intervals; the most needed in the pruned colour, what holds zero in grey.

    Args:
        values: None where there is nothing to leave out.
        top: Position of the most needed.
    """
    colours, places = look.tokens(theme), list(range(len(names)))
    figure = figure_with_heading(theme, title, subtitle, PLOT_PX, bargap=0.3)
    shown = [one or Estimate(0.0, 0.0, 0.0) for one in values]
    inks = [
        colours.pruned if place == top else colours.secondary if one.low <= 0 <= one.high else colours.accent
        for place, one in zip(places, shown, strict=True)
    ]
    words = [tr("removed already") if one is None else look.measured(one) for one in values]
    figure.add_bar(
        x=places, y=[one.value for one in shown], marker_color=inks, marker_line_width=0,
        error_y={
            "type": "data", "symmetric": False, "color": colours.text, "thickness": 1.2, "width": 3,
            "array": [one.high - one.value for one in shown], "arrayminus": [one.value - one.low for one in shown],
        },
        customdata=list(zip(names, words, strict=True)),
        hovertemplate="%{customdata[0]}: %{customdata[1]}<extra></extra>",
    )  # fmt: skip
    figure.add_hline(y=0, line={"color": colours.text, "width": 1})
    few = len(names) <= NAMED_UP_TO
    figure.update_xaxes(
        title_text=x_title, fixedrange=True, tickmode="array" if few else "auto", tickvals=places if few else None,
        nticks=12,
    )  # fmt: skip
    figure.update_yaxes(title_text=y_title, fixedrange=True, nticks=6)
    return figure
