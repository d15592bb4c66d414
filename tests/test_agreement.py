"""Intervals of importance, agreement of rankings and their stability, against scipy, loops and answers by hand."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from pruning import Cancelled, ImportanceMap, PruningError, score
from pruning.cli import main
from pruning.importance.agreement import (
    agree,
    agreement_matrix,
    head_intervals,
    kendall,
    overlap,
    spearman,
    stability,
    subset_rows,
)
from tests.families import examples_of, model_of, save


def map_of(scores: np.ndarray, criterion: str = "gradient", data: str = "data") -> ImportanceMap:
    """One site; ``scores`` is ``(example, unit)``."""
    errors = scores.std(axis=0, ddof=1) / np.sqrt(len(scores))
    return ImportanceMap(criterion, (tuple(scores.mean(axis=0)),), ("site",), len(scores), 0, 1.0, "model", data,
                         "2025-01-01", (tuple(errors),), scores=scores)  # fmt: skip


def noisy(seed: int, examples: int = 60, units: int = 12, noise: float = 2.0) -> np.ndarray:
    """Unit i has the true importance i / units."""
    return np.arange(units) / units + noise * np.random.default_rng(seed).normal(size=(examples, units))


# Intervals ---------------------------------------------------------------------------------------------------------


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    """19 of 20 of 600 intervals, give or take four standard errors, and the bootstrap's known 1% for 60 examples."""
    truth, hits, loose = np.arange(12) / 12, [], []
    for seed in range(50):
        found = map_of(noisy(seed))
        for level, kept in ((0.95, hits), (0.5, loose)):
            (row,) = head_intervals(found, level, seed) or ()
            kept += [each.low <= true <= each.high for each, true in zip(row, truth, strict=True)]
    assert 0.90 < np.mean(hits) < 0.985
    assert 0.42 < np.mean(loose) < 0.58


def test_intervals_are_those_of_scipy() -> None:
    """Two sets of 1,000 resamples differ by a few per cent of the interval's width."""
    found = map_of(noisy(3))
    (row,) = head_intervals(found, seed=1) or ()
    for unit in (0, 7):
        other = stats.bootstrap((found.scores[:, unit],), np.mean, method="percentile", rng=5).confidence_interval
        np.testing.assert_allclose((row[unit].low, row[unit].high), other, atol=0.12 * (other.high - other.low))
        assert row[unit].value == found.values[0][unit]


def test_intervals_without_scores_are_normal_and_without_errors_there_are_none() -> None:
    found = map_of(noisy(0))
    again = ImportanceMap.from_json(json.loads(json.dumps(found.to_json())))
    (row,) = head_intervals(again) or ()
    half = 1.959963984540054 * np.array(found.standard_errors[0])
    np.testing.assert_allclose([each.high for each in row], found.flat() + half)
    np.testing.assert_allclose([each.low for each in row], found.flat() - half)
    assert head_intervals(replace(again, standard_errors=())) is None
    with pytest.raises(PruningError, match="level of 95 is not possible"):
        head_intervals(found, 95)


def test_intervals_have_the_shape_of_the_map() -> None:
    found = score(model_of("swin"), "gradient", examples_of("swin", 3), scope="neurons")
    intervals = head_intervals(found) or ()
    assert tuple(map(len, intervals)) == tuple(map(len, found.values))
    assert head_intervals(found) == intervals
    for row, values in zip(intervals, found.values, strict=True):
        assert all(each.low <= each.value == value <= each.high for each, value in zip(row, values, strict=True))


# Agreement ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("levels", [4, 1000])
def test_coefficients_are_those_of_scipy(levels: int) -> None:
    """With four levels nearly everything is tied somewhere."""
    a, b = np.random.default_rng(levels).integers(0, levels, (2, 20, 9)).astype(float)
    np.testing.assert_allclose(spearman(a, b), [stats.spearmanr(*pair).statistic for pair in zip(a, b, strict=True)])
    np.testing.assert_allclose(kendall(a, b), [stats.kendalltau(*pair).statistic for pair in zip(a, b, strict=True)])
    np.testing.assert_allclose(kendall(a[:1], b), [stats.kendalltau(a[0], row).statistic for row in b])
    np.testing.assert_allclose(spearman(a, b[:1]), [stats.spearmanr(row, b[0]).statistic for row in a])


def test_kendall_by_counting_pairs() -> None:
    a, b = np.array([[1.0, 2.0, 3.0, 4.0]]), np.array([[1.0, 3.0, 2.0, 4.0]])
    assert kendall(a, b) == pytest.approx((5 - 1) / 6)


