"""A plan against its limits, as a figure. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from pruning.language import tr
from pruning.statistics import Estimate
from ui import theme as look
from ui.figure import figure_with_heading
from ui.theme import Theme

ROW_PX = 62
Bar = tuple[str, Estimate, float, str, str]  # name, found, limit, state, what was found in words


def strategy_chart(bars: Sequence[Bar], title: str, subtitle: str, theme: Theme = "light") -> go.Figure:
    """One bar for each limit, its length the share of the limit that is used; whiskers are 95% intervals."""
    colours = look.tokens(theme)
    paint = {"met": colours.kept, "missed": colours.pruned, "open": colours.secondary}
    figure = figure_with_heading(theme, title, subtitle, 30 + ROW_PX * len(bars), bargap=0.62)
    shares = [tuple(100 * end / limit for end in (e.value, e.low, e.high)) for _, e, limit, _, _ in bars]
    figure.add_bar(
        y=list(range(len(bars))), x=[value for value, _, _ in shares], orientation="h",
        marker_color=[paint[state] for *_, state, _ in bars],
        error_x={"type": "data", "symmetric": False, "array": [high - value for value, _, high in shares],
                 "arrayminus": [value - low for value, low, _ in shares], "color": colours.text, "thickness": 1.5,
                 "width": 0},
        customdata=[f"{name}: {text}" for name, *_, text in bars], hovertemplate="%{customdata}<extra></extra>",
    )  # fmt: skip
    for row, (name, *_, text) in enumerate(bars):
        figure.add_annotation(
            text=f"{name}  <b>{text}</b>", x=0, xref="paper", xanchor="left", y=row - 0.22, yanchor="bottom",
            showarrow=False, font={"size": look.CAPTION_PX + 1, "color": colours.text}, bgcolor=colours.ground,
        )  # fmt: skip
    figure.add_vline(x=100, line={"color": colours.text, "width": 1.5, "dash": "dot"})
    ends = [end for share in shares for end in share]
    figure.update_xaxes(
        title_text=tr("share of the limit (%)"), range=[min(0, *ends) * 1.05, max(112, 1.05 * max(ends))],
        fixedrange=True, nticks=6,
    )  # fmt: skip
    figure.update_yaxes(range=[len(bars) - 0.5, -0.85], visible=False, fixedrange=True)
    return figure
