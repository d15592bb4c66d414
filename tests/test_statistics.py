"""Intervals and paired tests against scipy, and against what their names promise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, ttest_1samp

from pruning.statistics import (
    FEWEST,
    RESAMPLES,
    Estimate,
    difference_of,
    mcnemar,
    mean,
    paired_proportion,
    percentile_interval,
    proportion,
    resampled_counts,
)
from pruning.tasks import Outcome, tasks
from pruning.tasks.classification import calibration_estimate

TASK = tasks()["text-classification"]
counts = st.integers(1, 3000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(counts)
def test_proportion_is_wilson_s_interval(pair: tuple[int, int]) -> None:
    successes, count = pair
    found, expected = proportion(successes, count), binomtest(successes, count).proportion_ci(0.95, method="wilson")
    assert found.value == successes / count
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert 0 <= found.low <= found.value <= found.high <= 1


@given(st.lists(st.floats(-100, 100), min_size=2, max_size=50))
def test_mean_has_student_s_interval(values: list[float]) -> None:
    found = mean(np.array(values))
    assert found.value == pytest.approx(np.mean(values))
    if np.std(values) < 1e-6:
        assert found.high - found.low <= 1e-4
    else:
        expected = ttest_1samp(values, 0).confidence_interval(0.95)
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=1e-6, abs=1e-9)


def test_the_mean_of_one_value_has_no_finite_interval() -> None:
    assert mean(np.array([3.0])).to_json() == {"value": 3.0, "low": -math.inf, "high": math.inf}


def test_the_interval_of_a_mean_ends_where_the_mean_does() -> None:
    """Two confidences, 0.6 and 0.9: Student's t alone would say from -1.2 to 2.7."""
    found = mean(np.array([0.6, 0.9]), 0.0, 1.0)
    assert (found.value, found.low, found.high) == pytest.approx((0.75, 0.0, 1.0))
    assert mean(np.array([0.6, 0.9]), least=0.0).high == pytest.approx(mean(np.array([0.6, 0.9])).high)
    assert mean(np.array([0.6]), 0.0, 1.0).to_json() == {"value": 0.6, "low": -math.inf, "high": math.inf}


@given(st.integers(0, 400), st.integers(0, 400))
def test_mcnemar_is_the_exact_test_on_discordant_pairs(better: int, worse: int) -> None:
    expected = binomtest(better, better + worse, 0.5).pvalue if better + worse else 1.0
    assert mcnemar(better, worse) == pytest.approx(expected)
    assert mcnemar(better, worse) == pytest.approx(mcnemar(worse, better))


def test_mcnemar_by_hand() -> None:
    """Five flips, all to the worse: twice one half to the fifth."""
    assert mcnemar(0, 5) == pytest.approx(2 * 0.5**5)
    assert mcnemar(0, 0) == 1.0


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 500))
def test_paired_interval_holds_its_value_and_turns_with_its_sides(better: int, worse: int, same: int) -> None:
    count = better + worse + same + 1
    found, turned = paired_proportion(better, worse, count), paired_proportion(worse, better, count)
    assert found.value == (better - worse) / count
    assert -1 <= found.low <= found.value <= found.high <= 1
    assert found.low < found.high, "even where nothing flipped the interval has a width"
    assert (turned.low, turned.high) == pytest.approx((-found.high, -found.low))


def test_paired_interval_by_hand() -> None:
    """Bonett & Price: 10 better, 20 worse of 98, so p12 = .11, p21 = .21, n + 2 = 100."""
    found = paired_proportion(10, 20, 98)
    half = 1.959963984540054 * math.sqrt((0.11 + 0.21 - 0.01) / 100)
    assert (found.low, found.high) == pytest.approx((-0.10 - half, -0.10 + half))


def coverage(intervals: list[tuple[float, float]], truth: float) -> float:
    return float(np.mean([low <= truth <= high for low, high in intervals]))


def test_paired_interval_covers_the_truth() -> None:
    """400 samples of 200 pairs that get worse in 12% and better in 5%: 95%, give or take 3.3 for 400 draws."""
    draws = np.random.default_rng(0).multinomial(200, [0.05, 0.12, 0.83], size=400)
    found = [paired_proportion(int(better), int(worse), 200) for better, worse, _ in draws]
    assert coverage([(e.low, e.high) for e in found], -0.07) == pytest.approx(0.95, abs=0.033)


def test_bootstrap_covers_the_truth() -> None:
    """300 samples of a precision whose truth is 0.8, from tables of 200 examples: 95%, give or take 4."""
    generator = np.random.default_rng(1)
    intervals = []
    for seed in range(300):
        table = generator.multinomial(200, [0.4, 0.1, 0.1, 0.4]).reshape(2, 2)
        draws = resampled_counts(table, seed)
        point = table[1, 1] / table[:, 1].sum()
        found = percentile_interval(point, draws[:, 1, 1] / draws[:, :, 1].sum(1))
        intervals.append((found.low, found.high))
    assert coverage(intervals, 0.8) == pytest.approx(0.95, abs=0.04)


