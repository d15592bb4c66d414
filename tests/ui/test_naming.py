"""Names of sites, and what a heatmap shows in words."""

from __future__ import annotations

import doctest

import pytest

from pruning.importance import criteria
from pruning.importance.base import ImportanceMap
from pruning.masks import HeadId
from ui import naming


def map_of(criterion: str, *values: tuple[float, ...]) -> ImportanceMap:
    return ImportanceMap(
        criterion=criterion, values=values, sites=tuple(f"site {i}" for i in range(len(values))),
        model="m", data="d", made="2026-01-01", samples=4, seed=0, seconds=0.1,
    )  # fmt: skip


def test_the_examples_run() -> None:
    assert doctest.testmod(naming).failed == 0


def test_every_site_has_a_name_of_its_own() -> None:
    kinds = ["encoder self"] * 2 + ["decoder self", "decoder cross"] * 2
    names = naming.site_names(kinds)
    assert names[2:4] == ["Decoder self 0", "Decoder cross 0"]
    assert len(set(names)) == len(kinds)


def test_layers_while_the_anatomy_is_unknown() -> None:
    assert naming.names_of(None, 3) == ["Layer 0", "Layer 1", "Layer 2"]
    assert naming.head_name(HeadId(1, 4), ["Layer 0", "Layer 1"]) == "Layer 1, head 4"


NAMES = ["Layer 0", "Layer 1"]


@pytest.mark.parametrize(
    ("criterion", "values", "finding"),
    [
        ("gradient", ((1.0, 0.0), (2.0, 1.0)), "Layer 1 carries 75% of the total importance"),
        ("gradient", ((0.0, 0.0), (0.0, 0.0)), "Most important: "),
        (
            "ablation",
            ((-0.1, 0.2), (-0.3, 0.5)),
            "Layer 1, head 1 matters most; without any one of 2 heads the loss falls",
        ),
        ("magnitude", ((1.0, 3.0), (2.0, 5.0)), "Most important: Layer 1, head 1; least: Layer 0, head 0"),
        ("random", ((1.0, 3.0), (2.0, 5.0)), "Heads in an order drawn by lot"),
    ],
)
def test_the_finding_is_the_title(criterion: str, values: tuple[tuple[float, ...], ...], finding: str) -> None:
    assert naming.finding(map_of(criterion, *values), NAMES).startswith(finding)


def test_low_values_are_important_where_the_criterion_says_so() -> None:
    found = naming.finding(map_of("entropy", (1.0, 3.0), (2.0, 5.0)), NAMES)
    expected = ("Layer 0, head 0", "Layer 1, head 1")
    most, least = expected if criteria()["entropy"].direction == "low" else expected[::-1]
    assert found == f"Most important: {most}; least: {least}"


@pytest.mark.parametrize("criterion", sorted(criteria()))
def test_one_head_removes_no_words(criterion: str) -> None:
    """The smallest model there is has a title, too."""
    assert "Layer 0" in naming.finding(map_of(criterion, (0.5,)), ["Layer 0"]) or criterion == "random"
