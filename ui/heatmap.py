"""The heatmap of head importance, what it says in words, and which heads a click on it means. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import plotly.graph_objects as go

from pruning.language import mark, tr, trn
from pruning.masks import HeadId, Mask
from ui import theme as look
from ui.figure import figure_with_heading
from ui.theme import Theme, Tokens, Words

Values = Sequence[Sequence[float]]  # [site][head], ragged

NOTHING = Mask()  # a default; immutable
CLICK_CURVE = 1  # index of the transparent trace that takes the clicks
LARGEST_HEATMAP_PX = 760


def heatmap(
    values: Values,
    *,
    mask: Mask = NOTHING,
    site_names: Sequence[str],
    title: str = "",
    subtitle: str = "",
    unit: str = "importance",
    signed: bool = False,
    reverse: bool = False,
    theme: Theme = "light",
    clickable: bool = False,
    threshold: float | None = None,
    drag: Literal["click", "box"] = "click",
    ends: tuple[float, float] | None = None,
    words: Words | None = None,
) -> go.Figure:
    """Importance of every head: one row per site (the first at the top), one column per head.

    Args:
        values: ``[site][head]``, ragged, in ``unit``; a value that is not finite counts as not measured.
        mask: Its heads are veiled and crossed out; their values stay on hover.
        site_names: One short name a row.
        signed: Use the diverging scale, symmetric around zero.
        reverse: Low values are important, so they get the deep end of the scale.
        clickable: Let the figure take clicks (or boxes), to be read by `clicked_heads`.
        threshold: Marked on the colour bar.
        drag: In ``box`` mode a drag selects a rectangle, and single clicks are lost (a limit of Streamlit).
        ends: Ends of the colour scale, so that several heatmaps can share one; by default the data's.
    """
    colours, words = look.tokens(theme), words or look.words()
    rows, columns = len(values), max(map(len, values), default=0)
    row_px = _row_px(rows, columns)
    figure = figure_with_heading(theme, title, subtitle, rows * row_px, 92 if threshold is None else 106)
    ends = ends or value_range(values, signed)
    figure.add_traces(
        [
            _cells(values, ends, signed, reverse, theme, threshold, row_px),
            _click_layer(values, mask, site_names, words),
            _veil(values, mask, colours),
            _crosses(values, mask, colours.text if signed else colours.pruned),  # on a signed scale orange is a value
        ]
    )
    figure.update_xaxes(
        title_text=words.head, range=[-0.5, columns - 0.5], fixedrange=True, **_thin_ticks(range(columns), 26)
    )
    figure.update_yaxes(
        range=[rows - 0.5, -0.5], fixedrange=True, showgrid=False, **_thin_ticks(site_names, LARGEST_HEATMAP_PX // 22)
    )
    # The colour bar's own title would lie on top of a thin bar.
    figure.add_annotation(
        text=unit, x=0, y=0, xref="paper", yref="paper", yshift=-44, xanchor="left", yanchor="top", showarrow=False,
        font={"size": look.CAPTION_PX, "color": colours.secondary},
    )  # fmt: skip
    figure.update_layout(hovermode="closest", hoverdistance=-1)  # every point of a cell is nearest to its own centre
    if clickable:
        figure.update_layout(dragmode="select" if drag == "box" else "pan", selectdirection="any")
        figure.update_layout(newselection={"line": {"color": colours.accent, "width": 2, "dash": "solid"}})
    return figure


def describe_heatmap(
    values: Values, *, mask: Mask = NOTHING, site_names: Sequence[str], title: str = "", unit: str = "importance"
) -> str:
    """What the heatmap shows, in words, for people who cannot see it."""
    heads = {HeadId(s, h): v for s, row in enumerate(values) for h, v in enumerate(row) if math.isfinite(v)}
    lead = tr("{title}. ", title=title.rstrip(".")) if title else ""
    rows, columns = len(values), max(map(len, values), default=0)
    if not heads:
        text = mark("Heatmap of {rows} rows and up to {columns} heads; {unit} not measured.")
        return lead + tr(text, rows=rows, columns=columns, unit=unit)
    low, high = min(heads, key=heads.__getitem__), max(heads, key=heads.__getitem__)
    place = mark("{layer}, head {head} ({value})")
    ends = [tr(place, layer=site_names[h.site], head=h.head, value=look.number(heads[h])) for h in (low, high)]
    removed = sum(head.site < len(values) and head.head < len(values[head.site]) for head in mask.heads)
    shape = tr("Heatmap of {rows} rows and up to {columns} heads.", rows=rows, columns=columns)
    found = trn(
        "{unit} is lowest at {low}, highest at {high}. {n} head removed.",
        "{unit} is lowest at {low}, highest at {high}. {n} heads removed.",
        removed, unit=unit.capitalize(), low=ends[0], high=ends[1],
    )  # fmt: skip
    return f"{lead}{shape} {found}"


def clicked_heads(selection: object, heads_per_site: Sequence[int]) -> set[HeadId]:
    """The heads that a click, a box or a lasso on `heatmap` means.

    Args:
        selection: Streamlit's ``event.selection``; whatever is missing or malformed in it is passed over.
        heads_per_site: ``[site]``.

    A box means the heads whose centres it holds, or, where it is too small to hold one, the head under its middle.
    """
    columns = max(heads_per_site, default=0)
    if not columns or not hasattr(selection, "get"):
        return set()
    found = {divmod(index, columns) for index in _point_indices(selection.get("points"))}
    boxes = selection.get("box")
    for box in boxes if isinstance(boxes, list | tuple) else ():
        found |= _in_box(box, len(heads_per_site), columns)
    return {HeadId(s, h) for s, h in found if s < len(heads_per_site) and h < heads_per_site[s]}


def _point_indices(points: object) -> set[int]:
    """Indices into the click layer; points of the other layers mean nothing."""
    indices = set()
    for point in points if isinstance(points, list | tuple) else ():
        if hasattr(point, "get") and point.get("curve_number", CLICK_CURVE) == CLICK_CURVE:
            index = point.get("point_index", point.get("point_number"))
            if isinstance(index, int) and not isinstance(index, bool) and index >= 0:
                indices.add(index)
    return indices


def _in_box(box: object, rows: int, columns: int) -> set[tuple[int, int]]:
    rows_span, columns_span = (_span(box.get(axis)) if hasattr(box, "get") else None for axis in ("y", "x"))
    if rows_span is None or columns_span is None:
        return set()
    inside = []
    for (low, high), count in ((rows_span, rows), (columns_span, columns)):
        first, last = math.ceil(max(low, 0)), math.floor(min(high, count - 1))
        middle = math.floor(low / 2 + high / 2 + 0.5)
        small = high - low < 1 and first > last
        inside.append([middle] if small and 0 <= middle < count else range(first, last + 1))
    return {(row, column) for row in inside[0] for column in inside[1]}


def _span(ends: object) -> tuple[float, float] | None:
    """The two ends of a range in order, or None."""
    if not isinstance(ends, list | tuple) or len(ends) != 2:
        return None
    if any(isinstance(end, bool) or not isinstance(end, int | float) or not math.isfinite(end) for end in ends):
        return None
    return min(ends), max(ends)


def _row_px(rows: int, columns: int) -> int:
    """Height of a row so that cells are about square at the usual width and the figure fits on a screen."""
    square = 720 / max(1, columns)
    return int(max(9, min(44, max(square, 18), LARGEST_HEATMAP_PX / max(1, rows))))


def value_range(values: Values, signed: bool) -> tuple[float, float]:
    """The lowest and the highest value, made symmetric around zero for a signed scale, and never equal."""
    finite = [v for row in values for v in row if math.isfinite(v)] or [0.0]
    low, high = min(finite), max(finite)
    if signed:
        low, high = -max(abs(low), abs(high)), max(abs(low), abs(high))
    return (low, high) if high > low else (low, low + (abs(low) or 1.0))


def _cells(
    values: Values,
    ends: tuple[float, float],
    signed: bool,
    reverse: bool,
    theme: Theme,
    threshold: float | None,
    px: int,
) -> go.Heatmap:
    colours = look.tokens(theme)
    scale = look.diverging(theme) if signed else look.sequential(theme)
    gap = 2 if px >= 24 else 1
    bar = {
        "orientation": "h", "thickness": 8, "len": 0.6, "x": 0, "xanchor": "left", "xpad": 0, "y": 0, "ypad": 4,
        "yref": "container", "yanchor": "bottom", "outlinewidth": 0,
        "tickfont": {"color": colours.secondary, "size": look.CAPTION_PX}, **_bar_ticks(ends, threshold),
    }  # fmt: skip
    return go.Heatmap(
        z=_rectangle(values), zmin=ends[0], zmax=ends[1], colorscale=list(scale), reversescale=reverse, colorbar=bar,
        xgap=gap, ygap=gap, hoverinfo="skip", hoverongaps=False,
    )  # fmt: skip


def _bar_ticks(ends: tuple[float, float], threshold: float | None) -> dict[str, object]:
    """Both ends and the middle, or, where there is a threshold, what does not collide with its longer label."""
    low, high = ends
    ticks = {tick: look.number(tick, 2) for tick in (low, (low + high) / 2, high)}
    if threshold is not None and low <= threshold <= high:
        ticks = {tick: text for tick, text in ticks.items() if abs(tick - threshold) > 0.3 * (high - low)}
        ticks[threshold] = "▲<br>" + tr("threshold {value}", value=look.number(threshold))
    return {"tickmode": "array", "tickvals": list(ticks), "ticktext": list(ticks.values())}


def _rectangle(values: Values) -> list[list[float | None]]:
    """Ragged rows filled up with empty cells, as lists, so that the figure's JSON stays plain."""
    columns = max(map(len, values), default=0)
    full = [[float(v) if math.isfinite(v) else None for v in row] for row in values]
    return [row + [None] * (columns - len(row)) for row in full]


