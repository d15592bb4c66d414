"""Importance maps side by side: small pictures, and how far they agree. Pure functions: values in, figures out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import plotly.graph_objects as go

from pruning.language import mark, tr
from pruning.scopes import Scope
from pruning.statistics import Estimate
from ui import theme as look
from ui.figure import figure_with_heading, template
from ui.heatmap import Values, value_range
from ui.theme import Theme

SMALL_PX, SMALL_BINS, BINS = 96, 24, 48
MATRIX_CELL_PX, TEXT_MOST = 30, 24  # above so many criteria the numbers of a cell run into each other


def small_map(
    values: Values, *, scope: Scope = "heads", signed: bool = False, reverse: bool = False, theme: Theme = "light"
) -> go.Figure:
    """A map the size of a stamp, on its own colour scale; the name stands outside.

    Args:
        values: ``[part][unit]``; thousands of neurons are drawn as the distribution in each block.
    """
    figure = go.Figure(
        layout={
            "template": template(theme),
            "height": SMALL_PX,
            "margin": dict.fromkeys("lrtb", 0),
            "hovermode": "closest",
        }
    )
    if scope == "neurons":
        figure.add_trace(_strips(values, theme, SMALL_BINS)[0])
    else:
        low, high = value_range(values, signed)
        columns = max(map(len, values), default=0)
        cells = [[v if math.isfinite(v) else None for v in row] + [None] * (columns - len(row)) for row in values]
        what = tr("head") + " %{x}" if scope == "heads" else tr("importance")
        hover = f"%{{y}}, {what}: %{{z:.3g}}<extra></extra>"
        figure.add_heatmap(
            z=cells, zmin=low, zmax=high, reversescale=reverse, showscale=False, xgap=1, ygap=1, hovertemplate=hover,
            colorscale=list(look.diverging(theme) if signed else look.sequential(theme)), hoverongaps=False,
            y=[tr("Layer {n}", n=row) for row in range(len(values))],
        )  # fmt: skip
    figure.update_xaxes(visible=False, fixedrange=True)
    figure.update_yaxes(visible=False, fixedrange=True, autorange="reversed")
    return figure


# Neurons and layers -----------------------------------------------------------------------------------------------


def neuron_strips(
    values: Values,
    *,
    names: Sequence[str],
    title: str = "",
    subtitle: str = "",
    unit: str = "importance",
    theme: Theme = "light",
) -> go.Figure:
    """How the importance of neurons is distributed in each block: one strip a block, darker where more of them lie.

    Args:
        values: ``[block][neuron]``, in ``unit``.
        names: One a block.
    """
    height = min(44 * len(values), 560)
    figure = figure_with_heading(theme, title, subtitle, height)
    heat, beyond = _strips(values, theme, BINS, names)
    figure.add_trace(heat)
    text = mark("{unit} (the last bin holds {n:,} more extreme neurons)")
    axis = tr(text, unit=unit, n=beyond) if beyond else unit
    figure.update_xaxes(title_text=axis, fixedrange=True, nticks=6)
    figure.update_yaxes(fixedrange=True, autorange="reversed", showgrid=False)
    return figure


def _strips(values: Values, theme: Theme, bins: int, names: Sequence[str] = ()) -> tuple[go.Heatmap, int]:
    """The share of a block's neurons in each bin, and how many lie beyond the last edge.

    A few neurons are often many times more important than all others, so the axis ends at the 99th percentile.
    """
    names = names or [tr("Block {n}", n=row) for row in range(len(values))]
    flat = np.array([v for row in values for v in row if math.isfinite(v)] or [0.0])
    low, high = float(flat.min()), float(np.quantile(flat, 0.99))
    edges = np.linspace(low, high if high > low else low + 1.0, bins + 1)
    shares = [
        np.histogram(np.clip(np.asarray(row, float), edges[0], edges[-1]), edges)[0] / max(1, len(row))
        for row in values
    ]
    ends = [tr("{low} to {high}", low=look.number(a), high=look.number(b)) for a, b in pairwise(edges)]

    def about(name: str, share: float, end: str) -> str:
        return tr("{block}: {share} at {range}", block=name, share=look.percent(share), range=end)

    hover = [
        [about(name, share, end) for share, end in zip(row, ends, strict=True)]
        for name, row in zip(names, shares, strict=True)
    ]
    heat = go.Heatmap(
        z=[np.sqrt(row).tolist() for row in shares], x=((edges[:-1] + edges[1:]) / 2).tolist(), y=list(names),
        text=hover, hovertemplate="%{text}<extra></extra>", colorscale=list(look.sequential(theme)), showscale=False,
        zmin=0, ygap=3,
    )  # fmt: skip  # the root of the share, so that the thin tails are seen, too
    return heat, int((flat > edges[-1]).sum())


def layer_bars(
    values: Sequence[float],
    *,
    names: Sequence[str],
    intervals: Sequence[Estimate] | None = None,
    removed: Sequence[bool] = (),
    title: str = "",
    subtitle: str = "",
    unit: str = "importance",
    theme: Theme = "light",
) -> go.Figure:
    """Importance of whole layers, the first at the top, with 95% intervals where there are any.

    Args:
        values: ``[layer]``, in ``unit``.
        removed: Whether each layer is; none where it is empty.
    """
    colours = look.tokens(theme)
    figure = figure_with_heading(theme, title, subtitle, min(44 * max(2, len(values)), 700))
    gone = removed or [False] * len(values)
    figure.add_bar(
        x=list(values), y=list(names), orientation="h", error_x=_bars(values, intervals, colours.text, 2),
        marker_color=[look.with_alpha(colours.pruned if one else colours.accent, 0.6) for one in gone],
        text=[look.measured(i) for i in intervals] if intervals else [look.number(v) for v in values],
        textposition="none", hovertemplate="%{y}: %{text}<extra></extra>",
    )  # fmt: skip
    figure.update_xaxes(title_text=unit, fixedrange=True, nticks=6, zeroline=True, zerolinecolor=colours.secondary)
    figure.update_yaxes(fixedrange=True, autorange="reversed", showgrid=False)
    figure.update_layout(bargap=0.35)
    return figure


def _bars(
    values: Sequence[float], intervals: Sequence[Estimate] | None, colour: str, width: float
) -> dict[str, object] | None:
    """Error bars to both ends of each interval."""
    if intervals is None:
        return None
    up = [i.high - v for v, i in zip(values, intervals, strict=True)]
    down = [v - i.low for v, i in zip(values, intervals, strict=True)]
    return {"type": "data", "symmetric": False, "array": up, "arrayminus": down,
            "color": colour, "thickness": width, "width": 0}  # fmt: skip


# Agreement --------------------------------------------------------------------------------------------------------


def agreement_matrix(
    values: np.ndarray,
    *,
    names: Sequence[str],
    hover: Sequence[Sequence[str]],
    title: str = "",
    subtitle: str = "",
    lowest: float = -1.0,
    theme: Theme = "light",
) -> go.Figure:
    """How far every two criteria agree, as colour and as a number.

    Args:
        values: ``(criterion, criterion)``, from ``lowest`` to 1; nan where a criterion tells no units apart.
        hover: What each cell says, ``[row][column]``.
        lowest: -1 for a correlation, drawn on a diverging scale; 0 for a share.
    """
    count = len(names)
    figure = figure_with_heading(theme, title, subtitle, max(MATRIX_CELL_PX * count, 120), 150)
    cells = [[float(v) if math.isfinite(v) else None for v in row] for row in values]
    scale = look.diverging(theme) if lowest < 0 else look.sequential(theme)
    figure.add_heatmap(
        z=cells, zmin=lowest, zmax=1.0, colorscale=list(scale), showscale=False, xgap=1, ygap=1,
        x=list(range(count)), y=list(range(count)), customdata=[list(row) for row in hover],
        hovertemplate="%{customdata}<extra></extra>",
    )  # fmt: skip
    if count <= TEXT_MOST:
        figure.add_trace(_numbers(values, lowest, scale, theme))
    ticks = {"tickmode": "array", "tickvals": list(range(count)), "ticktext": list(names), "fixedrange": True}
    figure.update_xaxes(tickangle=-90, **ticks)
    figure.update_yaxes(autorange="reversed", showgrid=False, **ticks)
    return figure


def _numbers(values: np.ndarray, lowest: float, scale: Sequence[str], theme: Theme) -> go.Scatter:
    """Each cell's number in whichever of text and ground stands out more from the cell's colour."""
    colours = look.tokens(theme)
    known = [(i, j, float(v)) for i, row in enumerate(values) for j, v in enumerate(row) if math.isfinite(v)]
    cells = [scale[round((max(v, lowest) - lowest) / (1 - lowest) * (len(scale) - 1))] for _, _, v in known]
    fonts = [max((colours.text, colours.ground), key=lambda font: look.contrast(font, cell)) for cell in cells]
    return go.Scatter(
        x=[j for _, j, _ in known], y=[i for i, _, _ in known], text=[_short(v) for _, _, v in known], mode="text",
        textfont={"size": look.CAPTION_PX - 1, "color": fonts}, hoverinfo="skip",
    )  # fmt: skip


def _short(value: float) -> str:
    """Two decimals without the zero in front, so that a small cell holds them.

    >>> _short(0.943), _short(-0.05), _short(1.0), _short(float("nan"))
    ('.94', '−.05', '1', '')
    """
    if not math.isfinite(value):
        return ""
    text = f"{value:.2f}"
    if text in ("1.00", "-1.00"):
        return text[:-3].replace("-", look.MINUS)
    return text.replace("-0.", f"{look.MINUS}.").removeprefix("0") if float(text) else "0"


def rank_scatter(
    ranks: tuple[Sequence[float], Sequence[float]],
    *,
    names: tuple[str, str],
    hover: Sequence[str],
    k: int,
    count: int,
    title: str = "",
    subtitle: str = "",
    theme: Theme = "light",
) -> go.Figure:
    """One point a unit: its rank under one criterion against its rank under another.

    Args:
        ranks: From 1, the least important, under each criterion.
        count: How many units there are, of which some may be left out.
        k: The corner of the lowest ``k`` under both is marked: what both would remove.
    """
    colours = look.tokens(theme)
    figure = figure_with_heading(theme, title, subtitle, 320)
    corner = {"color": colours.pruned, "width": 1, "dash": "dot"}
    figure.add_shape(type="rect", x0=0.5, y0=0.5, x1=k + 0.5, y1=k + 0.5, line=corner)
    both = [x <= k and y <= k for x, y in zip(*ranks, strict=True)]
    figure.add_scatter(
        x=list(ranks[0]), y=list(ranks[1]), mode="markers", text=list(hover), hovertemplate="%{text}<extra></extra>",
        marker={"size": 7 if count <= 200 else 4, "opacity": 0.8,
                "color": [colours.pruned if one else colours.accent for one in both]},
    )  # fmt: skip
    ends = [0, count + 1]
    figure.update_xaxes(title_text=tr("rank: {criterion}", criterion=names[0]), range=ends, fixedrange=True, nticks=6)
    figure.update_yaxes(title_text=tr("rank: {criterion}", criterion=names[1]), range=ends, fixedrange=True, nticks=6)
    return figure
