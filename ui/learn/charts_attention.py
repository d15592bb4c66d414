"""The figures of the lesson on attention. Pure: values in, figures out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from pruning.language import tr
from pruning.looking import Side
from pruning.statistics import Estimate
from ui import theme as look
from ui.figure import figure_with_heading
from ui.theme import Theme

MOST_TEXT, MOST_PATCHES = 24, 64  # tokens at a side; more could not be told apart
CURVE_PX = 190


def attention_grid(
    weights: np.ndarray, queries: Side, keys: Side, *, title: str, subtitle: str, theme: Theme = "light"
) -> go.Figure:
    """Who looks at whom: a row for each token that looks, its attention from 0 to 100%, its largest share as a number.

    Args:
        weights: ``(query, key)``; 0 where a token may not look.
    """
    rows, columns = (min(len(side), most_shown(side)) for side in (queries, keys))
    shown = weights[:rows, :columns]
    bottom_px = 84 if keys.grid is None else 44  # patches have no names to write
    figure = figure_with_heading(theme, title, subtitle, max(160, min(rows * 22, 480)), bottom_px)
    scale = look.sequential(theme)
    names = [shown_names(side, count) for side, count in ((queries, rows), (keys, columns))]
    figure.add_heatmap(
        z=[[100 * float(v) if v > 0 else None for v in row] for row in shown], zmin=0, zmax=100,
        colorscale=list(scale), showscale=False, xgap=1, ygap=1, hoverongaps=False,
        customdata=[[f"{query} → {key}" for key in names[1]] for query in names[0]],
        hovertemplate="%{customdata}: %{z:.1f}%<extra></extra>",
    )  # fmt: skip
    if queries.grid is None:
        figure.add_trace(_largest(weights, shown, scale, theme))
    for update, side, count, text, words in (
        (figure.update_xaxes, keys, columns, tr("looked at"), names[1]),
        (figure.update_yaxes, queries, rows, tr("looks"), names[0]),
    ):
        ticks = {"tickvals": list(range(count)), "ticktext": words} if side.grid is None else {"tickvals": []}
        update(title_text=text, tickmode="array", fixedrange=True, showgrid=False, **ticks)
    figure.update_xaxes(tickangle=-60)
    figure.update_yaxes(autorange="reversed")
    return figure


def most_shown(side: Side) -> int:
    """How many tokens of a side are drawn."""
    return MOST_TEXT if side.grid is None else MOST_PATCHES


def shown_names(side: Side, count: int | None = None) -> list[str]:
    """Tokens as plotly may write them, which takes what stands between angle brackets for a tag."""
    return [token.replace("&", "&amp;").replace("<", "&lt;") for token in side.tokens[:count]]


def _largest(weights: np.ndarray, shown: np.ndarray, scale: Sequence[str], theme: Theme) -> go.Scatter:
    """The largest share of each row, written into its cell where that is on the picture."""
    colours, cells = look.tokens(theme), []
    for row, values in enumerate(weights[: len(shown)]):
        column = int(values.argmax())
        if column < shown.shape[1] and values[column] > 0:
            cells.append((row, column, float(values[column])))
    grounds = [scale[round(value * (len(scale) - 1))] for _, _, value in cells]
    return go.Scatter(
        x=[column for _, column, _ in cells], y=[row for row, _, _ in cells], mode="text", hoverinfo="skip",
        text=[f"{100 * value:.0f}" for _, _, value in cells],
        textfont={
            "size": look.CAPTION_PX - 1,
            "color": [max((colours.text, colours.ground), key=lambda ink: look.contrast(ink, g)) for g in grounds],
        },
    )  # fmt: skip


def temperature_curve(
    temperatures: Sequence[float],
    shares: Sequence[Estimate],
    even: float,
    chosen: float,
    *,
    title: str,
    subtitle: str,
    theme: Theme = "light",
) -> go.Figure:
    """The share of the strongest token over the temperature, with its interval; the chosen temperature is marked.

    Args:
        shares, even: Fractions; ``even`` is the share where all tokens get the same.
    """
    colours, x = look.tokens(theme), list(temperatures)
    figure = figure_with_heading(theme, title, subtitle, CURVE_PX, 48)
    ends = [100 * one.low for one in shares], [100 * one.high for one in shares]
    figure.add_scatter(
        x=x + x[::-1], y=ends[1] + ends[0][::-1], mode="lines", line={"width": 0}, fill="toself", hoverinfo="skip",
        fillcolor=look.with_alpha(colours.accent, 0.18),
    )  # fmt: skip
    figure.add_scatter(
        x=x, y=[100 * one.value for one in shares], mode="lines+markers", line={"color": colours.accent, "width": 2},
        marker={"color": colours.accent, "size": [12 if one == chosen else 6 for one in temperatures]},
        text=[tr("temperature {t:g}: {share}", t=t, share=look.proportion(s)) for t, s in zip(x, shares, strict=True)],
        hovertemplate="%{text}<extra></extra>", cliponaxis=False,
    )  # fmt: skip
    figure.add_hline(y=100 * even, line={"color": colours.secondary, "width": 1, "dash": "dot"})
    figure.update_xaxes(
        type="log", title_text=tr("temperature (lower is harder)"), tickmode="array", tickvals=x,
        ticktext=[f"{one:g}" for one in x], fixedrange=True,
    )  # fmt: skip
    figure.update_yaxes(title_text=tr("% on the strongest"), range=[0, 103], fixedrange=True, nticks=5)
    return figure
