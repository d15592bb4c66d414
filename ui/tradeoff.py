"""The trade-off: what is kept against what is left, a line for each way to prune. Pure: a table in, a figure out.

The tables are those of `pruning.sweep`; the row whose mask removes nothing is the whole model.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
import plotly.graph_objects as go

from pruning.language import tr
from pruning.sweep import pareto_front
from ui import theme as look
from ui.figure import figure_with_heading
from ui.theme import Theme, Tokens
from ui.tradeoff_text import (
    BANDS_UP_TO,
    CONTROLS,
    KEPT,
    KEY,
    SAVED,
    WHOLE,
    Key,
    hover_text,
    keys_of,
    label_among,
    whole_row,
    with_shares,
)

PLOT_PX, LABEL_PX, LABEL_GAP_PX, LABEL_LETTERS = 400, 126, 17, 17
COLOURS: dict[str, tuple[str, ...]] = {  # the chart colours of the theme; each line also has its name at its end
    "light": ("#3451C7", "#B3541E", "#0F766E", "#8A3FA0", "#6E6400", "#B0305C", "#1F6F9F"),
    "dark": ("#93A8FF", "#F2A36B", "#5FD0C2", "#D69BE8", "#D9C65B", "#F48FB1", "#7CC4F0"),
}
DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
SYMBOLS = {"none": "circle", "mean": "diamond", "reconstruct": "square"}


@dataclass(frozen=True)
class Line:
    """One way to prune: its rows, several at each budget where orders were drawn by lot.

    Attributes:
        label: What tells it from the other lines.
    """

    key: Key
    label: str
    colour: str
    dash: str
    rows: pd.DataFrame

    @property
    def drawn(self) -> bool:
        """Whether there are several seeds."""
        return self.rows["seed"].nunique() > 1


def lines_of(table: pd.DataFrame, theme: Theme = "light") -> list[Line]:
    """The lines of a table in the order of its rows; colour says the criterion, dashes the rest."""
    keys, grouped = keys_of(table), table.groupby(list(KEY), sort=False)
    criteria = [name for name in dict.fromkeys(key[1] for key in keys) if name not in CONTROLS]
    ways = list(dict.fromkeys((strategy, compensation) for strategy, _, compensation in keys))
    colours = {name: COLOURS[theme][i % len(COLOURS[theme])] for i, name in enumerate(criteria)}
    found = []
    for key in keys:
        colour = colours.get(key[1], look.tokens(theme).secondary)
        dash = DASHES[ways.index((key[0], key[2])) % len(DASHES)]
        found.append(Line(key, label_among(key, keys), colour, dash, grouped.get_group(key)))
    return found


def tradeoff(
    table: pd.DataFrame,
    *,
    saved: str = "heads",
    kept: str = "accuracy",
    front: bool = False,
    chosen: int | None = None,
    title: str = "",
    subtitle: str = "",
    theme: Theme = "light",
) -> go.Figure:
    """Draw the table; every marker carries the position of its row in ``customdata``.

    Args:
        saved: Column of `SAVED`; the axis is its share of the whole model in percent, less to the right.
        kept: Column of `KEPT`.
        front: Draw the Pareto front, too.
        chosen: Position of the row to ring.
    """
    colours = look.tokens(theme)
    table = with_shares(table, saved, kept)
    lines = lines_of(table, theme)
    texts = {line.key: textwrap.wrap(line.label, LABEL_LETTERS) for line in lines}
    named = LABEL_GAP_PX * (1 + sum(map(len, texts.values()))) <= PLOT_PX  # beside their ends; in a legend otherwise
    bottom = 48 if named else 80 + 20 * math.ceil(len(lines) / 2)
    figure = figure_with_heading(theme, title, subtitle, PLOT_PX, bottom, hovermode="closest", dragmode="pan")
    low, high = _range(table, kept)
    for line in lines:
        if line.drawn or len(lines) <= BANDS_UP_TO:
            _draw_band(figure, line)
    _draw_whole(figure, table, kept, colours)
    if front:
        _draw_front(figure, table, saved, kept, colours)
    for line in lines:
        _draw_line(figure, line, saved, kept, bars=len(lines) > BANDS_UP_TO and not line.drawn)
    if chosen is not None and chosen in table.index:
        _draw_ring(figure, table.loc[chosen], colours)
    if named:
        _draw_labels(figure, lines, texts, table, kept, (low, high), colours)
    else:
        legend = {"orientation": "h", "x": 0, "y": -60 / PLOT_PX, "yanchor": "top", "itemclick": False}
        figure.update_layout(
            showlegend=True, legend={**legend, "itemdoubleclick": False, "font": {"size": look.CAPTION_PX}}
        )
    figure.update_xaxes(
        title_text=tr("{what} left, % of the whole model", what=tr(SAVED[saved])), fixedrange=True, nticks=8,
        range=[101.5, float(table["x"].min()) - 2],
    )  # fmt: skip
    percent, log, name = kept == "accuracy", kept == "perplexity", tr(KEPT[kept]).lower()
    figure.update_yaxes(
        title_text=tr("{metric}, log scale", metric=name) if log else f"{name}, %" if percent else name,
        fixedrange=True, type="log" if log else "linear", range=[low, high], nticks=7,
    )  # fmt: skip
    return figure


def _range(table: pd.DataFrame, kept: str) -> tuple[float, float]:
    """From the lowest to the highest value with some air; the ends of wide intervals may leave the picture."""
    values = table["y"].map(math.log10) if kept == "perplexity" else table["y"]
    low, high = float(values.min()), float(values.max())
    air = 0.1 * (high - low) or 0.05 * abs(high) or 1.0
    return low - air, high + air


def _draw_band(figure: go.Figure, line: Line) -> None:
    """The 95% interval; where orders were drawn by lot, the span from the worst to the best of them."""
    low, high = ("y", "y") if line.drawn else ("low", "high")
    ends = line.rows.groupby("share").agg(x=("x", "mean"), low=(low, "min"), high=(high, "max")).sort_values("x")
    figure.add_scatter(
        x=[*ends["x"], *ends["x"][::-1]], y=[*ends["low"], *ends["high"][::-1]], fill="toself", mode="lines",
        line={"width": 0}, fillcolor=look.with_alpha(line.colour, 0.11), hoverinfo="skip",
        showlegend=False,
    )  # fmt: skip


def _draw_whole(figure: go.Figure, table: pd.DataFrame, kept: str, colours: Tokens) -> None:
    """The whole model as a level with its interval."""
    whole = whole_row(table)
    figure.add_hrect(
        y0=whole["low"], y1=whole["high"], fillcolor=look.with_alpha(colours.secondary, 0.10), line_width=0,
        layer="below",
    )  # fmt: skip
    figure.add_hline(y=whole["y"], line={"color": colours.secondary, "width": 1, "dash": "dot"}, layer="below")


def _draw_front(figure: go.Figure, table: pd.DataFrame, saved: str, kept: str, colours: Tokens) -> None:
    """The plans that no other beats, as steps: so much is kept at least, with so much left."""
    best = table[pareto_front(table, saved, kept)].drop_duplicates(["x", "y"]).sort_values("x")
    figure.add_scatter(
        x=best["x"].tolist(), y=best["y"].tolist(), mode="lines+markers", hoverinfo="skip",
        name=tr("Pareto front"),
        line={"color": colours.text, "width": 1.5, "shape": "hv"},
        marker={"size": 15, "color": "rgba(0,0,0,0)", "line": {"color": colours.text, "width": 1.5}},
    )  # fmt: skip


def _draw_line(figure: go.Figure, line: Line, saved: str, kept: str, bars: bool) -> None:
    """The line through the means of each budget, and a marker for every plan, with its interval as a bar if asked."""
    middle = line.rows.groupby("share")[["x", "y"]].mean().sort_values("x")
    figure.add_scatter(
        x=middle["x"].tolist(), y=middle["y"].tolist(), mode="lines", hoverinfo="skip", name=line.label,
        line={"color": line.colour, "width": 2, "dash": line.dash},
    )  # fmt: skip
    plans = line.rows[line.rows["mask"] != WHOLE]
    marker = {"color": line.colour, "size": 6 if line.drawn else 9, "symbol": SYMBOLS[line.key[2]]}
    interval = {
        "type": "data", "symmetric": False, "array": (plans["high"] - plans["y"]).tolist(), "width": 0, "thickness": 1,
        "arrayminus": (plans["y"] - plans["low"]).tolist(), "color": look.with_alpha(line.colour, 0.4),
    }  # fmt: skip
    figure.add_scatter(
        x=plans["x"].tolist(), y=plans["y"].tolist(), mode="markers", marker=marker, showlegend=False,
        error_y=interval if bars else None,
        customdata=[int(i) for i in plans.index],
        text=[hover_text(row, saved, kept) for _, row in plans.iterrows()],
        hovertemplate="%{text}<extra></extra>", unselected={"marker": {"opacity": 1}},
    )  # fmt: skip


def _draw_ring(figure: go.Figure, row: pd.Series, colours: Tokens) -> None:
    ring = {"size": 18, "color": "rgba(0,0,0,0)", "line": {"color": colours.accent, "width": 2}}
    figure.add_scatter(x=[row["x"]], y=[row["y"]], mode="markers", marker=ring, hoverinfo="skip", showlegend=False)


def _draw_labels(
    figure: go.Figure,
    lines: Sequence[Line],
    texts: Mapping[Key, list[str]],
    table: pd.DataFrame,
    kept: str,
    span: tuple[float, float],
    colours: Tokens,
) -> None:
    """The name of each line beside its end, moved apart where ends are close."""
    scale = math.log10 if kept == "perplexity" else float
    places = [(scale(whole_row(table)["y"]), textwrap.wrap(tr("Whole model"), LABEL_LETTERS), colours.secondary)]
    for line in lines:
        end = line.rows[line.rows["x"] == line.rows["x"].min()]
        places.append((scale(end["y"].mean()), texts[line.key], line.colour))
    places.sort()
    px = PLOT_PX / (span[1] - span[0])
    heights = [LABEL_GAP_PX * len(text) for _, text, _ in places]
    feet = spread([middle * px for middle, _, _ in places], heights, span[0] * px, PLOT_PX)
    figure.update_layout(margin_r=LABEL_PX)
    for (_, text, colour), foot in zip(places, feet, strict=True):
        figure.add_annotation(
            text="<br>".join(text), x=1, xref="paper", xanchor="left", xshift=6, y=foot / px, yanchor="middle",
            align="left", showarrow=False, font={"size": look.CAPTION_PX, "color": colour},
        )  # fmt: skip


def spread(middles: Sequence[float], heights: Sequence[float], foot: float, height: float) -> list[float]:
    """Move labels, given from the lowest, so that none covers another and all are inside; all in the same unit.

    >>> spread([10.0, 12.0, 50.0], [10.0, 10.0, 10.0], 0.0, 100.0)
    [10.0, 20.0, 50.0]
    >>> spread([95.0, 99.0], [10.0, 10.0], 0.0, 100.0)
    [85.0, 95.0]
    """
    placed: list[float] = []
    edge = foot
    for middle, size in zip(middles, heights, strict=True):
        placed.append(max(middle, edge + size / 2))
        edge = placed[-1] + size / 2
    edge = foot + height
    for i in reversed(range(len(placed))):
        placed[i] = min(placed[i], edge - heights[i] / 2)
        edge = placed[i] - heights[i] / 2
    return placed


def clicked_row(selection: object, rows: int) -> int | None:
    """The position of the row that a click means; ``None`` where it means none."""
    points = selection.get("points") if hasattr(selection, "get") else None
    for point in points if isinstance(points, list | tuple) else ():
        found = point.get("customdata") if hasattr(point, "get") else None
        found = found[0] if isinstance(found, list | tuple) and found else found
        if isinstance(found, int) and not isinstance(found, bool) and 0 <= found < rows:
            return found
    return None
