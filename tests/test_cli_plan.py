"""``python -m pruning plan``, and what prune and evaluate make of its file."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from pruning.cli import main
from pruning.plan import Plan
from tests.families import save


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Any:
    """Run the command line in this process; returns status, standard output and the lines of standard error."""

    def call(*arguments: object) -> tuple[int, str, list[str]]:
        monkeypatch.setattr(sys, "argv", ["pruning", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as caught:
            main()
        out, error = capfd.readouterr()
        return int(caught.value.code or 0), out, error.splitlines()

    return call


@pytest.fixture
def command(bert_folder: Path, reviews: Path, tmp_path: Path) -> list[object]:
    return ["plan", bert_folder, "--data", reviews, "--strategy", "one-shot", "-o", tmp_path / "plan.json"]


def test_a_plan_is_written_printed_and_carried_out(
    run: Any, command: list[object], bert_folder: Path, reviews: Path, tmp_path: Path
) -> None:
    status, out, _ = run(*command, "--criterion", "gradient", "--budget", "heads=0.5", "--json", "-")
    value = json.loads(out)
    assert status == 0
    assert len(value["mask"]["heads"]) == value["predicted"]["heads"] == 4
    assert (value["budget"], value["criterion"], value["scopes"]) == ({"heads": 0.5}, "gradient", ["heads"])
    assert json.loads((tmp_path / "plan.json").read_text()) == value
    status, out, _ = run(
        "prune", bert_folder, "--plan", tmp_path / "plan.json", "-o", tmp_path / "small", "--json", "-"
    )
    done = json.loads(out)
    assert status == 0
    assert done["predicted"]["parameters"] == done["reached"]["parameters"] == done["parameters"]["after"]
    assert done["predicted"]["macs"] == done["reached"]["macs"]
    status, out, _ = run("evaluate", bert_folder, "--data", reviews, "--mask", tmp_path / "plan.json", "--json", "-")
    assert status == 0
    assert json.loads(out)["mask"] == value["mask"]


def test_its_lines_say_what_it_will_give(run: Any, command: list[object], bert_folder: Path, tmp_path: Path) -> None:
    status, out, _ = run(*command, "--budget", "macs=0.7", "--scope", "heads,neurons", "--strategy", "fisher")
    assert status == 0
    assert "neurons" in out
    assert "macs=0.7:" in out
    assert "parameters," in out
    status, out, _ = run("prune", bert_folder, "--plan", tmp_path / "plan.json", "-o", tmp_path / "small")
    assert status == 0
    assert "predicted by the plan" in out
    assert "reached by the cut" in out


def test_options_reach_the_search(run: Any, command: list[object]) -> None:
    more = ("--budget", "heads=0.75", "--protect-heads", "0:0-2", "--protect-layers", "1", "--compensate", "mean")
    status, out, error = run(*command, *more, "--json", "-")
    assert (status, out, len(error)) == (2, "", 1)  # one head may go, two would have to
    assert "nearest that can is heads=0.875" in error[0]
    status, out, _ = run(*command, *more[2:], "--budget", "heads=0.875", "--json", "-")
    assert status == 0
    assert json.loads(out)["mask"]["heads"] == [[0, 3]]
    assert json.loads(out)["compensation"] == "mean"


def test_settings_of_the_strategy(run: Any, command: list[object], tmp_path: Path) -> None:
    status, _, _ = run(*command, "--budget", "heads=0.5", "--strategy", "iterative", "--set", "step=4")
    assert status == 0
    assert Plan.read(tmp_path / "plan.json").settings == {"step": 4, "replacement": "auto"}


def test_a_threshold_and_a_guarantee_take_the_place_of_a_budget(run: Any, command: list[object]) -> None:
    _, out, _ = run("score", *command[1:4], "--json", "-")
    values = sorted(value for row in json.loads(out)["importance"]["gradient"] for value in row)
    status, out, _ = run(*command, "--criterion", "gradient", "--threshold", values[3], "--json", "-")
    assert status == 0
    assert (json.loads(out)["budget"], json.loads(out)["threshold"]) == (None, values[3])
    assert len(json.loads(out)["mask"]["heads"]) == 3
    status, out, _ = run(*command, "--guarantee", "1", "--json", "-")
    assert status == 0
    assert json.loads(out)["guarantee"]["confirmed"] is False
    assert json.loads(out)["mask"]["heads"] == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give one of --budget"),
        (["--budget", "heads=0.5", "--threshold", "1"], "give one of --budget"),
        (["--budget", "heads=2"], "2 is not a share"),
        (["--budget", "size=0.5"], "there is no budget in 'size'; there are heads"),
        (["--budget", "heads=0.5", "--scope", "tails"], "there is no scope 'tails'"),
        (["--budget", "heads=0.5", "--strategy", "best"], "there is no strategy 'best'; there are one-shot"),
        (["--budget", "heads=0.5", "--criterion", "best"], "there is no criterion 'best'"),
        (["--budget", "heads=0.5", "--strategy", "uniform", "--scope", "layers"], "does not choose among layers"),
        (["--budget", "heads=0.5", "--set", "step"], "write NAME=VALUE"),
        (["--budget", "heads=0.5", "--set", "step=4"], "has no setting 'step'"),
        (["--budget", "heads=0.5", "--protect-layers", "one"], "'one' is not a layer"),
        (["--budget", "heads=0.5", "--protect-heads", "9:0"], "head 9:0 does not exist"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    run: Any, command: list[object], tmp_path: Path, arguments: list[str], message: str
) -> None:
    status, out, error = run(*command, *arguments)
    assert (status, out, len(error)) == (2, "", 1)
    assert message in error[0]
    assert not (tmp_path / "plan.json").exists()


def test_a_plan_for_another_model_is_refused_or_noted(run: Any, command: list[object], tmp_path: Path) -> None:
    run(*command, "--budget", "heads=0.5")
    plan = tmp_path / "plan.json"
    status, out, _ = run("prune", save("roberta", tmp_path / "like"), "--plan", plan, "-o", tmp_path / "one")
    assert status == 0
    assert "made for other weights" in out
    status, _, error = run("prune", save("albert", tmp_path / "unlike"), "--plan", plan, "-o", tmp_path / "two")
    assert status == 2
    assert "made for another model" in error[0]
