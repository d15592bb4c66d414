"""The race for the units that are missed least: right, early where it can be, and honest about it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pruning import PruningError, score
from pruning.importance.racing import FIRST, decided, looks, race
from tests.families import examples_of, model_of, save
from tests.test_recover_command import run


@pytest.mark.parametrize("name", ["bert", "llama-lm", "vit", "albert"])
def test_the_race_names_what_leave_one_out_names(name: str) -> None:
    model, examples = model_of(name), examples_of(name, 160)
    full = score(model, "ablation", examples)
    for count in (1, 3):
        found = race(model, examples, count)
        assert found.lowest == full.lowest(count)
        assert found.samples.max() <= len(examples)


def test_values_on_all_examples_are_those_of_leave_one_out() -> None:
    model, examples = model_of("bert"), examples_of("bert", 20)
    found = race(model, examples, 2)
    assert found.rises == pytest.approx(score(model, "ablation", examples).flat(), abs=1e-6)
    assert set(found.samples.tolist()) == {20}
    assert "leave-one-out itself" in found.statement


def test_progress_goes_forward_to_its_end() -> None:
    seen: list[tuple[int, int]] = []
    race(model_of("bert"), examples_of("bert", 100), 2, progress=lambda *now: seen.append(now))
    assert seen == sorted(seen)
    assert seen[-1][0] == seen[-1][1]
    assert len({total for _, total in seen}) == 1


@pytest.mark.parametrize("count", [0, 8])
def test_all_or_nothing_is_no_question(count: int) -> None:
    with pytest.raises(PruningError, match="not a question"):
        race(model_of("bert"), examples_of("bert"), count)


def sampled(seed: int, units: int = 12, total: int = 512) -> np.ndarray:
    """Rises as they are in practice: heavy tails, correlated between units, many means close to each other."""
    rng = np.random.default_rng(seed)
    shared = rng.standard_t(4, (total, 1))
    noise = shared * rng.normal(size=units) + rng.standard_t(4, (total, units))
    return 0.05 * rng.normal(size=units) + 0.3 * noise


def test_decisions_are_hardly_ever_wrong() -> None:
    wrong = early = 0
    for seed in range(200):
        rises = sampled(seed)
        total, units, wanted = *rises.shape, 4
        truth = np.isin(np.arange(units), np.argsort(rises.mean(0))[:wanted])
        bad = False
        for end in looks(total)[:-1]:
            low, high = decided(rises[:end], total, wanted, 0.05 / len(looks(total)))
            bad |= bool((low & ~truth).any() or (high & truth).any())
            early += int((low | high).sum())
        wrong += bad
    assert wrong <= 10  # 5% of 200
    assert early > 100  # and not because nothing is ever decided


def test_what_is_far_apart_is_decided_at_once() -> None:
    rng = np.random.default_rng(0)
    rises = rng.normal(size=(FIRST, 6)) * 0.01 + np.array([0, 0, 0, 1, 1, 1])
    low, high = decided(rises, 10_000, 3, 0.01)
    assert low.tolist() == [True] * 3 + [False] * 3
    assert high.tolist() == [False] * 3 + [True] * 3


def test_units_that_are_alike_stay_open() -> None:
    rises = np.random.default_rng(0).normal(size=(FIRST, 6))
    low, high = decided(rises, 10_000, 3, 0.01)
    assert not low.any()
    assert not high.any()


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    folder = save("bert", tmp_path / "bert")
    rows = "".join(f"w{i % 90} w{i % 7},{i % 2}\n" for i in range(90))
    (tmp_path / "rows.csv").write_text("text,label\n" + rows, encoding="utf-8")
    options = ["score", str(folder), "--data", str(tmp_path / "rows.csv"), "--criterion", "ablation", "--lowest", "2"]
    code, value = run(options, capsys, monkeypatch)
    assert code == 0
    assert len(value["lowest"]["heads"]) == 2
    assert value["total"] == 90
    assert len(value["samples"]) == len(value["rises"]) == 8
    assert "examples" in value["statement"]
    code, message = run([*options, "--criterion", "gradient"], capsys, monkeypatch)
    assert code == 2
    assert "--lowest" in message
    code, message = run([*options, "--label-free"], capsys, monkeypatch)
    assert code == 2
    assert "labels" in message
