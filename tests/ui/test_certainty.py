"""Intervals and stability of a ranking: right answers by hand, and what the charts hold."""

from __future__ import annotations

import numpy as np
import pytest

from pruning.importance.base import ImportanceMap, ragged
from pruning.statistics import Estimate
from ui import certainty


def map_of(scores: np.ndarray, criterion: str = "gradient", shape: tuple[int, ...] = (2, 2)) -> ImportanceMap:
    """A map with the scores of its rows, ``(row, unit)``."""
    errors = scores.std(axis=0, ddof=1) / np.sqrt(len(scores))
    names = tuple(f"Layer {part}" for part in range(len(shape)))
    return ImportanceMap(
        criterion, ragged(scores.mean(axis=0), shape), names, len(scores), 0, 1.0, "model", "data", "2026-01-01",
        ragged(errors, shape), scores=scores,
    )  # fmt: skip


def intervals_around(importance: ImportanceMap, half: float) -> tuple[tuple[Estimate, ...], ...]:
    return tuple(tuple(Estimate(v, v - half, v + half) for v in row) for row in importance.values)


STEPS = map_of(np.tile([1.0, 2.0, 3.0, 4.0], (8, 1)))


@pytest.mark.parametrize(
    ("half", "count", "expected"), [(0.4, 2, 0), (0.6, 2, 1), (1.1, 2, 2), (0.6, 4, 0), (0.6, 0, 0)]
)
def test_units_whose_intervals_overlap_with_a_kept_one_could_change_places(
    half: float, count: int, expected: int
) -> None:
    assert certainty.interchangeable(STEPS, intervals_around(STEPS, half), count) == expected


def test_where_low_values_are_important_the_highest_are_the_lowest_units() -> None:
    turned = map_of(np.tile([1.0, 2.0, 3.0, 9.0], (8, 1)), "entropy")
    intervals = intervals_around(turned, 0.6)
    assert certainty.interchangeable(turned, intervals, 1) == 0  # 9 stands alone
    assert certainty.interchangeable(turned, intervals, 2) == 1  # 3 and 2 do not


def test_the_sentence_says_how_many() -> None:
    wide, narrow = intervals_around(STEPS, 0.6), intervals_around(STEPS, 0.1)
    assert certainty.overlap_sentence(STEPS, wide, 2).startswith("1 of the 2 lowest heads could change places")
    assert certainty.overlap_sentence(STEPS, narrow, 2).startswith("None of the 2 lowest heads")
    assert "Draw the line" in certainty.overlap_sentence(STEPS, wide, 0)


def test_the_plot_shows_units_by_rank_on_both_sides_of_the_line() -> None:
    figure = certainty.interval_plot(STEPS, intervals_around(STEPS, 0.5), names=STEPS.sites, count=1)
    below, above = figure.data
    assert (list(below.x), list(below.y)) == ([1], [1.0])
    assert (list(above.x), list(above.y)) == ([2, 3, 4], [2.0, 3.0, 4.0])
    assert list(above.error_y.array) == [0.5, 0.5, 0.5]
    assert above.text[-1].startswith("Layer 1, head 1 · 4.00")


def test_of_many_units_the_lowest_are_shown() -> None:
    many = map_of(np.random.default_rng(0).random((4, 300)), shape=(300,))
    figure = certainty.interval_plot(many, intervals_around(many, 0.1), names=many.sites, count=150)
    assert [len(trace.x) for trace in figure.data] == [certainty.SHOWN, 0]


# Stability --------------------------------------------------------------------------------------------------------


def test_rows_that_all_say_the_same_are_enough_at_once() -> None:
    steady = map_of(np.tile([1.0, 2.0, 3.0, 4.0], (200, 1)))
    stability = certainty.stability_of(steady)
    assert sorted(set(stability["size"])) == [32, 64, 128]  # a draw of all rows would say nothing
    assert len(stability) == 3 * len(certainty.SEEDS)
    assert stability["spearman"].tolist() == pytest.approx([1.0] * 15)
    assert certainty.rows_enough(stability) == 32


def test_more_rows_come_nearer_to_the_whole() -> None:
    rng = np.random.default_rng(0)
    noisy = map_of(np.arange(40) / 40 + rng.normal(scale=4.0, size=(512, 40)), shape=(40,))
    stability = certainty.stability_of(noisy)
    means = stability.groupby("size")["spearman"].mean()
    assert list(means.index) == [32, 64, 128, 256]
    assert means.is_monotonic_increasing
    assert certainty.rows_enough(stability) is None


def test_enough_is_where_no_later_draw_falls_short() -> None:
    stability = certainty.stability_of(map_of(np.tile([1.0, 2.0, 3.0, 4.0], (200, 1)))).copy()
    stability.loc[stability["size"] == 64, "spearman"] = 0.9
    assert certainty.rows_enough(stability) == 128


def test_the_stability_plot_has_a_point_for_every_draw() -> None:
    stability = certainty.stability_of(map_of(np.random.default_rng(1).random((100, 4))))
    line, points = certainty.stability_plot(stability, title="T").data
    assert len(points.x) == 2 * len(certainty.SEEDS)
    assert len(line.x) == 2
