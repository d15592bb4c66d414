"""Small heatmaps of what two masks remove, side by side: pure functions, values in, figures out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

import plotly.graph_objects as go

from pruning.language import mark, tr
from pruning.masks import HeadId
from ui import theme as look
from ui.figure import figure_with_heading
from ui.heatmap import Values
from ui.naming import head_name
from ui.theme import Theme

ROW_PX, LEAST_ROW_PX, MAP_PX = 28, 6, 420
MOST_NAMES = 20
KINDS = {
    "a": mark("only A removes it"),
    "b": mark("only B removes it"),
    "both": mark("both remove it"),
    "neither": mark("both keep it"),
}


@dataclass(frozen=True)
class Grid:
    """The heads of a model as they are drawn: one row a site, ragged.

    Attributes:
        names: One a site.
        values: Importance, ``[site][head]``, which shades the cells; empty where none is known.
        ends: Of the shades, the same for every map.
    """

    heads_per_site: tuple[int, ...]
    names: Sequence[str]
    values: Values = ()
    ends: tuple[float, float] = (0.0, 1.0)
    reverse: bool = False
    signed: bool = False

    def head_ids(self) -> Iterable[HeadId]:
        return (HeadId(site, head) for site, heads in enumerate(self.heads_per_site) for head in range(heads))


def kinds(grid: Grid, a: frozenset[HeadId], b: frozenset[HeadId]) -> dict[HeadId, str]:
    """Of each head, which side removes it: ``a``, ``b``, ``both`` or ``neither``."""
    names = {(True, False): "a", (False, True): "b", (True, True): "both", (False, False): "neither"}
    return {head: names[head in a, head in b] for head in grid.head_ids()}


def side_map(grid: Grid, removed: frozenset[HeadId], *, title: str, theme: Theme = "light") -> go.Figure:
    """One mask: what it removes is crossed out; the shade is the importance of each head, where that is known."""
    colours = look.tokens(theme)
    figure = _figure(grid, title, theme)
    shades = look.diverging(theme) if grid.signed else look.sequential(theme)
    scale = list(shades) if grid.values else [colours.raised, colours.raised]
    low, high = grid.ends
    cells = {HeadId(s, h): float(v) for s, row in enumerate(grid.values) for h, v in enumerate(row)}
    flat = dict.fromkeys(grid.head_ids(), low)
    words = {head: tr("removed") if head in removed else tr("kept") for head in grid.head_ids()}
    if grid.values:
        said = {head: tr("importance {value}", value=look.number(cells[head])) for head in words}
        words = {head: f"{said[head]} · {word}" for head, word in words.items()}
    figure.add_trace(_cells(grid, cells or flat, words, scale, (low, high), grid.reverse))
    veil = dict.fromkeys(removed & set(flat), 0.0)
    cover = look.with_alpha(colours.ground, 0.62)
    figure.add_trace(_cells(grid, veil, {}, [cover, cover], (0.0, 1.0), False))
    figure.add_trace(_strokes(removed & set(flat), "x", colours.text if grid.signed else colours.pruned))
    return figure


def difference_map(
    grid: Grid, a: frozenset[HeadId], b: frozenset[HeadId], *, title: str, theme: Theme = "light"
) -> go.Figure:
    """Who removes each head: a falling stroke for A alone, a rising one for B alone, a cross for both."""
    colours, found = look.tokens(theme), kinds(grid, a, b)
    figure = _figure(grid, title, theme)
    fills = difference_fills(theme)
    codes = {head: float(list(KINDS).index(kind)) for head, kind in found.items()}
    scale = [(place, fills[kind]) for i, kind in enumerate(KINDS) for place in (i / 4, (i + 1) / 4)]
    figure.add_trace(_cells(grid, codes, {h: tr(KINDS[k]) for h, k in found.items()}, scale, (-0.5, 3.5), False))
    strokes = {"a": "\\", "b": "/", "both": "x"}
    for kind, stroke in strokes.items():
        figure.add_trace(_strokes({head for head, one in found.items() if one == kind}, stroke, colours.text))
    return figure


def difference_fills(theme: Theme) -> Mapping[str, str]:
    """The ground of each kind of cell; the strokes tell them apart without it."""
    colours = look.tokens(theme)
    return {
        "a": look.with_alpha(colours.secondary, 0.45),
        "b": look.with_alpha(colours.accent, 0.45),
        "both": look.with_alpha(colours.pruned, 0.3),
        "neither": colours.raised,
    }


def swatch(kind: str, theme: Theme) -> str:
    """The same cell as a small picture for a legend, as the address of an image."""
    colours = look.tokens(theme)
    falling, rising = "M3 3L13 13", "M3 13L13 3"
    path = {"a": falling, "b": rising, "both": f"{falling}{rising}", "neither": ""}[kind]
    picture = (
        f"<svg xmlns='http://www.w3.org/2000/svg' width='16' height='16'>"
        f"<rect x='.5' y='.5' width='15' height='15' fill='{difference_fills(theme)[kind]}' stroke='{colours.line}'/>"
        f"<path d='{path}' stroke='{colours.text}' stroke-width='1.5' fill='none'/></svg>"
    )
    return f"data:image/svg+xml,{quote(picture)}"


def _figure(grid: Grid, title: str, theme: Theme) -> go.Figure:
    rows, columns = len(grid.heads_per_site), max(grid.heads_per_site, default=0)
    row_px = min(ROW_PX, max(LEAST_ROW_PX, MAP_PX // max(1, rows)))
    figure = figure_with_heading(theme, title, "", rows * row_px)
    step = 1
    while rows > MOST_NAMES * step:
        step *= 2
    figure.update_xaxes(title_text=tr("head"), range=[-0.5, columns - 0.5], fixedrange=True, nticks=12, tick0=0)
    figure.update_yaxes(
        range=[rows - 0.5, -0.5], fixedrange=True, showgrid=False, tickmode="array",
        tickvals=list(range(0, rows, step)), ticktext=list(grid.names[::step]),
    )  # fmt: skip
    figure.update_layout(hovermode="closest")
    return figure


def _cells(
    grid: Grid,
    values: Mapping[HeadId, float],
    words: Mapping[HeadId, str],
    scale: Sequence[object],
    ends: tuple[float, float],
    reverse: bool,
) -> go.Heatmap:
    """Cells with a value; others, and those beyond a short row, stay empty."""
    columns = range(max(grid.heads_per_site, default=0))
    sites = range(len(grid.heads_per_site))
    text = [[f"{head_name(HeadId(s, h), grid.names)} · {words.get(HeadId(s, h), '')}" for h in columns] for s in sites]
    return go.Heatmap(
        z=[[values.get(HeadId(site, head)) for head in columns] for site in sites], zmin=ends[0], zmax=ends[1],
        colorscale=list(scale), reversescale=reverse, showscale=False, xgap=1, ygap=1, hoverongaps=False,
        text=text if words else None, hovertemplate="%{text}<extra></extra>" if words else None,
        hoverinfo=None if words else "skip",
    )  # fmt: skip


def _strokes(heads: Iterable[HeadId], stroke: str, colour: str) -> go.Scatter:
    """Strokes over cells in one path and in axis units, so that they grow with their cells."""
    x: list[float | None] = []
    y: list[float | None] = []
    for site, head in sorted(heads):
        for falling in {"\\": (True,), "/": (False,), "x": (True, False)}[stroke]:
            x += [head - 0.32, head + 0.32, None]
            y += [site - 0.32, site + 0.32, None] if falling else [site + 0.32, site - 0.32, None]
    return go.Scatter(x=x, y=y, mode="lines", line={"color": colour, "width": 1.5}, hoverinfo="skip")