def test_overlap_by_hand() -> None:
    a, b = np.array([[1.0, 2.0, 3.0, 3.0]]), np.array([[4.0, 1.0, 2.0, 3.0]])
    assert [float(overlap(a, b, k)[0]) for k in (1, 2, 3, 4)] == [0, 0.5, 2 / 3, 1]


def test_a_ranking_without_differences_agrees_with_nothing() -> None:
    assert np.isnan(spearman(np.ones((1, 4)), np.arange(4.0)[None])[0])
    assert np.isnan(kendall(np.ones((1, 4)), np.arange(4.0)[None])[0])


def test_low_is_important_where_the_criterion_says_so() -> None:
    """The entropy of a map turned around ranks as the map itself does."""
    scores = noisy(0)
    found = agree(map_of(scores), map_of(-scores, "entropy"))
    assert (found.spearman.value, found.kendall.value, found.overlap.value) == (pytest.approx(1), pytest.approx(1), 1)
    assert agree(map_of(scores), map_of(scores, "entropy")).spearman.value == pytest.approx(-1)


def test_the_same_examples_are_drawn_for_both() -> None:
    """Twice the same scores agree in every resample; as scores of other examples they do not."""
    scores = noisy(0)
    together, apart = (agree(map_of(scores), map_of(2 * scores, data=data), k=4) for data in ("data", "other"))
    assert together.resampled
    assert apart.resampled
    assert (together.spearman.low, together.kendall.low) == pytest.approx((1, 1))
    assert together.overlap.low == 1
    assert apart.spearman.low < 0.9 <= apart.spearman.value
    assert apart.overlap.low < 1


def test_intervals_of_agreement_are_those_of_a_plain_loop() -> None:
    """Both from 500 resamples of their own: their ends differ by a few hundredths."""
    one, two = noisy(1), noisy(2)
    found = agree(map_of(one), map_of(two, "ablation"), seed=3)
    assert found.spearman.value == pytest.approx(stats.spearmanr(one.mean(0), two.mean(0)).statistic)
    generator, spearmans, kendalls = np.random.default_rng(99), [], []
    for _ in range(500):
        rows = generator.integers(0, len(one), len(one))
        pair = one[rows].mean(0), two[rows].mean(0)
        spearmans.append(stats.spearmanr(*pair).statistic)
        kendalls.append(stats.kendalltau(*pair).statistic)
    for estimate, drawn in ((found.spearman, spearmans), (found.kendall, kendalls)):
        low, high = np.percentile(drawn, [2.5, 97.5])
        assert estimate.low == pytest.approx(min(low, estimate.value), abs=0.08)
        assert estimate.high == pytest.approx(max(high, estimate.value), abs=0.08)
        assert estimate.low <= estimate.value <= estimate.high


def test_only_one_side_is_resampled_where_only_one_can_be() -> None:
    scored, fixed = map_of(noisy(1)), replace(map_of(noisy(2)), scores=None)
    found = agree(scored, fixed)
    assert found.resampled
    assert found.spearman.low < found.spearman.value
    assert agree(scored, fixed) == found != agree(scored, fixed, seed=1)
    neither = agree(fixed, replace(scored, scores=None))
    assert not neither.resampled
    assert neither.kendall.low == neither.kendall.value == neither.kendall.high
    assert neither.spearman.value == pytest.approx(found.spearman.value)


def test_what_cannot_be_compared_is_refused() -> None:
    found = map_of(noisy(0))
    for other, message in (
        (replace(found, model="another"), "different models .*: gradient has model, gradient has another"),
        (replace(found, scope="neurons"), "different scopes"),
        (map_of(noisy(0, units=5)), "different shapes"),
    ):
        with pytest.raises(PruningError, match=message):
            agree(found, other)
        with pytest.raises(PruningError, match=message):
            agreement_matrix([found, other])
    for k in (0, 13):
        with pytest.raises(PruningError, match=f"k = {k} is not possible: give 1 to 12"):
            agree(found, found, k)
    with pytest.raises(PruningError, match="at least two units"):
        agree(map_of(noisy(0, units=1)), map_of(noisy(0, units=1)))


def test_matrix_of_agreement() -> None:
    examples = examples_of("bert", 3)
    maps = [score(model_of("bert"), name, examples) for name in ("gradient", "entropy", "reversed")]
    found = agreement_matrix(maps)
    assert list(found.index) == list(found.columns) == ["gradient", "entropy", "reversed"]
    np.testing.assert_allclose(np.diag(found), 1)
    np.testing.assert_allclose(found, found.T)
    assert found.loc["gradient", "reversed"] == pytest.approx(-1)
    expected = stats.spearmanr(maps[0].flat(), -maps[1].flat()).statistic
    assert found.loc["gradient", "entropy"] == pytest.approx(expected)


