"""What the figures hold, and which heads a click on the heatmap means."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pruning.importance import criteria
from pruning.importance.base import ImportanceMap
from pruning.masks import HeadId, Mask
from pruning.statistics import Estimate
from ui import charts
from ui.heatmap import CLICK_CURVE

RAGGED = ((0.1, 0.2, 0.3), (0.4, 0.5), (0.6, 0.7, 0.8, 0.9))
SHAPE = (3, 2, 4)
NAMES = ("Layer 0", "Layer 1", "Layer 2")
REMOVED = Mask(frozenset({HeadId(0, 1), HeadId(2, 3)}))

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


def figure(**options: object) -> dict:
    made = charts.heatmap(RAGGED, site_names=NAMES, **options)  # type: ignore[arg-type]
    return json.loads(made.to_json())


# The heatmap ------------------------------------------------------------------------------------------------------


def test_rows_from_the_top_and_empty_cells() -> None:
    drawn = figure()
    assert drawn["data"][0]["z"] == [[0.1, 0.2, 0.3, None], [0.4, 0.5, None, None], [0.6, 0.7, 0.8, 0.9]]
    assert drawn["layout"]["yaxis"]["range"] == [2.5, -0.5]
    assert drawn["layout"]["xaxis"]["range"] == [-0.5, 3.5]


def test_nothing_zooms() -> None:
    layout = figure(clickable=True)["layout"]
    assert layout["xaxis"]["fixedrange"]
    assert layout["yaxis"]["fixedrange"]


def test_click_layer_counts_cells_row_by_row() -> None:
    layer = figure(mask=REMOVED, clickable=True)["data"][CLICK_CURVE]
    assert layer["type"] == "scatter"  # scattergl misses clicks
    assert layer["x"] == [0, 1, 2, 3] * 3
    assert layer["text"][1] == "Layer 0, head 1 · importance 0.200 · removed"
    assert layer["text"][3] == "no such head"
    assert layer["text"][8] == "Layer 2, head 0 · importance 0.600"


@pytest.mark.parametrize(
    ("options", "mode"), [({"clickable": True}, "pan"), ({"clickable": True, "drag": "box"}, "select")]
)
def test_drag_mode(options: dict, mode: str) -> None:
    assert figure(**options)["layout"]["dragmode"] == mode


def test_removed_heads_are_crossed_out() -> None:
    crosses = figure(mask=REMOVED)["data"][3]
    assert len(crosses["x"]) == 2 * 6
    assert {round(x) for x in crosses["x"] if x is not None} == {1, 3}


def test_a_mask_of_another_model_draws_no_cross_outside() -> None:
    assert figure(mask=Mask(frozenset({HeadId(9, 9), HeadId(1, 2)})))["data"][3]["x"] == []


def test_signed_scale_is_symmetric() -> None:
    made = json.loads(charts.heatmap([[-0.1, 0.4]], site_names=["Layer 0"], signed=True).to_json())
    assert (made["data"][0]["zmin"], made["data"][0]["zmax"]) == (-0.4, 0.4)


def test_shared_scale() -> None:
    heat = figure(ends=(0.0, 2.0))["data"][0]
    assert (heat["zmin"], heat["zmax"]) == (0.0, 2.0)


def test_threshold_is_on_the_colour_bar() -> None:
    bar = figure(threshold=0.5)["data"][0]["colorbar"]
    assert "▲<br>threshold 0.500" in bar["ticktext"]
    assert len(bar["tickvals"]) == len(bar["ticktext"]) == 3


@pytest.mark.parametrize(("rows", "columns"), [(6, 12), (12, 12), (24, 16), (48, 64)])
def test_sizes(rows: int, columns: int) -> None:
    values = [[float(r * columns + c) for c in range(columns)] for r in range(rows)]
    made = charts.heatmap(values, site_names=[f"Layer {r}" for r in range(rows)], title="T", subtitle="S")
    assert made.layout.height <= 960
    assert (made.layout.height - made.layout.margin.t - made.layout.margin.b) / rows >= 9
    assert len(made.layout.yaxis.tickvals) <= 34
    assert len(made.layout.xaxis.tickvals) <= 26


@pytest.mark.parametrize("values", [[[0.5]], [[math.nan, 0.5]], [[math.nan]], [[0.0, 0.0]], []])
def test_odd_values(values: list[list[float]]) -> None:
    names = [f"Layer {r}" for r in range(len(values))]
    json.loads(charts.heatmap(values, site_names=names).to_json())
    assert charts.describe_heatmap(values, site_names=names)


def test_long_titles_are_broken() -> None:
    title = figure(title="Layer 4 carries most of the loss and every other layer carries almost none")["layout"][
        "title"
    ]
    assert title["text"].count("<br>") == 1


def test_description() -> None:
    text = charts.describe_heatmap(RAGGED, mask=REMOVED, site_names=NAMES, title="Layer 2 matters")
    assert text == (
        "Layer 2 matters. Heatmap of 3 rows and up to 4 heads. Importance is lowest at Layer 0, head 0 (0.100), "
        "highest at Layer 2, head 3 (0.900). 2 heads removed."
    )


# Clicks -----------------------------------------------------------------------------------------------------------


def click(index: object, curve: int = CLICK_CURVE) -> dict:
    return {"points": [{"curve_number": curve, "point_index": index}], "box": [], "lasso": []}


@given(st.lists(st.integers(0, 20), min_size=1, max_size=8), st.data())
def test_every_cell_is_its_own_click(shape: list[int], data: st.DataObject) -> None:
    heads = [HeadId(s, h) for s, count in enumerate(shape) for h in range(count)]
    for head in data.draw(st.lists(st.sampled_from(heads), max_size=5)) if heads else ():
        assert charts.clicked_heads(click(head.site * max(shape) + head.head), shape) == {head}


def test_empty_cells_and_other_curves_mean_nothing() -> None:
    assert charts.clicked_heads(click(3), SHAPE) == set()
    assert charts.clicked_heads(click(0, curve=0), SHAPE) == set()


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ({"x": [-0.4, 1.2], "y": [-0.4, 1.2]}, {(0, 0), (0, 1), (1, 0), (1, 1)}),
        ({"x": [3.6, 1.5], "y": [2.6, -0.6]}, {(0, 2), (2, 2), (2, 3)}),  # dragged from the lower right
        ({"x": [0.6, 0.8], "y": [1.6, 1.9]}, {(2, 1)}),  # inside one cell
        ({"x": [0.6, 0.8], "y": [-9, 9]}, {(0, 1), (1, 1), (2, 1)}),  # thin, over all rows
        ({"x": [20, 30], "y": [0, 1]}, set()),
    ],
)
def test_boxes(box: dict, expected: set) -> None:
    assert charts.clicked_heads({"box": [box]}, SHAPE) == expected


@given(json_values)
def test_whatever_the_browser_sends(selection: object) -> None:
    for value in (
        selection,
        {"points": selection},
        {"points": [selection]},
        {"box": selection},
        {"box": [{"x": selection, "y": [0, 1]}]},
    ):
        found = charts.clicked_heads(value, SHAPE)
        assert all(head < SHAPE[site] for site, head in found)


@given(st.lists(st.floats(), min_size=4, max_size=4))
def test_boxes_of_any_size(ends: list[float]) -> None:
    found = charts.clicked_heads({"box": [{"x": ends[:2], "y": ends[2:]}]}, SHAPE)
    assert all(head < SHAPE[site] for site, head in found)


# Smaller charts ---------------------------------------------------------------------------------------------------


def test_histogram_counts_every_head_once() -> None:
    made = charts.histogram(RAGGED, mask=REMOVED, threshold=0.5)
    removed, kept = (sum(trace.y) for trace in made.data)
    assert (removed, kept) == (2, 7)


def test_the_threshold_is_a_line_and_its_number_is_in_the_subtitle() -> None:
    made = charts.histogram(RAGGED, threshold=0.5, title="Importance", subtitle="Heads by importance")
    assert "Heads by importance · threshold 0.500" in made.layout.title.text
    assert [line.x0 for line in made.layout.shapes] == [0.5]
    assert not made.layout.annotations
    assert "threshold" not in charts.histogram(RAGGED, title="Importance").layout.title.text


@pytest.mark.parametrize("values", [[], [[math.nan]], [[0.0, 0.0]]])
def test_histogram_of_little(values: list[list[float]]) -> None:
    assert charts.histogram(values)


@pytest.mark.parametrize("history", [[], [0.3], [0.3, 0.31, 0.29]])
def test_sparkline(history: list[float]) -> None:
    made = charts.metric_sparkline(history)
    assert list(made.data[0].y) == history


def test_intervals_are_labelled_and_hold_zero_and_every_end() -> None:
    rows = [("Accuracy", Estimate(-0.008, -0.017, 0.001)), ("F1", Estimate(0.02, 0.01, 0.03))]
    made = charts.metrics_intervals(rows)
    low, high = made.layout.xaxis.range
    assert low < -1.7
    assert high > 3.0
    assert made.layout.annotations[0].text == "Accuracy  <b>−0.8 points (−1.7 to 0.1)</b>"


@pytest.mark.parametrize(
    "rows", [[], [("Accuracy", Estimate(0.0, 0.0, 0.0))], [("A", Estimate(0.1, -math.inf, math.inf))]]
)
def test_intervals_of_little(rows: list[tuple[str, Estimate]]) -> None:
    assert charts.metrics_intervals(rows)


@pytest.mark.parametrize("errors", [(), tuple(tuple(0.01 for _ in row) for row in RAGGED)])
def test_table_is_the_heatmap_in_rows(errors: tuple) -> None:
    name = next(name for name, criterion in criteria().items() if criterion.direction == "high")
    scored = ImportanceMap(name, RAGGED, NAMES, 8, 0, 1.0, "model", "data", "2026-01-01", errors)
    table = charts.ranked_table(scored, REMOVED)
    assert list(table["rank"]) == list(range(1, 10))
    assert list(table["importance"]) == sorted(v for row in RAGGED for v in row)
    assert {(NAMES.index(row.site), row.head) for row in table[table["removed"]].itertuples()} == REMOVED.heads
    assert ("standard error" in table) == bool(errors)
