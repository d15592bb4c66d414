"""In steps: the masks that lead to a mask, and the two commands that let a model shrink while it is trained."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from pruning import Mask, PruningError, score
from pruning.cli import main
from pruning.cli.sparsifying import other_rows
from pruning.errors import DataError
from pruning.masks import NeuronId
from pruning.recovery.gradual import in_steps
from pruning.recovery.settings import Training
from pruning.scopes import SCOPES, Scope, units_of
from pruning.unstructured import Sparsity
from pruning.unstructured.dynamic import sparsify_gradually
from tests.families import examples_of, model_of
from tests.test_training import MASK

WIDE = Mask(MASK.heads, frozenset(NeuronId(0, neuron) for neuron in range(0, 40, 3)), frozenset({1}))


# Masks ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["bert", "vit", "llama-lm"])
def test_the_masks_are_nested_and_even_and_end_at_the_mask(name: str) -> None:
    masks = in_steps(model_of(name), WIDE, examples_of(name), 4)
    assert masks[-1] == WIDE
    assert all(one and not one - other and one != other for one, other in pairwise(masks))
    assert [[len(units_of(mask, scope)) for scope in SCOPES] for mask in masks] == [
        [1, 3, 0],
        [2, 7, 0],
        [3, 10, 0],
        [4, 14, 1],
    ]


@pytest.mark.parametrize("scope", ["heads", "neurons"])
def test_the_least_important_go_first(scope: Scope) -> None:
    model, examples, seen = model_of("bert"), examples_of("bert"), []
    masks = in_steps(model, WIDE, examples, 4, progress=lambda *now: seen.append(now))
    keep = score(model, "gradient", examples, scope=scope).keep_values
    for mask in masks[:-1]:
        gone = units_of(mask, scope)
        assert max(keep[unit] for unit in gone) < min(keep[unit] for unit in units_of(WIDE, scope) - gone)
    assert seen[-1] == (6, 6)


def test_steps_that_would_take_nothing_are_left_out() -> None:
    model, examples, two = model_of("bert"), examples_of("bert"), Mask.parse_heads("0:1,1:2")
    masks = in_steps(model, two, examples, 8)
    assert [len(mask.heads) for mask in masks] == [1, 2]
    assert in_steps(model, two, examples, 1) == [two]
    assert in_steps(model, Mask(), examples, 3) == [Mask()]


def test_what_cannot_be_ranked_is_said() -> None:
    with pytest.raises(PruningError, match="steps is 0: it must be at least 1"):
        in_steps(model_of("bert"), MASK, examples_of("bert"), 0)
    with pytest.raises(PruningError, match="9"):
        in_steps(model_of("bert"), Mask.parse_heads("9:0"), examples_of("bert"), 2)


def test_what_grew_too_late_is_told() -> None:
    """A clock that goes on by a minute whenever somebody looks: the time is up after some steps."""
    minutes = iter(range(10_000))
    found = sparsify_gradually(
        model_of("bert"), examples_of("bert", 20), Sparsity(share=0.8),
        training=Training("fine-tune", batch_size=4, minutes=6), watch=lambda: 60.0 * next(minutes),
    )  # fmt: skip
    assert found.training is not None
    assert found.training.reason == "minutes"
    assert 0 < found.late < 0.8
    assert found.share == pytest.approx(0.8, abs=1e-3)
    grown = sparsify_gradually(model_of("bert"), examples_of("bert", 20), Sparsity(share=0.8))
    assert grown.late == 0


# The commands --------------------------------------------------------------------------------------------------------


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Any:
    """Run the command line in this process; returns status, what it gives as JSON, and standard error."""

    def call(*arguments: object) -> tuple[int, Any, str]:
        monkeypatch.setattr("sys.argv", ["pruning", *map(str, arguments), "--json", "-"])
        capfd.readouterr()
        with pytest.raises(SystemExit) as caught:
            main()
        out, error = capfd.readouterr()
        return int(caught.value.code or 0), json.loads(out) if out else None, error

    return call


@pytest.fixture
def measured(tmp_path: Path) -> Path:
    file = tmp_path / "measured.csv"
    file.write_text("text,label\n" + "".join(f"w{row} w{row + 1},{row % 2}\n" for row in range(9)))
    return file


@pytest.mark.parametrize(("steps", "masks"), [([], 1), (["--recover-steps", 3], 3), (["--recover-steps", 20], 4)])
def test_prune_trains_in_steps(
    run: Any, bert_folder: Path, reviews: Path, tmp_path: Path, steps: Any, masks: int
) -> None:
    rows = ["--recover-data", reviews, "--recover-minutes", 1]
    code, value, error = run(
        "prune", bert_folder, "--heads", "0:1,1:0-2", "--recover", "lora", *rows, *steps, "-o", tmp_path / "out"
    )
    assert code == 0, error
    training, card = value["training"], (tmp_path / "out" / "README.md").read_text()
    assert training["masks"] == masks
    assert [row["step"] for row in training["history"]].count(0) == masks
    assert value["mask"]["heads"] == [[0, 1], [1, 0], [1, 1], [1, 2]]
    assert value["reload_difference"] == 0
    assert (f"in {masks} cuts" in value["recovery"]) == (masks > 1)
    assert not steps or f"--recover-steps {steps[1]}" in card


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--recover-steps", "3"], "--recover-steps needs --recover finetune|lora|distill"),
        (["--recover-steps", "3", "--recover", "mean"], "--recover-steps needs --recover finetune|lora|distill"),
        (
            ["--recover-steps", "3", "--recover", "mean", "--recover", "lora"],
            "--recover-steps and --recover mean exclude each other: the steps start from the whole model",
        ),
        (["--recover-steps", "1", "--recover", "lora"], "not in the range 2<=x<=20"),
    ],
)
def test_prune_says_what_steps_need(
    run: Any, bert_folder: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    code, _, error = run("prune", bert_folder, "--heads", "0:0", "-o", tmp_path / "out", *arguments)
    assert code == 2
    assert message in error
    assert not (tmp_path / "out").exists()


def test_a_compensated_plan_is_not_cut_in_steps(run: Any, bert_folder: Path, reviews: Path, tmp_path: Path) -> None:
    arguments = ["--data", reviews, "--criterion", "magnitude", "--strategy", "one-shot", "--budget", "heads=0.5"]
    code, _, error = run("plan", bert_folder, *arguments, "--compensate", "mean", "-o", tmp_path / "plan.json")
    assert code == 0, error
    arguments = ["--recover", "lora", "--recover-steps", "2", "--recover-data", reviews, "-o", tmp_path / "out"]
    code, _, error = run("prune", bert_folder, "--plan", tmp_path / "plan.json", *arguments)
    assert code == 2
    assert "--recover-steps and the plan's compensation mean exclude each other" in error


def test_sparsify_trains_on_some_rows_and_measures_others(
    run: Any, bert_folder: Path, reviews: Path, measured: Path, tmp_path: Path
) -> None:
    rows = ["--data", reviews, "--measure", measured, "--minutes", 1]
    more = ["--share", 0.3, "--rounds", 2, "-o", tmp_path / "sparse"]
    code, value, error = run("sparsify", bert_folder, "--gradual", *rows, *more)
    assert code == 0, error
    assert value["figures"]["share"] == pytest.approx(0.3, abs=0.01)
    assert (value["samples"], value["measured"]) == (9, str(measured))
    training = value["training"]
    assert training["rows"] == {"trained": 32, "held_out": 8}
    assert (training["method"], training["masks"], training["late_share"]) == ("fine-tune", 1, 0)
    assert value["reload_difference"] == 0
    card = (tmp_path / "sparse" / "README.md").read_text()
    assert "trained by fine-tune on labels + distillation" in card


def test_sparsify_measures_other_rows_without_training(
    run: Any, bert_folder: Path, reviews: Path, measured: Path
) -> None:
    for rows, samples in (([], 40), (["--measure", reviews], 40), (["--measure", measured], 9)):
        code, value, error = run("sparsify", bert_folder, "--data", reviews, *rows, "--rounds", 2)
        assert code == 0, error
        assert value["samples"] == samples
        assert "training" not in value


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--minutes", "1"], "--minutes needs --gradual"),
        (["--gradual"], "name the rows to measure on: --measure DATA"),
        (["--gradual", "--measure", "{reviews}"], "hold the same rows: measure on others"),
        (["--gradual", "--measure", "{reviews}", "--samples", "12"], "hold the same rows: measure on others"),
        (["--gradual", "--measure", "{measured}", "--pattern", "2:4"], "use fine-tune without a pattern"),
    ],
)
def test_sparsify_says_what_does_not_go(
    run: Any, bert_folder: Path, reviews: Path, measured: Path, arguments: list[str], message: str
) -> None:
    arguments = [one.format(reviews=reviews, measured=measured) for one in arguments]
    code, _, error = run("sparsify", bert_folder, "--data", reviews, *arguments)
    assert code == 2
    assert message in error


def test_a_built_in_model_is_measured_on_its_own_rows() -> None:
    options = {"model": "demo", "data": "demo", "split": "calibration", "measure": None, "gradual": True}
    options |= {"text_column": None, "label_column": None}
    found = other_rows(options)
    assert found is not None
    assert (found.spec.name, found.spec.split, len(found)) == ("demo", "evaluation", 1500)
    assert other_rows(options | {"gradual": False}) is None
    with pytest.raises(DataError, match="hold the same rows"):
        other_rows(options | {"split": "evaluation"})
