"""Reliability bins against scikit-learn, and what their docstrings promise."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from pruning.calibration import CALIBRATION_BINS, bin_of, reliability
from pruning.errors import PruningError
from pruning.statistics import proportion
from pruning.tasks.classification import calibration_error


def drawn(seed: int, count: int = 400) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    confidences = random.uniform(0.5, 1.0, count)
    return confidences, (random.random(count) < confidences**2).astype(float)


@pytest.mark.parametrize("bins", [5, CALIBRATION_BINS])
@pytest.mark.parametrize("seed", [0, 1])
def test_bins_are_those_of_scikit_learn(seed: int, bins: int) -> None:
    confidences, hits = drawn(seed)
    found = reliability(confidences, hits, bins)
    right, sure = calibration_curve(hits, confidences, n_bins=bins, strategy="uniform")
    assert [one.accuracy.value for one in found] == pytest.approx(right.tolist())
    assert [one.confidence for one in found] == pytest.approx(sure.tolist())


def test_the_bins_add_up_to_the_calibration_error() -> None:
    confidences, hits = drawn(2)
    found = reliability(confidences, hits)
    gaps = sum(one.count * abs(one.accuracy.value - one.confidence) for one in found) / len(hits)
    assert gaps == pytest.approx(calibration_error(confidences, hits, np.ones((1, len(hits))))[0])
    assert sum(one.count for one in found) == len(hits)


def test_a_bin_says_its_range_and_its_interval() -> None:
    (only,) = reliability(np.array([0.95, 0.92, 0.99]), np.array([1.0, 0.0, 1.0]), bins=10)
    assert (only.low, only.high, only.count) == (0.9, 1.0, 3)
    assert only.accuracy == proportion(2, 3)


def test_ends_belong_to_the_bin_below() -> None:
    assert bin_of(np.array([0.0, 0.1, 0.5, 0.51, 1.0]), bins=10).tolist() == [0, 0, 4, 5, 9]
    assert reliability(np.array([]), np.array([])) == ()


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(PruningError, match="2 confidences and 1 hits"):
        reliability(np.array([0.5, 0.6]), np.array([1.0]))
    with pytest.raises(PruningError, match="at least one bin, not 0"):
        reliability(np.array([0.5]), np.array([1.0]), 0)
