"""Screening in bfloat16 names what leave-one-out in float32 names, and says what it rests on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pruning import PruningError, UnsupportedError, score
from pruning.importance import screening
from pruning.importance.screening import doubtful, has_bfloat16, screen
from tests.families import examples_of, model_of, save
from tests.test_recover_command import run

needs_bfloat16 = pytest.mark.skipif(not has_bfloat16("cpu"), reason="this processor has no bfloat16 products")


@pytest.fixture
def any_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes out does not depend on how quick it is."""
    monkeypatch.setattr(screening, "has_bfloat16", lambda device: True)


@pytest.mark.usefixtures("any_processor")
@pytest.mark.parametrize("name", ["bert", "llama-lm", "vit", "albert"])
def test_it_names_what_leave_one_out_names(name: str) -> None:
    model, examples = model_of(name), examples_of(name, 24)
    full = score(model, "ablation", examples)
    for count in (1, 3):
        found = screen(model, examples, count)
        assert found.lowest == full.lowest(count)
        known = np.isfinite(found.rises)
        assert found.rises[known] == pytest.approx(full.flat()[known], abs=1e-6)
    assert next(model.module.parameters()).dtype is torch.float32  # the model that was given is as it was


@pytest.mark.usefixtures("any_processor")
def test_progress_goes_forward() -> None:
    seen: list[tuple[int, int]] = []
    screen(model_of("bert"), examples_of("bert", 24), 2, progress=lambda *now: seen.append(now))
    done = [now for now, _ in seen]
    assert done == sorted(done)
    assert all(now <= whole for now, whole in seen)


def test_whoever_may_belong_to_the_lowest_is_doubtful() -> None:
    truth = np.linspace(0, 1, 50)
    screened = truth + np.random.default_rng(0).normal(0, 0.01, 50)
    rises = np.full(50, np.nan)
    rises[:8] = truth[:8]
    assert doubtful(screened, rises, 5).tolist() == []  # the next is .08 above the fifth
    assert 8 in doubtful(screened, rises, 8)
    assert doubtful(screened, truth, 8).tolist() == []  # all are known


def test_it_is_hardly_ever_wrong() -> None:
    wrong = spared = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        truth = rng.normal(0, 0.02, 72)
        screened, rises = truth + rng.normal(0.0002, 0.0005, 72), np.full(72, np.nan)
        near = np.argsort(screened)[:14]
        while len(near):
            rises[near] = truth[near]
            near = doubtful(screened, rises, 10)
        wrong += set(np.argsort(rises)[:10]) != set(np.argsort(truth)[:10])
        spared += int(np.isnan(rises).sum())
    assert wrong <= 10  # 5% of 200
    assert spared > 200 * 40


@pytest.mark.parametrize("count", [0, 8])
def test_all_or_nothing_is_no_question(count: int) -> None:
    with pytest.raises(PruningError, match="not a question"):
        screen(model_of("bert"), examples_of("bert"), count)


def test_a_processor_without_bfloat16_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screening, "has_bfloat16", lambda device: False)
    with pytest.raises(UnsupportedError, match="bfloat16"):
        screen(model_of("bert"), examples_of("bert"), 2)


@needs_bfloat16
def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = "".join(f"w{i % 90} w{i % 7},{i % 2}\n" for i in range(30))
    (tmp_path / "rows.csv").write_text("text,label\n" + rows, encoding="utf-8")
    folder = str(save("bert", tmp_path / "bert"))
    options = ["score", folder, "--data", str(tmp_path / "rows.csv"), "--criterion", "ablation", "--screen"]
    code, value = run([*options, "--lowest", "2"], capsys, monkeypatch)
    assert code == 0
    assert len(value["lowest"]["heads"]) == 2
    assert "float32" in value["statement"]
    assert len(value["screened"]) == len(value["rises"]) == 8
    code, message = run(options, capsys, monkeypatch)
    assert code == 2
    assert "--lowest" in message
