"""What the head-pruning benchmark prints: a table of methods by sparsity, areas, targets, and intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby, pairwise
from statistics import fmean

from benchmarks.common import PRECISION, WHOLE, Row, name_of, percent, points, spelled, table, verdict
from benchmarks.peers import PEERS
from pruning.search.planning import Request

TARGETS = {0.5: 0.3, 0.6: 0.5, 0.7: 1.5, 0.8: 4.0, 0.9: 8.0}  # points below the whole model, by share of heads removed
OVER_SEEDS: dict[str, Callable[[Sequence[float]], float]] = {"mean": fmean, "lowest": min, "highest": max}
Curve = dict[float, Row]  # by sparsity


def report(rows: Sequence[Row], sparsities: Sequence[float]) -> str:
    """Everything in Markdown; the best area comes first.

    Args:
        rows: The whole model's row first.
    """
    dense, curves = rows[0], curves_of(rows, sparsities)
    lines = [line for group in curves.values() for line in _lines(group, dense, sparsities)]
    lines.sort(key=lambda line: line[-2], reverse=True)
    targets = [sparsity for sparsity in sparsities if sparsity in TARGETS]
    header = ["method", "compensation", *(f"{100 * s:g}%" for s in sparsities), "area", "targets met"]
    wanted = ", ".join(f"{TARGETS[s]:g} at {100 * s:g}%" for s in targets)
    notes = [
        "Accuracy in percent, and its change in points, by the share of heads removed; no weight is trained.",
        f"area: under the curve of accuracy from 0 to {100 * max(sparsities):g}%, as its mean height.",
    ]
    if wanted:
        notes.append(f"targets, in points below the whole model: {wanted}.")
    if any(_spares(row, dense) for group in curves.values() for curve in group for row in curve.values()):
        notes.append("*: fewer heads went than were asked for (see peers.py), which flatters the point and the area.")
    detail = table(["method", "compensation", "removed", "heads left", "accuracy", "change"], _details(curves))
    return "\n".join([table(header, lines), "", *notes, "", "With 95% intervals (the change is paired):", "", detail])


def curves_of(rows: Sequence[Row], sparsities: Sequence[float]) -> dict[tuple[str, str], list[Curve]]:
    """By method and compensation, a curve for each seed; those that miss a point are left out."""

    def method(row: Row) -> tuple[str, str]:
        return row["method"], row["compensation"]

    found: dict[tuple[str, str], list[Curve]] = {}
    ordered = sorted((row for row in rows if row["method"] != WHOLE), key=lambda row: (*method(row), row["seed"]))
    for (name, _), group in groupby(ordered, key=lambda row: (method(row), row["seed"])):
        by_sparsity = {row["sparsity"]: row for row in group}
        if set(sparsities) <= by_sparsity.keys():
            found.setdefault(name, []).append({sparsity: by_sparsity[sparsity] for sparsity in sparsities})
    return found


def area(dense: float, curve: Curve) -> float:
    """Area under accuracy by sparsity (trapezoids), over the width from 0 to the highest sparsity: its mean height."""
    corners = [(0.0, dense), *((sparsity, row["accuracy"]) for sparsity, row in sorted(curve.items()))]
    whole = sum((right - left) * (one + other) / 2 for (left, one), (right, other) in pairwise(corners))
    return whole / corners[-1][0]


def _lines(group: list[Curve], dense: Row, sparsities: Sequence[float]) -> list[list[str]]:
    """One line of the table, or three where there are several seeds."""
    lines = []
    for name, over in OVER_SEEDS.items() if len(group) > 1 else [("", fmean)]:
        accuracy = {s: over([curve[s]["accuracy"] for curve in group]) for s in sparsities}
        change = {s: accuracy[s] - dense["accuracy"] for s in sparsities}
        stars = {s: "*" if any(_spares(curve[s], dense) for curve in group) else "" for s in sparsities}
        cells = [f"{percent(accuracy[s])} ({points(change[s])}){stars[s]}" for s in sparsities]
        met = [f"{100 * s:g}" for s in sparsities if s in TARGETS and verdict(-100 * change[s], TARGETS[s]) == "met"]
        first = group[0][sparsities[0]]
        label = _label(first["method"], first["compensation"]) + (f", {name} of {len(group)} seeds" if name else "")
        height = f"{over([area(dense['accuracy'], curve) for curve in group]):.4f}"
        lines.append([label, first["compensation"], *cells, height, " ".join(met) or "none"])
    return lines


def _label(method: str, compensation: str) -> str:
    usual = Request()
    return f"**{method}** (default)" if (name_of(usual), usual.compensation) == (method, compensation) else method


def _spares(row: Row, dense: Row) -> bool:
    """Whether more heads are left than were asked for."""
    return row["heads"] > round((1 - row["sparsity"]) * dense["heads"], PRECISION)


def _details(curves: dict[tuple[str, str], list[Curve]]) -> list[list[str]]:
    """Rows with intervals of the default and the peers."""
    usual = Request()
    shown = {name: group for name, group in curves.items() if name[0] in (name_of(usual), *PEERS)}
    return [
        [_label(*name), name[1], f"{100 * sparsity:g}%", str(row["heads"]), *spelled(row)]
        for name, (curve, *_) in shown.items()
        for sparsity, row in curve.items()
    ]
