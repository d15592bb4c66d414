"""What the charts of several criteria hold: small maps, strips, bars, the matrix and the scatter of ranks."""

from __future__ import annotations

import doctest
import json
import math

import numpy as np
import plotly.graph_objects as go
import pytest

from pruning.statistics import Estimate
from ui import multiples
from ui.theme import Theme, contrast

RAGGED = ((0.1, 0.2, 0.3), (0.4, 0.5), (0.6, 0.7, 0.8, 0.9))
NAMES = ("Block 0", "Block 1", "Block 2")


def plain(figure: go.Figure) -> dict:
    return json.loads(figure.to_json())


def test_the_examples_run() -> None:
    assert doctest.testmod(multiples).failed == 0


# Small maps -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_small_map_holds_every_value_on_its_own_scale(theme: Theme) -> None:
    (heat,) = plain(multiples.small_map(RAGGED, theme=theme))["data"]
    assert heat["z"] == [[0.1, 0.2, 0.3, None], [0.4, 0.5, None, None], [0.6, 0.7, 0.8, 0.9]]
    assert (heat["zmin"], heat["zmax"]) == (0.1, 0.9)
    assert not heat["showscale"]


def test_a_signed_small_map_is_symmetric() -> None:
    (heat,) = plain(multiples.small_map([[-0.1, 0.4]], signed=True))["data"]
    assert (heat["zmin"], heat["zmax"]) == (-0.4, 0.4)


def test_low_values_are_deep_where_they_are_important() -> None:
    assert plain(multiples.small_map(RAGGED, reverse=True))["data"][0]["reversescale"]


@pytest.mark.parametrize("values", [[], [[math.nan]], [[0.0, 0.0]], [[1.0]]])
@pytest.mark.parametrize("scope", ["heads", "neurons", "layers"])
def test_small_maps_of_little(values: list[list[float]], scope: str) -> None:
    assert plain(multiples.small_map(values, scope=scope))  # type: ignore[arg-type]


# Neurons and layers -----------------------------------------------------------------------------------------------


def test_a_strip_counts_every_neuron_of_its_block_once() -> None:
    rng = np.random.default_rng(0)
    values = [rng.normal(size=200).tolist(), rng.normal(3.0, size=50).tolist()]
    heat = plain(multiples.neuron_strips(values, names=NAMES[:2]))["data"][0]
    shares = np.square(np.array(heat["z"]))
    assert shares.sum(axis=1) == pytest.approx([1.0, 1.0])
    assert len(heat["x"]) == multiples.BINS
    assert np.argmax(shares[1]) > np.argmax(shares[0])


def test_a_few_extreme_neurons_do_not_squeeze_the_others() -> None:
    values = [[*np.linspace(0, 1, 400).tolist(), 1000.0]]
    made = plain(multiples.neuron_strips(values, names=NAMES[:1], unit="nats"))
    assert max(made["data"][0]["x"]) < 1.1
    assert "4 more extreme neurons" in made["layout"]["xaxis"]["title"]["text"]


def test_layers_are_bars_with_intervals() -> None:
    intervals = [Estimate(0.2, 0.1, 0.4), Estimate(0.5, 0.5, 0.5)]
    figure = multiples.layer_bars([0.2, 0.5], names=NAMES[:2], intervals=intervals, removed=[False, True])
    (bar,) = figure.data
    assert list(bar.x) == [0.2, 0.5]
    assert list(bar.error_x.array) == pytest.approx([0.2, 0.0])
    assert list(bar.error_x.arrayminus) == pytest.approx([0.1, 0.0])
    assert len(set(bar.marker.color)) == 2


def test_layers_without_intervals_have_none() -> None:
    (bar,) = multiples.layer_bars([0.2, 0.5], names=NAMES[:2]).data
    assert bar.error_x.array is None
    assert list(bar.text) == ["0.200", "0.500"]


# Agreement --------------------------------------------------------------------------------------------------------


def test_the_matrix_shows_numbers_and_leaves_out_what_is_not_known() -> None:
    values = np.array([[1.0, -0.25, math.nan], [-0.25, 1.0, 0.5], [math.nan, 0.5, 1.0]])
    hover = [["cell"] * 3] * 3
    heat, numbers = plain(multiples.agreement_matrix(values, names=NAMES, hover=hover))["data"]
    assert numbers["text"] == ["1", "−.25", "−.25", "1", ".50", ".50", "1"]
    assert list(zip(numbers["y"], numbers["x"], strict=True))[:3] == [(0, 0), (0, 1), (1, 0)]
    assert heat["z"][0][2] is None
    assert (heat["zmin"], heat["zmax"]) == (-1.0, 1.0)


def test_the_numbers_of_many_criteria_stay_on_hover() -> None:
    count = multiples.TEXT_MOST + 1
    hover = [["cell"] * count] * count
    made = multiples.agreement_matrix(np.eye(count), names=["a"] * count, hover=hover, lowest=0.0)
    assert [trace.type for trace in made.data] == ["heatmap"]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("lowest", [-1.0, 0.0])
def test_every_number_can_be_read_on_its_cell(theme: Theme, lowest: float) -> None:
    shades = np.linspace(lowest, 1.0, 16).reshape(4, 4)
    heat, numbers = multiples.agreement_matrix(
        shades, names=list("abcd"), hover=[[""] * 4] * 4, lowest=lowest, theme=theme
    ).data
    scale = [colour for _, colour in heat.colorscale]
    cells = [scale[round((v - lowest) / (1 - lowest) * (len(scale) - 1))] for v in shades.ravel()]
    assert min(contrast(*pair) for pair in zip(numbers.textfont.color, cells, strict=True)) >= 4


def test_the_scatter_marks_what_both_criteria_would_remove() -> None:
    figure = multiples.rank_scatter(([1, 2, 3, 4], [2, 4, 1, 3]), names=("a", "b"), hover=list("wxyz"), k=2, count=4)
    colours = figure.data[0].marker.color
    assert [colour == colours[0] for colour in colours] == [True, False, False, False]
    (corner,) = figure.layout.shapes
    assert (corner.x1, corner.y1) == (2.5, 2.5)