# Stability ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("criterion", ["output-norm", "gradient", "wanda", "confidence"])
def test_stability_is_what_scoring_each_subset_gives(criterion: str) -> None:
    """Exactly: rank statistics do not see the last digit, in which batches of other sizes may differ."""
    model, examples = model_of("bert"), examples_of("bert", 8)
    found = stability(model, criterion, examples, (2, 5, 8), (0, 1), batch_size=3)
    assert list(found.columns) == ["size", "seed", "spearman", "overlap"]
    full = score(model, criterion, examples)
    for row in found.itertuples():
        some = score(model, criterion, examples.at(subset_rows(8, row.size, row.seed).tolist()))
        both = agree(replace(some, scores=None), replace(full, scores=None), k=2)
        assert (row.spearman, row.overlap) == (both.spearman.value, both.overlap.value)
    whole = found[found["size"] == 8]
    assert (whole["overlap"] == 1).all()
    assert whole["spearman"].to_numpy() == pytest.approx(1)


def test_scores_of_examples_are_measured_once() -> None:
    steps: list[tuple[int, int]] = []
    stability(model_of("bert"), "gradient", examples_of("bert", 6), (3,), (0, 1, 2), k=1,
              progress=lambda *step: steps.append(step), batch_size=2)  # fmt: skip
    assert steps == [(0, 4)] * 3 + [(2, 4), (3, 4), (4, 4)]


def test_stability_can_be_cancelled() -> None:
    def cancel(done: int, total: int) -> None:
        raise Cancelled("no longer wanted")

    with pytest.raises(Cancelled):
        stability(model_of("bert"), "gradient", examples_of("bert", 4), (2,), (0,), progress=cancel)


def test_stability_needs_examples() -> None:
    with pytest.raises(PruningError, match="subset of 16 examples is not possible: there are 4"):
        stability(model_of("bert"), "gradient", examples_of("bert", 4))
    with pytest.raises(PruningError, match="looks at no examples"):
        stability(model_of("bert"), "magnitude", examples_of("bert", 4), (2,), (0,))


def test_examples_at_some_positions() -> None:
    examples = examples_of("bert", 5)
    some = examples.at([1, 4])
    assert (some.features, some.texts) == ((examples.features[1], examples.features[4]), ("text 1", "text 4"))
    assert some.fingerprint != examples.fingerprint


# The command line --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = save("bert", tmp_path_factory.mktemp("models") / "bert")
    (found / "rows.csv").write_text("text,label\nw1 w2,0\nw3 w4 w5,1\nw6,0\nw7 w8,1\n", encoding="utf-8")
    return found


def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: object
) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["pruning", *map(str, arguments)])
    with pytest.raises(SystemExit) as caught:
        main()
    return int(caught.value.code or 0), *capsys.readouterr()


def test_score_says_how_far_criteria_agree(folder: Path, monkeypatch: Any, capsys: Any) -> None:
    command = ["score", folder, "--data", folder / "rows.csv", "--json", "-", "--criterion", "gradient"]
    alone = json.loads(run(monkeypatch, capsys, *command)[1])
    assert "agreement" not in alone
    assert (alone["normalised"], list(alone["standard_errors"])) == ("none", ["gradient"])
    several = json.loads(run(monkeypatch, capsys, *command, "--criterion", "entropy", "--criterion", "wanda")[1])
    assert several["importance"]["gradient"] == alone["importance"]["gradient"]
    table = several["agreement"]
    assert list(table) == list(table["wanda"]) == ["gradient", "entropy", "wanda"]
    flat = {name: np.ravel(rows) for name, rows in several["importance"].items()}
    expected = stats.spearmanr(flat["gradient"], -flat["entropy"]).statistic
    assert table["gradient"]["entropy"] == table["entropy"]["gradient"] == pytest.approx(expected)
    text = run(monkeypatch, capsys, *command[:4], "--criterion", "gradient", "--criterion", "entropy")[1]
    assert f"gradient and entropy agree {expected:.3f}" in text


def test_score_normalises_when_asked(folder: Path, monkeypatch: Any, capsys: Any) -> None:
    command = ["score", folder, "--data", folder / "rows.csv", "--json", "-"]
    raw, scaled = (
        json.loads(run(monkeypatch, capsys, *command, *more)[1]) for more in ((), ("--normalise", "layer-l2"))
    )
    for before, after in zip(raw["importance"]["gradient"], scaled["importance"]["gradient"], strict=True):
        np.testing.assert_allclose(after, np.array(before) / np.linalg.norm(before))
    assert (scaled["normalised"], scaled["standard_errors"]) == ("layer-l2", {})
    status, out, err = run(monkeypatch, capsys, *command, "--scope", "layers", "--normalise", "layer-l2")
    assert (status, out) == (2, "")
    assert "every layer the same importance" in err
