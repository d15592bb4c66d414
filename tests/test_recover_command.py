"""``prune --recover``: what is written has the other numbers, and reloads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pruning.cli import main


def run(arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> tuple[int, Any]:
    monkeypatch.setattr("sys.argv", ["pruning", *arguments, "--json", "-"])
    with pytest.raises(SystemExit) as done:
        main()
    printed = capsys.readouterr()
    return int(done.value.code or 0), json.loads(printed.out) if not done.value.code else printed.err


@pytest.fixture
def rows(tmp_path: Path) -> str:
    file = tmp_path / "rows.csv"
    texts = ["a slow start", "the last half hour is a delight", "dull", "I laughed and laughed", "a waste of time"]
    file.write_text("text,label\n" + "".join(f"{text},{i % 2}\n" for i, text in enumerate(texts)))
    return str(file)


@pytest.mark.parametrize("method", ["mean", "reconstruct"])
def test_the_checkpoint_is_compensated(
    method: str, rows: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["prune", "demo", "--heads", "0:0-5,3:2", "--recover", method, "--recover-data", rows]
    code, value = run([*arguments, "-o", str(tmp_path / "out")], capsys, monkeypatch)
    assert code == 0, value
    assert value["compensation"] == method
    assert value["difference"] <= 1e-5
    assert value["reload_difference"] == 0
    assert "5 calibration examples" in value["notes"][-1]
    assert value["notes"][-1] in (tmp_path / "out" / "README.md").read_text()


def test_a_plan_brings_its_compensation(
    rows: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = str(tmp_path / "plan.json")
    arguments = ["plan", "demo", "--data", rows, "--criterion", "magnitude", "--strategy", "one-shot"]
    code, value = run([*arguments, "--budget", "heads=0.9", "--compensate", "mean", "-o", plan], capsys, monkeypatch)
    assert code == 0, value
    arguments = ["prune", "demo", "--plan", plan, "--recover-data", rows, "-o", str(tmp_path / "out")]
    code, value = run(arguments, capsys, monkeypatch)
    assert code == 0, value
    assert value["compensation"] == "mean"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--recover", "mean", "--recover", "reconstruct"], "exclude each other"),
        (["--recover", "mean", "--recover-minutes", "1"], "--recover-minutes needs"),
        (["--recover-data", "demo"], "--recover-data needs"),
        (["--recover", "magic"], "is not one of"),
    ],
)
def test_what_does_not_go_together_is_said(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    start = ["prune", "demo", "--heads", "0:0", "-o", str(tmp_path / "out")]
    code, error = run([*start, *arguments], capsys, monkeypatch)
    assert code == 2
    assert message in error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("method", ["mean", "reconstruct"])
def test_the_preview_of_a_plan_is_what_its_checkpoint_gives(
    method: str, rows: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = tmp_path / "measured.csv"
    measured.write_text("text,label\nnever dull,1\na waste of a good cast,0\nsuch a delight,1\n")
    plan, out, data = str(tmp_path / "plan.json"), str(tmp_path / "out"), ["--recover-data", rows]
    arguments = ["plan", "demo", "--data", rows, "--criterion", "magnitude", "--strategy", "one-shot"]
    code, value = run([*arguments, "--budget", "heads=0.5", "--compensate", method, "-o", plan], capsys, monkeypatch)
    assert code == 0, value
    arguments = ["evaluate", "demo", "--data", str(measured), "--mask", plan]
    code, masked = run([*arguments, *data], capsys, monkeypatch)
    assert code == 0, masked
    assert masked["compensation"] == method
    code, plain = run([*arguments, "--recover", "none"], capsys, monkeypatch)
    assert code == 0, plain
    assert plain["compensation"] == "none"
    assert abs(plain["loss"] - masked["loss"]) > 1e-4
    code, value = run(["prune", "demo", "--plan", plan, "-o", out, *data], capsys, monkeypatch)
    assert code == 0, value
    code, cut = run(["evaluate", out, "--data", str(measured), "--trust-remote-code"], capsys, monkeypatch)
    assert code == 0, cut
    assert abs(cut["loss"] - masked["loss"]) <= 1e-5


def test_a_guarantee_is_not_mixed_with_compensation(
    rows: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["plan", "demo", "--data", rows, "--guarantee", "2", "--compensate", "mean", "-o", str(tmp_path / "p")]
    code, error = run(arguments, capsys, monkeypatch)
    assert code == 2
    assert "without compensation" in error
