"""Two ways to choose what goes, over how much goes. Pure: values in, a figure out."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import plotly.graph_objects as go

from pruning.language import tr
from pruning.statistics import Estimate
from ui import theme as look
from ui.figure import figure_with_heading
from ui.theme import Theme
from ui.tradeoff import spread

PLOT_PX, LABEL_PX, LABEL_LETTERS, LINE_PX = 260, 92, 14, 17


def pair_chart(
    shares: Sequence[float],
    lines: Sequence[tuple[str, Sequence[Estimate]]],
    whole: Estimate,
    *,
    title: str,
    subtitle: str,
    x_title: str,
    y_title: str,
    percent: bool,
    theme: Theme,
) -> go.Figure:
    """Draw lines from the whole model on, with the interval at each cut, and their names at their ends.

    Args:
        shares: That are removed, 0 to 1, ascending.
        lines: Name and values; the first in the pruned colour, the second in the kept one.
        percent: Values are fractions that are shown in percent.
    """
    colours, scale = look.tokens(theme), 100 if percent else 1
    figure = figure_with_heading(theme, title, subtitle, PLOT_PX, hovermode="closest")
    figure.update_layout(margin_r=LABEL_PX)
    level = {"color": colours.secondary, "width": 1, "dash": "dot"}
    figure.add_hline(y=scale * whole.value, line=level, layer="below")
    for (name, values), colour, width in zip(lines, (colours.pruned, colours.kept), (5.0, 2.0), strict=True):
        _line(figure, name, [0.0, *shares], [whole, *values], colour, scale, width)  # a thin one shows a wide one below
    ends = [*((name, values[-1].value) for name, values in lines), (tr("Whole model"), whole.value)]
    everything = [end for _, values in lines for one in (whole, *values) for end in (one.low, one.high)]
    low, high = scale * min(everything), scale * max(everything)
    air = 0.06 * (high - low) or 1.0
    _names(figure, [(name, scale * value) for name, value in ends], (low - air, high + air), colours)
    figure.update_xaxes(
        title_text=x_title, tickvals=[0, *(100 * share for share in shares)], fixedrange=True,
        range=[-4, 100 * shares[-1] + 4],
    )  # fmt: skip
    figure.update_yaxes(title_text=y_title, range=[low - air, high + air], fixedrange=True, nticks=6)
    return figure


def _line(
    figure: go.Figure,
    name: str,
    shares: Sequence[float],
    values: Sequence[Estimate],
    colour: str,
    scale: int,
    width: float,
) -> None:
    text = look.proportion if scale == 100 else look.measured
    figure.add_scatter(
        x=[100 * share for share in shares], y=[scale * one.value for one in values], mode="lines+markers",
        line={"color": colour, "width": width}, marker={"color": colour, "size": 6 + width}, cliponaxis=False,
        error_y={
            "type": "data", "symmetric": False, "color": look.with_alpha(colour, 0.5), "thickness": 1.5, "width": 0,
            "array": [0, *(scale * (one.high - one.value) for one in values[1:])],
            "arrayminus": [0, *(scale * (one.value - one.low) for one in values[1:])],
        },
        customdata=[text(one) for one in values], hovertemplate=name + " · %{x:.0f}%: %{customdata}<extra></extra>",
    )  # fmt: skip


def _names(
    figure: go.Figure, ends: Sequence[tuple[str, float]], span: tuple[float, float], colours: look.Tokens
) -> None:
    """Names beside the right edge, moved apart where lines end close together."""
    inks = [colours.pruned, colours.kept, colours.secondary]
    placed = sorted(zip(ends, inks, strict=True), key=lambda one: one[0][1])
    texts = [textwrap.wrap(name, LABEL_LETTERS) for (name, _), _ in placed]
    px = PLOT_PX / (span[1] - span[0])
    feet = spread(
        [value * px for (_, value), _ in placed], [LINE_PX * len(text) for text in texts], span[0] * px, PLOT_PX
    )
    for (_, ink), text, foot in zip(placed, texts, feet, strict=True):
        figure.add_annotation(
            text="<br>".join(text), x=1, xref="paper", xanchor="left", xshift=6, y=foot / px, yanchor="middle",
            align="left", showarrow=False, font={"size": look.CAPTION_PX, "color": ink},
        )  # fmt: skip
