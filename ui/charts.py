"""Charts as pure functions: values in, plotly figures out. Nothing here imports streamlit or torch.

Draw them with ``st.plotly_chart(figure, theme=None, config=charts.CONFIG)``: the figure brings its own theme.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd  # here, not later: plotly would find it half imported by the thread that loads the model
import plotly.graph_objects as go

from pruning.language import tr
from pruning.masks import Mask
from pruning.statistics import Estimate
from ui import theme as look
from ui.figure import figure_with_heading, template
from ui.heatmap import NOTHING, Values, clicked_heads, describe_heatmap, heatmap
from ui.theme import Theme, Tokens

if TYPE_CHECKING:
    from pruning.importance.base import ImportanceMap

__all__ = [
    "CONFIG",
    "clicked_heads",
    "describe_heatmap",
    "heatmap",
    "histogram",
    "metric_sparkline",
    "metrics_intervals",
    "ranked_table",
]

CONFIG = {"displayModeBar": False, "scrollZoom": False, "doubleClick": False}


def histogram(
    values: Values,
    *,
    mask: Mask = NOTHING,
    threshold: float | None = None,
    title: str = "",
    subtitle: str = "",
    unit: str = "importance",
    theme: Theme = "light",
) -> go.Figure:
    """How importance is distributed: heads per bin, removed ones in the pruned colour, the threshold as a line.

    The subtitle says where the line is: words beside it would run into the heading on a narrow screen.

    Args:
        values: ``[site][head]``, ragged, in ``unit``.
    """
    colours = look.tokens(theme)
    pairs = [(v, (s, h) in mask.heads) for s, row in enumerate(values) for h, v in enumerate(row) if math.isfinite(v)]
    measured, removed = np.array([v for v, _ in pairs]), np.array([r for _, r in pairs], dtype=bool)
    drawn = threshold is not None and math.isfinite(threshold)
    subtitle = " · ".join(
        filter(None, [subtitle, tr("threshold {value}", value=look.number(threshold)) if drawn else ""])
    )
    edges = np.histogram_bin_edges(measured, bins=int(min(40, max(10, 2 * math.sqrt(max(1, len(pairs)))))))
    figure = figure_with_heading(theme, title, subtitle, 180, barmode="stack", bargap=0.08, hovermode="x")
    for name, chosen, colour in ((tr("removed"), removed, colours.pruned), (tr("kept"), ~removed, colours.accent)):
        counts = np.histogram(measured[chosen], bins=edges)[0]
        ranges = [tr("{low} to {high}", low=look.number(a), high=look.number(b)) for a, b in pairwise(edges)]
        figure.add_bar(
            x=((edges[:-1] + edges[1:]) / 2).tolist(), y=counts.tolist(), name=name, marker_color=colour,
            customdata=ranges, hovertemplate="%{y} " + name + ", %{customdata}<extra></extra>",
        )  # fmt: skip
    figure.update_xaxes(title_text=unit, fixedrange=True, nticks=6)
    figure.update_yaxes(title_text=tr("heads"), fixedrange=True, rangemode="tozero", tickformat="d", nticks=5)
    if drawn:
        figure.add_vline(x=threshold, line={"color": colours.text, "width": 1.5, "dash": "dot"})
    return figure


def metric_sparkline(history: Sequence[float], *, name: str = "loss", theme: Theme = "light") -> go.Figure:
    """A line the size of a word: how a metric moved over the last edits, the newest value marked."""
    colours = look.tokens(theme)
    figure = go.Figure(layout={"template": template(theme), "height": 40, "margin": dict.fromkeys("lrtb", 4)})
    steps = list(range(len(history)))
    hover = [f"{name} {look.number(value)}" for value in history]
    figure.add_scatter(
        x=steps, y=list(history), mode="lines", line={"color": colours.secondary, "width": 1.5}, text=hover,
        hovertemplate="%{text}<extra></extra>",
    )  # fmt: skip
    if history:
        figure.add_scatter(
            x=steps[-1:], y=list(history[-1:]), mode="markers", marker={"color": colours.accent, "size": 7},
            hoverinfo="skip", cliponaxis=False,
        )  # fmt: skip
    figure.update_xaxes(visible=False, fixedrange=True)
    figure.update_yaxes(visible=False, fixedrange=True)
    return figure


def metrics_intervals(
    differences: Sequence[tuple[str, Estimate]], *, title: str = "", subtitle: str = "", theme: Theme = "light"
) -> go.Figure:
    """Differences of metrics against the unpruned model, with their intervals, in percentage points.

    Args:
        differences: Name and difference as fractions (−0.008 is −0.8 points), drawn from top to bottom.
    """
    colours = look.tokens(theme)
    figure = figure_with_heading(theme, title, subtitle, 48 * len(differences))
    for row, (name, estimate) in enumerate(differences):
        _interval(figure, row, name, estimate, colours)
    ends = [100 * end for _, d in differences for end in (d.value, d.low, d.high) if math.isfinite(end)]
    reach = 1.1 * max([abs(end) for end in ends if end] or [1.0])
    figure.update_xaxes(title_text=tr("points"), range=[-reach, reach], fixedrange=True, nticks=5)
    figure.update_yaxes(range=[len(differences) - 0.6, -0.75], visible=False, fixedrange=True)
    return figure


def _interval(figure: go.Figure, row: int, name: str, estimate: Estimate, colours: Tokens) -> None:
    """One row: its name and figures as text, below them zero, the interval and the value."""
    value, low, high = (100 * end for end in (estimate.value, estimate.low, estimate.high))
    colour = colours.pruned if high < 0 else colours.kept if low > 0 else colours.secondary
    text = look.points(estimate)
    zero = {"color": colours.text, "width": 1}
    figure.add_scatter(x=[0, 0], y=[row - 0.18, row + 0.18], mode="lines", line=zero, hoverinfo="skip")
    if math.isfinite(low) and math.isfinite(high):
        line = {"color": colour, "width": 3}
        figure.add_scatter(x=[low, high], y=[row, row], mode="lines", line=line, hoverinfo="skip")
    figure.add_scatter(
        x=[value], y=[row], mode="markers", marker={"color": colour, "size": 10}, cliponaxis=False,
        hovertemplate=f"{name}: {text}<extra></extra>",
    )  # fmt: skip
    figure.add_annotation(
        text=f"{name}  <b>{text}</b>", x=0, xref="paper", xanchor="left", y=row - 0.24, yanchor="bottom",
        showarrow=False, font={"size": look.CAPTION_PX + 1, "color": colours.text},
    )  # fmt: skip


def ranked_table(
    importance: ImportanceMap, mask: Mask = NOTHING, site_names: Sequence[str] | None = None
) -> pd.DataFrame:
    """The heatmap's twin in rows, from the least to the most important head.

    Returns:
        Columns ``rank`` (from 1), ``site``, ``head``, ``importance``, ``standard error`` (only where there is one) and
        ``removed``.
    """
    names, errors = site_names or importance.sites, importance.standard_errors
    ranked = importance.ranked()
    columns: dict[str, list[object]] = {
        "rank": list(range(1, len(ranked) + 1)),
        "site": [names[site] for site, _ in ranked],
        "head": [head for _, head in ranked],
        "importance": [importance.values[site][head] for site, head in ranked],
    }
    if errors:
        columns["standard error"] = [errors[site][head] for site, head in ranked]
    return pd.DataFrame({**columns, "removed": [head in mask.heads for head in ranked]})
