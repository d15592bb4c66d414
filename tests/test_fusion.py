"""Fused and normalised maps, by hand and against what their parts score."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pruning import ImportanceMap, PruningError, score
from pruning.importance.fusion import Fusion, fuse
from pruning.importance.normalising import NORMALISATIONS, get_normalisation, normalise
from tests.families import examples_of, model_of


def map_of(criterion: str, *rows: tuple[float, ...], **changes: Any) -> ImportanceMap:
    sites = tuple(f"site {i}" for i in range(len(rows)))
    return ImportanceMap(criterion, rows, sites, 4, 0, 1.0, "model", "data", "2025-01-01", **changes)


def test_fused_ranks_by_hand() -> None:
    """Gradient ranks 0, 2, 1 of 2; low entropy is important, so its ranks are 2, 1, 0; the shared rank is 0.5."""
    gradient, entropy = map_of("gradient", (1.0, 9.0), (5.0,)), map_of("entropy", (0.1, 0.2), (0.3,))
    assert fuse([gradient, entropy]).values == ((0.5, 0.75), (0.25,))
    assert fuse([gradient, entropy], [3, 1]).values == ((0.25, 0.875), (0.375,))
    assert fuse([gradient]).values == ((0.0, 1.0), (0.5,))
    assert fuse([map_of("gradient", (4.0, 4.0, 9.0))]).values == ((0.25, 0.25, 1.0),)
    fused = fuse([gradient, entropy])
    assert (fused.criterion, fused.seconds, fused.data, fused.samples) == ("fusion", 2.0, "data", 4)
    assert [tuple(unit) for unit in fused.ranked()] == [(1, 0), (0, 0), (0, 1)]


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (map_of("gradient", (1.0, 2.0, 3.0)), "different shapes"),
        (replace(map_of("gradient", (1.0, 2.0)), model="another"), "different models"),
        (map_of("gradient", (1.0, 2.0), scope="neurons"), "different scopes"),
    ],
)
def test_maps_that_do_not_rank_the_same_units_are_not_fused(other: ImportanceMap, message: str) -> None:
    with pytest.raises(PruningError, match=message):
        fuse([map_of("gradient", (1.0, 2.0)), other])


WEIGHTS = [([1], "1 weights for 2"), ([1, -1], "not be negative"), ([0, 0], "must be above 0")]


@pytest.mark.parametrize(("weights", "message"), WEIGHTS)
def test_weights_have_to_fit(weights: list[float], message: str) -> None:
    with pytest.raises(PruningError, match=message):
        fuse([map_of("gradient", (1.0, 2.0))] * 2, weights)
    with pytest.raises(PruningError, match=message):
        score(model_of("bert"), Fusion(("magnitude", "wanda"), tuple(weights)), examples_of("bert", 2))


def test_nothing_to_fuse() -> None:
    with pytest.raises(PruningError, match="at least one"):
        fuse([])


@pytest.mark.parametrize("scope", ["heads", "neurons"])
def test_the_criterion_fuses_what_its_parts_score(scope: Any) -> None:
    examples, fields = examples_of("bert", 4), (Fusion(), Fusion(("wanda", "random", "magnitude"), (1.0, 2.0, 0.5)))
    for fusion in fields:
        maps = [score(model_of("bert"), name, examples, scope=scope) for name in fusion.names]
        expected = fuse(maps, fusion.weights or None)
        np.testing.assert_allclose(
            score(model_of("bert"), fusion, examples, scope=scope).values, expected.values, atol=1e-12
        )


def test_a_fusion_holds_no_fusion_and_nothing_of_another_scope() -> None:
    with pytest.raises(PruningError, match="cannot hold a fusion"):
        score(model_of("bert"), Fusion(("fusion",)), examples_of("bert", 2))
    with pytest.raises(PruningError, match="entropy is not defined for neurons"):
        score(model_of("bert"), Fusion(("wanda", "entropy")), examples_of("bert", 2), scope="neurons")


def test_progress_of_a_fusion_is_shared_by_its_parts() -> None:
    steps: list[tuple[int, int]] = []
    fusion = Fusion(("wanda", "random", "magnitude"))
    score(model_of("bert"), fusion, examples_of("bert", 4), progress=lambda *step: steps.append(step), batch_size=2)
    assert [done for done, _ in steps] == sorted(done for done, _ in steps)
    assert {whole for _, whole in steps} == {3000}
    assert len(steps) > 5
    assert steps[-1] == (3000, 3000)


# Normalising -------------------------------------------------------------------------------------------------------

RAW = map_of("gradient", (3.0, 4.0), (0.0, 0.0), (-6.0,), standard_errors=((0.1, 0.1), (0.1, 0.1), (0.1,)))


def test_normalised_by_hand() -> None:
    assert normalise(RAW, "none") is RAW
    assert normalise(RAW, "layer-l2").values == ((0.6, 0.8), (0.0, 0.0), (-1.0,))
    assert normalise(RAW, "min-max").values == ((0.9, 1.0), (0.6, 0.6), (0.0,))
    assert normalise(map_of("gradient", (2.0, 2.0)), "min-max").values == ((0.0, 0.0),)


@pytest.mark.parametrize("name", NORMALISATIONS)
@pytest.mark.parametrize("criterion", ["gradient", "entropy"])
def test_normalising_keeps_the_order_inside_a_layer(criterion: str, name: str) -> None:
    raw = score(model_of("bert"), criterion, examples_of("bert", 3))
    found = normalise(raw, name)
    for before, after in zip(raw.values, found.values, strict=True):
        np.testing.assert_array_equal(np.argsort(before), np.argsort(after))
    assert found.criterion == criterion
    if name != "layer-l2":
        assert found.ranked() == raw.ranked()


def test_normalised_maps_carry_nothing_that_belongs_to_raw_values() -> None:
    raw = score(model_of("bert"), "gradient", examples_of("bert", 3))
    found = normalise(raw, "min-max")
    assert (found.standard_errors, found.scores) == ((), None)
    assert raw.standard_errors
    assert raw.scores is not None
    assert ImportanceMap.from_json(found.to_json()) == found


def test_normalisations_that_do_not_exist_or_say_nothing_are_refused() -> None:
    with pytest.raises(PruningError, match="there are none, layer-l2, min-max"):
        get_normalisation("softmax")
    with pytest.raises(PruningError, match="every layer the same importance: choose none or min-max"):
        normalise(map_of("gradient", (1.0,), (2.0,), scope="layers"), "layer-l2")