def _click_layer(values: Values, mask: Mask, site_names: Sequence[str], words: Words) -> go.Scatter:
    """One invisible square a cell, empty cells too, so that point index = row × columns + column."""
    columns = max(map(len, values), default=0)
    texts = []
    for site, row in enumerate(values):
        for head, value in enumerate(row):
            shown = look.number(value) if math.isfinite(value) else None
            texts.append(words.about(site_names[site], head, shown, (site, head) in mask.heads))
        texts += [words.no_head] * (columns - len(row))
    invisible = {"marker": {"opacity": 0}}
    return go.Scatter(
        x=list(range(columns)) * len(values), y=[site for site in range(len(values)) for _ in range(columns)],
        mode="markers", marker={"symbol": "square", "size": 4, "color": "rgba(0,0,0,0)", "line": {"width": 0}},
        selected=invisible, unselected=invisible, text=texts, hovertemplate="%{text}<extra></extra>",
    )  # fmt: skip


def _veil(values: Values, mask: Mask, colours: Tokens) -> go.Heatmap:
    """Fades removed cells towards the ground, so that what is kept stands out."""
    veil = [[0 if (s, h) in mask.heads else None for h in range(len(row))] for s, row in enumerate(values)]
    columns = max(map(len, values), default=0)
    colour = look.with_alpha(colours.ground, 0.62)
    return go.Heatmap(
        z=[row + [None] * (columns - len(row)) for row in veil], colorscale=[colour, colour], zmin=0, zmax=1,
        showscale=False, hoverinfo="skip", hoverongaps=False, xgap=1, ygap=1,
    )  # fmt: skip


def _crosses(values: Values, mask: Mask, colour: str) -> go.Scatter:
    """A thin cross over every removed head, in one path and in axis units, so that it grows with its cell."""
    x: list[float | None] = []
    y: list[float | None] = []
    for site, head in sorted(mask.heads):
        if site < len(values) and head < len(values[site]):
            x += [head - 0.32, head + 0.32, None, head - 0.32, head + 0.32, None]
            y += [site - 0.32, site + 0.32, None, site + 0.32, site - 0.32, None]
    return go.Scatter(x=x, y=y, mode="lines", line={"color": colour, "width": 1.5}, hoverinfo="skip")


def _thin_ticks(names: Sequence[object], most: int) -> dict[str, object]:
    """Every name, or every second, fourth, eighth … where there are more than ``most``."""
    step = 1
    while len(names) > most * step:
        step *= 2
    shown = list(range(0, len(names), step))
    return {"tickmode": "array", "tickvals": shown, "ticktext": [str(names[index]) for index in shown]}
