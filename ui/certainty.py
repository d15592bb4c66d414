"""How sure a ranking is: intervals and stability. Pure: figures, and the sentences that go with them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from pruning.importance.agreement import Intervals, head_intervals, spearman, subset_rows
from pruning.importance.base import ImportanceMap
from pruning.language import mark, tr
from pruning.scopes import UnitId
from pruning.statistics import Estimate
from ui import theme as look
from ui.figure import figure_with_heading
from ui.theme import Theme

SHOWN = 100  # units of the interval plot
SIZES, SEEDS = (32, 64, 128, 256, 512), (0, 1, 2, 3, 4)
ENOUGH = 0.95
NOUNS = {"heads": mark("head"), "neurons": mark("neuron"), "layers": mark("layer")}


@lru_cache(maxsize=64)
def intervals_of(importance: ImportanceMap) -> Intervals | None:
    """Each unit's 95% interval, ``[part][unit]``; ``None`` where the map is no mean over rows."""
    return head_intervals(importance)


def interchangeable(importance: ImportanceMap, intervals: Intervals, count: int) -> int:
    """How many of the ``count`` lowest units have an interval that overlaps with that of a unit above the line."""
    ranked = importance.ranked()
    ends = [_keep_ends(importance, intervals[part][unit]) for part, unit in ranked]
    lowest_kept = min((low for low, _ in ends[count:]), default=float("inf"))
    return sum(high >= lowest_kept for _, high in ends[:count])


def _keep_ends(importance: ImportanceMap, estimate: Estimate) -> tuple[float, float]:
    """An interval turned so that more is more important."""
    low, high = sorted((importance.sign * estimate.low, importance.sign * estimate.high))
    return low, high


def overlap_sentence(importance: ImportanceMap, intervals: Intervals, count: int) -> str:
    """What the intervals mean for the line between the lowest units and the others."""
    units, total = tr(importance.scope), len(importance.keep_values)
    if not 0 < count < total:
        return tr("Draw the line somewhere between the {units} above, and this says how sharp it is", units=units)
    found = interchangeable(importance, intervals, count)
    if not found:
        text = mark("None of the {k:,} lowest {units} could change places with a kept one: no intervals overlap")
        return tr(text, k=count, units=units)
    text = mark("{n:,} of the {k:,} lowest {units} could change places with a kept one: their 95% intervals overlap")
    return tr(text, n=found, k=count, units=units)


def interval_plot(
    importance: ImportanceMap,
    intervals: Intervals,
    *,
    names: Sequence[str],
    count: int,
    title: str = "",
    subtitle: str = "",
    unit: str = "importance",
    theme: Theme = "light",
) -> go.Figure:
    """Units by rank with their 95% intervals, those below the line in the pruned colour.

    Args:
        names: One a part.
        count: How many of the lowest lie below the line.
    """
    colours = look.tokens(theme)
    shown = importance.ranked()[:SHOWN]
    figure = figure_with_heading(theme, title, subtitle, 260)
    for first, last, colour in ((0, count, colours.pruned), (count, len(shown), colours.accent)):
        part = shown[first:last]
        estimates = [intervals[p][u] for p, u in part]
        figure.add_scatter(
            x=list(range(first + 1, first + len(part) + 1)), y=[e.value for e in estimates], mode="markers",
            marker={"color": colour, "size": 6},
            error_y={"type": "data", "symmetric": False, "array": [e.high - e.value for e in estimates],
                     "arrayminus": [e.value - e.low for e in estimates], "color": colour, "thickness": 2, "width": 0},
            text=[f"{unit_name(importance, one, names)} · {look.measured(e)}"
                  for one, e in zip(part, estimates, strict=True)],
            hovertemplate="%{text}<extra></extra>",
        )  # fmt: skip
    if 0 < count < len(shown):
        figure.add_vline(x=count + 0.5, line={"color": colours.text, "width": 1.5, "dash": "dot"})
    figure.update_xaxes(
        title_text=tr("rank, least important first"), range=[0, len(shown) + 1], fixedrange=True, nticks=8
    )
    figure.update_yaxes(title_text=unit, fixedrange=True, nticks=5)
    return figure


def unit_name(importance: ImportanceMap, unit: UnitId, names: Sequence[str]) -> str:
    """``Layer 2, head 5``; a layer is its own name."""
    part, index = unit
    return (
        names[part] if importance.scope == "layers" else f"{names[part]}{tr(', ')}{tr(NOUNS[importance.scope])} {index}"
    )


# Stability --------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=64)
def stability_of(importance: ImportanceMap) -> pd.DataFrame:
    """Spearman's correlation of rankings from fewer rows with the ranking from all.

    Rows are drawn without replacement; the ranking of a draw is that of the mean of its scores.

    Args:
        importance: With the scores of single rows.

    Returns:
        Columns ``size``, ``seed`` and ``spearman``: sizes below the number of rows, five draws of each.
    """
    assert importance.scores is not None
    full = importance.sign * importance.flat()[None]
    rows = []
    for size in (size for size in SIZES if size < len(importance.scores)):
        for seed in SEEDS:
            chosen = subset_rows(len(importance.scores), size, seed)
            keep = importance.sign * importance.scores[chosen].mean(axis=0, keepdims=True)
            rows.append((size, seed, float(spearman(keep, full)[0])))
    return pd.DataFrame(rows, columns=["size", "seed", "spearman"])


def rows_enough(stability: pd.DataFrame) -> int | None:
    """The smallest size from which on every draw agrees at least 0.95 with the ranking from all rows."""
    worst = stability.groupby("size")["spearman"].min()
    enough = [int(size) for size in worst.index if (worst[worst.index >= size] >= ENOUGH).all()]
    return min(enough) if enough else None


def stability_plot(
    stability: pd.DataFrame, *, title: str = "", subtitle: str = "", theme: Theme = "light"
) -> go.Figure:
    """One point a draw, a line through their medians, and the mark of 0.95."""
    colours = look.tokens(theme)
    figure = figure_with_heading(theme, title, subtitle, 220)
    positions = {size: place for place, size in enumerate(sorted(set(stability["size"])))}
    medians = stability.groupby("size")["spearman"].median()
    figure.add_hline(y=ENOUGH, line={"color": colours.secondary, "width": 1, "dash": "dot"})
    figure.add_scatter(
        x=[positions[size] for size in medians.index], y=medians.tolist(), mode="lines", hoverinfo="skip",
        line={"color": colours.accent, "width": 2},
    )  # fmt: skip
    spread = 0.05 * (stability["seed"] - np.mean(SEEDS))  # so that equal draws are seen side by side
    figure.add_scatter(
        x=(stability["size"].map(positions) + spread).tolist(), y=stability["spearman"].tolist(), mode="markers",
        marker={"color": colours.accent, "size": 7, "opacity": 0.75},
        text=[tr("{n:,} rows, draw {draw}: {value:.3f}", n=row.size_, draw=row.seed + 1, value=row.spearman)
              for row in stability.rename(columns={"size": "size_"}).itertuples()],
        hovertemplate="%{text}<extra></extra>",
    )  # fmt: skip
    figure.update_xaxes(
        title_text=tr("rows"), tickmode="array", tickvals=list(positions.values()), fixedrange=True,
        ticktext=[f"{size:,}" for size in positions], range=[-0.4, len(positions) - 0.6],
    )  # fmt: skip
    low = min(0.9, float(stability["spearman"].min()) - 0.02)
    figure.update_yaxes(title_text=tr("Spearman's ρ with all rows"), range=[low, 1.005], fixedrange=True, nticks=5)
    return figure
