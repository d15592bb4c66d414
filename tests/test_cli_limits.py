"""What the command line refuses before it reads rows or a model: numbers that make no sense, and options given twice.

No model and no rows are there, so that a command that begins to work says so instead.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import click
import pytest

from pruning.cli import commands, main

ROWS = ["none", "--data", "none.csv"]
NEEDED = {
    "describe": ["none"],
    "score": ROWS,
    "evaluate": ROWS,
    "plan": [*ROWS, "-o", "plan.json"],
    "prune": ["none", "--heads", "0:0", "--recover", "distill", "-o", "small"],
    "sweep": [*ROWS, "-o", "table.csv"],
    "sparsify": [*ROWS, "--gradual"],
    "conformance": ["--family", "none"],
}
NUMBERS = ("nan", "inf", "-inf", "-1", "0", "0.5", "1e30", f"1{'0' * 30}", "many", "")
POSSIBLE = {
    "--threshold": {"-1", "0", "0.5", "1e30", f"1{'0' * 30}"},  # any value that importance can have
    "--guarantee": {"0.5"},
    "--seed": {"0"},
    "--share": {"0", "0.5"},
    "--minutes": {"0.5", "1e30", f"1{'0' * 30}"},
    "--recover-minutes": {"0.5", "1e30", f"1{'0' * 30}"},
    "--memory": {"0.5"},
}


@pytest.fixture
def refusal(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Any:
    """Run the command line in this process and an empty folder; returns the one line on standard error."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["pruning", *arguments])
        with pytest.raises(SystemExit) as caught:
            main()
        out, error = capfd.readouterr()
        assert (caught.value.code, out, error.count("\n")) == (2, "", 1), (arguments, error)
        assert list(tmp_path.iterdir()) == []
        return error

    return call


def numeric_options(name: str) -> list[str]:
    kinds = (click.types.IntParamType, click.types.FloatParamType)
    return [one.opts[0] for one in commands.commands[name].params if isinstance(one.type, kinds)]


@pytest.mark.parametrize(
    ("name", "option"), [(name, option) for name in commands.commands for option in numeric_options(name)]
)
def test_every_number_is_possible_or_refused_at_once(refusal: Any, name: str, option: str) -> None:
    ways = [] if option in ("--threshold", "--guarantee") or name != "plan" else ["--budget", "heads=0.5"]
    for number in NUMBERS:
        refused = option in refusal(name, *NEEDED[name], *ways, option, number)
        assert refused == (number not in POSSIBLE.get(option, set())), number


def test_every_number_that_a_command_takes_is_bounded_or_finite() -> None:
    """A new option cannot bring nan back: plain click types let it through."""
    for command in commands.commands.values():
        for option in command.params:
            if isinstance(option.type, click.IntRange):
                assert option.type.max is not None, (command.name, option.name)
            if isinstance(option.type, click.types.FloatParamType) and command.name != "conformance":
                with pytest.raises(click.BadParameter):
                    option.type.convert(math.nan, option, None)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("plan", "--budget", "heads=nan"), "is not a budget"),
        (("plan", "--budget", "heads=-1"), "is not a budget"),
        (("plan", "--budget", "heads=1e30"), "is not a budget"),
        (("plan", "--budget", "heads=1000"), "1000 is not a share"),
        (("plan", "--budget", ""), "is not a budget"),
        (("plan", "--budget", "heads=0.5", "--budget", "macs=0.5"), "--budget is given 2 times (heads=0.5, macs=0.5)"),
        (("plan", "--budget", "heads=0.5", "--protect-layers", "-1"), "'-1' is not a layer"),
        (("plan", "--budget", "heads=0.5", "--protect-heads", "nan"), "'nan' is not a head"),
        (("plan", "--budget", "heads=0.5", "--strategy", "iterative", "--set", "step=nan"), "step=nan cannot be"),
        (("plan", "--budget", "heads=0.5", "--strategy", "greedy", "--set", "rows=-1"), "rows and candidates are 0 or"),
        (("sweep", "--budgets", "heads=0.5,macs=nan"), "is not a budget"),
        (("sweep", "--seeds", "0,nan"), "are not seeds"),
        (("sweep", "--seeds", f"1{'0' * 30}"), "seeds are whole numbers from 0 to"),
        (("sparsify", "--pattern", "0:4"), "0:4"),
        (("sparsify", "--pattern", "nan"), "nan"),
        (("score", "--screen"), "--screen goes with --lowest"),
        (("score", "--lowest", "2"), "--lowest goes with --criterion ablation"),
        (("evaluate", "--mask", "a.json", "--mask", "b.json"), "--mask is given 2 times (a.json, b.json)"),
        (("evaluate", "--heads", "0:1", "--heads", "nan"), "'nan' is not a head"),
        (("prune", "--plan", "a.json"), "either --mask or --heads"),
        (("prune", "-o", "-"), "cannot go to standard output"),
        (("sparsify", "-o", "-"), "cannot go to standard output"),
        (("sweep", "-o", "-"), "- is not a table that can be written"),
        (("plan", "--budget", "heads=0.5", "-o", "-"), "for standard output say --json -"),
    ],
)
def test_texts_with_numbers_in_them(refusal: Any, arguments: tuple[str, ...], message: str) -> None:
    name, *more = arguments
    assert message in refusal(name, *NEEDED[name], *more)


def test_lists_that_are_given_twice_are_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, option, values, together in (
        ("prune", "--heads", ("0:1", "1:2"), "0:1,1:2"),
        ("evaluate", "--groups", ("0:1", "1:2"), "0:1,1:2"),
        ("plan", "--scope", ("heads", "neurons"), "heads,neurons"),
        ("plan", "--scope", (), "heads"),
        ("plan", "--protect-layers", ("0", "1"), "0,1"),
        ("sweep", "--criteria", ("entropy", "wanda,random"), "entropy,wanda,random"),
        ("sweep", "--seeds", ("1", "2"), "1,2"),
        ("sweep", "--seeds", (), ""),
    ):
        given = [part for value in values for part in (option, value)]
        needed = [part for part in NEEDED[name] if part not in ("--heads", "0:0")]
        context = commands.commands[name].make_context(name, [*needed, *given])
        assert context.params[option.strip("-").replace("-", "_")] == together


def test_a_place_where_no_folder_can_be_made_is_refused_at_once(refusal: Any, tmp_path: Path) -> None:
    """`refusal` runs in an empty folder, which an export may replace anywhere else."""
    prune = ("prune", "none", "--heads", "0:0", "--overwrite", "-o")
    assert "the folder that the command runs in" in refusal(*prune, ".")
    assert "the folder that the command runs in" in refusal(*prune, str(tmp_path))
    assert "/dev/null is not a folder" in refusal(*prune, "/dev/null/small")
