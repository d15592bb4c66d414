"""``python -m pruning prune``: what it prints, what it writes, what it refuses."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from pruning.cli import main
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


def test_it_cuts_checks_writes_and_reloads(run: Any, tmp_path: Path) -> None:
    big = save("bert", tmp_path / "big")
    status, out, _ = run("prune", big, "--heads", "0:1,1:0-2", "-o", tmp_path / "small", "--json", "-")
    value = json.loads(out)
    assert status == 0
    assert value["difference"] <= 1e-5
    assert value["reload_difference"] == 0
    assert value["parameters"]["after"] < value["parameters"]["before"]
    assert value["mask"]["heads"] == [[0, 1], [1, 0], [1, 1], [1, 2]]
    assert Path(value["folder"]) == tmp_path / "small"
    status, out, _ = run("describe", tmp_path / "small", "--trust-remote-code", "--json", "-")
    assert [site["heads"] for site in json.loads(out)["sites"]] == [3, 1]
    assert json.loads(out)["parameters"] == value["parameters"]["after"]


def test_it_needs_no_tokenizer_and_reads_a_plan(run: Any, tmp_path: Path) -> None:
    big = save("gpt2-lm", tmp_path / "big")
    for path in big.glob("token*"):
        path.unlink()
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps({"mask": {"version": 1, "heads": [[1, 2]]}, "budget": {"heads": 0.9}}))
    status, out, _ = run("prune", big, "--plan", plan, "-o", tmp_path / "small", "--json", "-")
    assert status == 0
    assert json.loads(out)["mask"]["heads"] == [[1, 2]]


def test_heads_of_a_group_that_stays_are_named(run: Any, tmp_path: Path) -> None:
    big = save("llama", tmp_path / "big")
    command = ("prune", big, "--heads", "0:0,0:1,1:0", "--json", "-", "-o")
    status, out, _ = run(*command, tmp_path / "whole", "--whole-groups")
    assert status == 0
    assert json.loads(out)["restored"] == [[1, 0]]
    status, out, _ = run(*command, tmp_path / "exact")
    assert status == 0
    assert json.loads(out)["mask"]["heads"] == [[0, 0], [0, 1], [1, 0]]
    assert "part of a key-value group" in json.loads(out)["notes"][0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--heads", "9:1", "-o", "{tmp}/new"], "does not exist"),
        (["-o", "{tmp}/new"], "say what to cut out"),
        (["--heads", "0:1", "-o", "{tmp}"], "exists already"),
        (["--heads", "0:1", "-o", "{tmp}", "--overwrite"], "holds the model"),
        (["--heads", "0:1"], "Missing option"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(run: Any, tmp_path: Path, arguments: list[str], message: str) -> None:
    big = save("bert", tmp_path / "big")
    before = sorted(path.name for path in tmp_path.iterdir())
    status, out, error = run("prune", big, *(part.format(tmp=tmp_path) for part in arguments))
    assert (status, out, len(error)) == (2, "", 1)
    assert message in error[0]
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_what_cannot_be_cut_is_said_in_one_line(run: Any, tmp_path: Path) -> None:
    big = save("t5", tmp_path / "big")
    mask = tmp_path / "mask.json"
    mask.write_text(json.dumps({"version": 1, "layers": [0]}))  # it computes the position bias of all layers
    status, _, error = run("prune", big, "--mask", mask, "-o", tmp_path / "small")
    assert status == 2
    assert len(error) == 1
    assert "cannot be cut" in error[0]
    assert not (tmp_path / "small").exists()


def test_a_key_value_group_is_a_unit(run: Any, tmp_path: Path) -> None:
    big = save("llama", tmp_path / "big")
    status, out, _ = run("prune", big, "--groups", "0:1,1:0", "-o", tmp_path / "small", "--json", "-")
    assert status == 0
    assert json.loads(out)["mask"]["heads"] == [[0, 2], [0, 3], [1, 0], [1, 1]]
    assert json.loads(out)["notes"] == []
    status, _, error = run("prune", big, "--groups", "0:2", "-o", tmp_path / "other")
    assert status == 2
    assert "key-value group 0:2 does not exist" in error[0]


def test_own_data_with_other_columns_is_measured_and_the_card_says_how(run: Any, tmp_path: Path) -> None:
    """The options of rows are those of the other commands, and the card's command leads to the same cut."""
    big, own = save("llama", tmp_path / "big"), tmp_path / "own.csv"
    own.write_text("words,kind\nred blue,0\nblue one,1\ntwo red,0\n")
    command = ["prune", big, "--heads", "0:0,0:1,1:0", "--whole-groups", "--data", own, "--samples", "2"]
    command += ["--text-column", "words", "--label-column", "kind", "--batch-size", "1", "--seed", "3"]
    status, out, error = run(*command, "-o", tmp_path / "small", "--json", "-")
    assert (status, error) == (0, [])
    assert json.loads(out)["metrics"]["after"]["loss"]["value"] > 0
    card = (tmp_path / "small" / "README.md").read_text(encoding="utf-8")
    assert "2 examples" in card
    given = set(next(line for line in card.splitlines() if line.startswith("python -m pruning prune")).split())
    assert given == {"python", "-m", "pruning", *map(str, command), "-o", "FOLDER"}
    status, _, error = run(*command[:-4], "--label-column", "sort", "-o", tmp_path / "other")
    assert (status, len(error)) == (2, 1)
    assert "no label column 'sort'" in error[0]


def test_what_would_fail_at_the_end_is_refused_at_the_start(run: Any, tmp_path: Path) -> None:
    """Before the model is even looked for, so none is needed here."""
    plan, nowhere = tmp_path / "plan.json", tmp_path / "nowhere" / "p.json"
    plan.write_text(json.dumps({"mask": {"version": 1, "heads": []}}))
    budget = ("--budget", "heads=1")
    for command, message in (
        (("prune", "none", "--heads", "0:0", "-o", tmp_path / "small", "--json", nowhere), "there is no folder"),
        (("plan", "none", "--data", "demo", *budget, "-o", nowhere), "there is no folder"),
        (("plan", "none", "--data", "demo", *budget, "-o", tmp_path), "it is a folder"),
        (("prune", "none", "--plan", plan, "-o", tmp_path / "small"), "plan.json removes nothing"),
        (("sparsify", "none", "--data", "demo", "--pattern", "2:4", "--share", "0.9"), "leave out --share"),
    ):
        status, out, error = run(*command)
        assert (status, out, len(error)) == (2, "", 1)
        assert message in error[0]