def test_resampled_tables_keep_the_total_and_the_shares() -> None:
    table = np.array([[30, 10, 0], [5, 40, 15]])
    draws = resampled_counts(table, 3)
    assert draws.shape == (RESAMPLES, 2, 3)
    assert (draws.sum((1, 2)) == 100).all()
    assert (draws[:, 0, 2] == 0).all()
    np.testing.assert_allclose(draws.mean(0), table, atol=0.5)
    assert np.array_equal(draws, resampled_counts(table, 3))
    assert not np.array_equal(draws, resampled_counts(table, 4))


def test_percentile_interval_never_excludes_its_value() -> None:
    assert percentile_interval(5.0, np.linspace(0, 1, 101)).high == 5.0
    assert percentile_interval(0.5, np.linspace(0, 1, 101)).low == pytest.approx(0.025)
    assert percentile_interval(0.5, np.array([np.nan])).low == -math.inf


def test_a_bootstrap_of_few_examples_has_no_interval() -> None:
    draws = np.linspace(0, 1, 101)
    assert percentile_interval(0.5, draws, FEWEST) == percentile_interval(0.5, draws)
    assert percentile_interval(0.5, draws, FEWEST - 1) == Estimate(0.5, -math.inf, math.inf)


@pytest.mark.parametrize("count", [1, 2, FEWEST - 1, FEWEST, 60])
def test_metrics_claim_no_certainty_that_they_lack(count: int) -> None:
    """All right: the accuracy has its interval; resamples that are all alike give F1 none, however many they are."""
    targets = np.arange(count) % 2
    outcome = Outcome(np.full(count, 0.1), targets, np.full(count, 0.9), np.ones(count))
    found = TASK.metrics(outcome, targets, 2, 0)
    assert found["accuracy"].low < found["accuracy"].value == 1
    assert not any(math.isfinite(found[name].low) for name in ("f1", "precision", "recall"))
    assert math.isfinite(found["calibration_error"].low) == (count >= FEWEST)


def test_few_rows_keep_confidence_and_loss_within_what_can_be() -> None:
    outcome = Outcome(np.array([0.1, 2.5]), np.array([1, 1]), np.array([0.55, 0.99]), np.array([1.0, 0.0]))
    found = TASK.metrics(outcome, np.array([1, 0]), 2, 0)
    assert (found["confidence"].low, found["confidence"].high, found["loss"].low) == (0, 1, 0)


def test_no_interval_depends_on_the_order_of_the_examples() -> None:
    generator, count = np.random.default_rng(5), 120
    targets, predicted = generator.integers(0, 3, (2, count))
    hits, confidences = (predicted == targets).astype(float), generator.uniform(1 / 3, 1, count)
    order = generator.permutation(count)
    one = TASK.metrics(Outcome(-np.log(confidences), predicted, confidences, hits), targets, 3, 0)
    moved = (v[order] for v in (-np.log(confidences), predicted, confidences, hits))
    other = TASK.metrics(Outcome(*moved), targets[order], 3, 0)
    for name, estimate in one.items():
        assert tuple(other[name].to_json().values()) == pytest.approx(tuple(estimate.to_json().values()), abs=1e-12)


def test_no_interval_depends_on_another_processors_rounding() -> None:
    """Confidences of a sure model lie so close that a rounding exchanges neighbours; no bin is left by that here."""
    generator, count = np.random.default_rng(5), 1500
    hits = (generator.uniform(size=count) < 0.87).astype(float)
    confidences = np.clip(0.99 + generator.normal(0, 1e-6, count), 0, 0.9999)
    moved = confidences + generator.normal(0, 1e-6, count)
    one, other = (calibration_estimate(values, hits, 0) for values in (confidences, moved))
    assert (other.low, other.high) == pytest.approx((one.low, one.high), abs=1e-5)


def test_the_difference_of_two_symmetric_estimates_has_the_textbook_interval() -> None:
    """MOVER with symmetric intervals is the root of the sum of squares; with a certain one, the other's own width."""
    found = difference_of(Estimate(1.0, 0.7, 1.3), Estimate(3.0, 2.6, 3.4))
    assert (found.value, found.low, found.high) == pytest.approx((2.0, 1.5, 2.5))
    lopsided = difference_of(Estimate(0.0, 0.0, 0.0), Estimate(2.0, 1.0, 5.0))
    assert (lopsided.low, lopsided.high) == (1.0, 5.0)
