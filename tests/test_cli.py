"""The command line: what each command answers, and one line and status 2 for every bad input.

Most calls run `main` in this process; a few run in one of their own, where nothing has been imported before.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pruning import criteria
from pruning.cli import main
from tests import reference
from tests.families import FAMILIES, HEAD_DIM, HEADS, LAYERS, save, tokenizer_of

ROOT = Path(__file__).resolve().parents[1]
OUTPUT = {"bert": "bert.encoder.layer.{}.attention.output.dense", "llama": "model.layers.{}.self_attn.o_proj",
          "gpt2-lm": "transformer.h.{}.attn.c_proj"}  # fmt: skip
METRICS = ["accuracy", "f1", "precision", "recall", "loss", "confidence", "calibration_error"]


@dataclass(frozen=True)
class Answer:
    status: int
    stdout: str
    stderr: str

    @property
    def value(self) -> Any:
        """What ``--json -`` printed, which has to be everything that was printed, and strict JSON."""
        assert (self.status, self.stderr) == (0, "")

        def refuse(name: str) -> None:
            raise ValueError(f"{name} is not JSON")

        return json.loads(self.stdout, parse_constant=refuse)


Run = Callable[..., Answer]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run the command line in this process; both streams are caught at their file descriptors."""

    def call(*arguments: object) -> Answer:
        monkeypatch.setattr(sys, "argv", ["pruning", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as caught:
            main()
        return Answer(int(caught.value.code or 0), *capfd.readouterr())

    return call


def run_alone(*arguments: object, **environment: str) -> Answer:
    """Run the command line in a process of its own, on one thread."""
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "HEADROOM_THREADS": "1", **environment}
    command = [sys.executable, "-m", "pruning", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    return Answer(done.returncode, done.stdout, done.stderr)


# What the commands answer ------------------------------------------------------------------------------------------


def test_models(run: Run) -> None:
    demo, digits, smollm2 = run("models", "--json", "-").value["models"]
    assert (demo["name"], demo["task"], demo["licence"]) == ("demo", "text-classification", "Apache-2.0")
    assert demo["present"] is digits["present"] is True
    assert (smollm2["name"], smollm2["task"]) == ("smollm2", "language-modeling")


def test_criteria(run: Run) -> None:
    rows = run("criteria", "--json", "-").value["criteria"]
    assert [row["name"] for row in rows] == list(criteria())
    wanted = {"name", "label", "direction", "needs_labels", "needs_gradients", "cost", "reference"}
    assert all(wanted <= row.keys() for row in rows)


def test_only_commands_that_exist_are_offered(run: Run) -> None:
    text = run("--help").stdout
    listed = {line.split()[0] for line in text.partition("Commands:")[2].splitlines() if line.strip()}
    assert listed >= {"models", "criteria", "describe", "score", "evaluate"}
    assert all(run(command, "--help").status == 0 for command in listed)


def test_describe_in_its_own_process(bert_folder: Path) -> None:
    """Standard output holds the JSON and nothing else, standard error nothing at all."""
    value = run_alone("describe", bert_folder, "--json", "-").value
    assert value.keys() >= {"sites", "blocks", "layers", "parameters", "macs", "support"}
    for index, site in enumerate(value["sites"]):
        assert site == {
            "index": index,
            "name": f"bert.encoder.layer.{index}.attention.self",
            "projection": f"bert.encoder.layer.{index}.attention.output.dense",
            "kind": "encoder self",
            "heads": 4,
            "kv_heads": 4,
            "head_dim": 8,
            "layout": "compact",
            "support": "prune",
            "reason": "",
        }
    assert value["parameters"] == sum(p.numel() for p in FAMILIES["bert"].build().parameters())
    assert len(value["blocks"]) == len(value["layers"]) == LAYERS


def test_results_go_to_a_file_and_a_summary_to_the_screen(run: Run, bert_folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "anatomy.json"
    answer = run("describe", bert_folder, "--json", path)
    assert answer.status == 0
    assert "8 heads" in answer.stdout
    assert json.loads(path.read_text(encoding="utf-8")) == run("describe", bert_folder, "--json", "-").value


def importance(answer: Answer, name: str) -> np.ndarray:
    return np.array(answer.value["importance"][name])


@pytest.mark.parametrize("name", OUTPUT)
def test_scores_of_a_folder_and_a_file(run: Run, name: str, tmp_path: Path, reviews: Path) -> None:
    """Gradient and ablation against independent implementations that read the same folder and file, to 1e-5."""
    folder, frame = save(name, tmp_path / name), pd.read_csv(reviews)
    command = ["score", folder, "--data", reviews, "--criterion", "gradient", "--criterion", "ablation", "--json", "-"]
    one, many = run(*command, "--batch-size", 1), run(*command, "--batch-size", 32)
    encoded = [dict(tokenizer_of(name)(text)) for text in frame["text"]]
    labels = [None if name.endswith("lm") else int(label) for label in frame["label"]]
    pairs, paths = list(zip(encoded, labels, strict=True)), [OUTPUT[name].format(i) for i in range(LAYERS)]
    expected = {
        "gradient": reference.absolute_gradients(FAMILIES[name].build(), paths, HEADS, pairs),
        "ablation": reference.ablations(FAMILIES[name].build, paths, HEADS, HEAD_DIM, pairs),
    }
    for criterion, values in expected.items():
        np.testing.assert_allclose(importance(one, criterion), values, rtol=0, atol=1e-5)
        np.testing.assert_allclose(importance(many, criterion), importance(one, criterion), rtol=0, atol=1e-6)
    assert many.value["samples"] == len(frame) == 40
    assert many.value.keys() >= {"importance", "sites", "samples", "seed", "seconds"}


def test_score_options(run: Run, bert_folder: Path, reviews: Path) -> None:
    command = ["score", bert_folder, "--data", reviews, "--samples", 7, "--json", "-"]
    plain = run(*command).value
    assert plain["samples"] == 7
    assert list(plain["importance"]) == ["gradient"]
    assert len(plain["sites"]) == len(plain["importance"]["gradient"]) == LAYERS
    first, again, other = (run(*command, "--criterion", "random", "--seed", seed).value for seed in (1, 1, 2))
    assert first["importance"] == again["importance"] != other["importance"]
    assert run(*command, "--dtype", "bfloat16", "--device", "cpu").value["samples"] == 7


def test_samples_are_those_that_were_used(run: Run, bert_folder: Path, reviews: Path, tmp_path: Path) -> None:
    """Shapley values take 64 rows at most, and weights none at all."""
    rows = pd.concat([pd.read_csv(reviews)] * 2)
    rows.to_csv(tmp_path / "rows.csv", index=False)
    command = ["score", bert_folder, "--data", tmp_path / "rows.csv", "--json", "-", "--criterion"]
    assert run(*command, "shapley").value["samples"] == 64 < len(rows)
    assert run(*command, "magnitude").value["samples"] == 0
    value = run(*command, "shapley", "--criterion", "gradient").value
    assert value["samples"] == len(rows)
    assert value["samples_used"] == {"shapley": 64, "gradient": len(rows)}


def test_evaluate_with_heads_with_a_mask_and_with_a_plan(
    run: Run, bert_folder: Path, reviews: Path, tmp_path: Path
) -> None:
    mask = {"version": 1, "heads": [[0, 1], [0, 2], [1, 3]], "neurons": {}, "layers": []}
    (tmp_path / "mask.json").write_text(json.dumps(mask), encoding="utf-8")
    (tmp_path / "plan.json").write_text(json.dumps({"mask": mask, "budget": "heads=0.6"}), encoding="utf-8")
    command = ["evaluate", bert_folder, "--data", reviews, "--json", "-"]
    whole, heads, file, plan = (
        run(*command, *more).value
        for more in (
            [],
            ["--heads", "0:1-2,1:3"],
            ["--mask", tmp_path / "mask.json"],
            ["--mask", tmp_path / "plan.json"],
        )
    )
    assert heads["metrics"] == file["metrics"] == plan["metrics"] != whole["metrics"]
    assert (heads["mask"], whole["mask"]["heads"]) == (mask, [])
    assert list(whole["metrics"]) == METRICS
    assert all(e["low"] <= e["value"] <= e["high"] for e in whole["metrics"].values())
    assert whole["loss"] == whole["metrics"]["loss"]["value"]
    assert (whole["samples"], len(whole["predictions"])) == (40, 40)


def test_one_row_has_no_interval_for_its_mean_and_json_says_null(run: Run, bert_folder: Path, reviews: Path) -> None:
    value = run("evaluate", bert_folder, "--data", reviews, "--samples", 1, "--json", "-").value
    assert all(value["metrics"][name]["low"] is None for name in ("loss", "f1", "calibration_error"))
    shown = run("evaluate", bert_folder, "--data", reviews, "--samples", 1).stdout
    assert "(no interval)" in shown
    assert "inf" not in shown
    assert math.isfinite(value["metrics"]["loss"]["value"])


def test_rows_are_numbered_as_in_the_file_and_those_left_out_are_counted(
    run: Run, bert_folder: Path, tmp_path: Path
) -> None:
    path = tmp_path / "gaps.csv"
    path.write_text("text,label\n,1\na good film,\na bad film,0\n  ,1\na film,1\n", encoding="utf-8")
    command = ["evaluate", bert_folder, "--data", path]
    value = run(*command, "--json", "-").value
    assert [row["row"] for row in value["predictions"]] == [2, 4]
    assert [row["text"] for row in value["predictions"]] == ["a bad film", "a film"]
    assert value["dropped"] == 3
    assert "left out: 3 rows without a text or a label" in run(*command).stdout
    assert run("score", bert_folder, "--data", path, "--json", "-").value["dropped"] == 3


def test_the_split_that_is_used_is_named(run: Run, bert_folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "splits.csv"
    path.write_text("text,label,split\na good film,1,train\na bad film,0,validation\n", encoding="utf-8")
    command = ["evaluate", bert_folder, "--data", path]
    value = run(*command, "--json", "-").value
    assert (value["split"], [row["row"] for row in value["predictions"]]) == ("validation", [1])
    assert "rows: those of the split validation" in run(*command).stdout


def test_a_sweep_takes_its_seed(run: Run, bert_folder: Path, reviews: Path, tmp_path: Path) -> None:
    command = ["sweep", bert_folder, "--data", reviews, "--samples", 4, "--calibration-samples", 4, "--seed", 7]
    more = ["--criteria", "random", "--strategies", "uniform", "--budgets", "heads=0.5", "-o", tmp_path / "t.csv"]
    assert {row["seed"] for row in run(*command, *more, "--json", "-").value["rows"]} == {7}


@pytest.mark.slow
def test_the_demo_on_all_its_evaluation_rows() -> None:
    """In a process of its own, as anybody would type it."""
    value = run_alone("evaluate", "demo", "--data", "demo", "--json", "-").value
    assert value["samples"] == 1500
    accuracy = value["metrics"]["accuracy"]
    assert accuracy["value"] >= 0.865
    assert accuracy["low"] < accuracy["value"] < accuracy["high"]
    right = [row["label"] == row["predicted"] for row in value["predictions"]]
    assert np.mean(right) == pytest.approx(accuracy["value"])


# Bad input ---------------------------------------------------------------------------------------------------------

BERT, DATA = "{bert}", "{reviews}"
SCORE, EVALUATE = ("score", BERT, "--data", DATA), ("evaluate", BERT, "--data", DATA)
SWEEP = ("sweep", BERT, "--data", DATA, "-o", "{tmp}/table.csv")
BAD: dict[tuple[str, ...], str] = {
    ("prune-everything",): "No such command",
    ("models", "extra"): "unexpected extra argument",
    ("criteria", "--json"): "requires an argument",
    ("describe",): "Missing argument 'MODEL'",
    ("describe", ""): "name a model",
    ("describe", "no-such-model"): "hub cannot be reached",
    ("describe", "/no/such/folder"): "there is no folder",
    ("describe", "two words"): "is not a model name",
    ("describe", "a" * 5000): "is not a model name",
    ("describe", "{tmp}"): "has no config.json",
    ("describe", BERT, "--device", "tpu"): "is not one of 'auto', 'cpu', 'cuda'",
    ("describe", BERT, "--dtype", "int8"): "is not one of 'float32', 'bfloat16'",
    ("describe", BERT, "--threads", "0"): "0 is not in the range",
    ("describe", BERT, "--json", "/no/such/folder/x.json"): "cannot be written",
    ("describe", BERT, "--json", "{tmp}"): "cannot be written",
    ("score", BERT): "Missing option '--data'",
    (*SCORE, "--criterion", "magic"): "there is no criterion 'magic'; there are gradient",
    (*SCORE, "--samples", "0"): "0 is not in the range",
    (*SCORE, "--batch-size", "many"): "is not a valid integer",
    (*SCORE, "--seed", "-1"): "-1 is not in the range",
    (*SCORE, "--task", "poetry"): "there is no task 'poetry'; there are",
    (*SCORE, "--task", "image-classification"): "its task is text-classification, not image-classification",
    (*SCORE, "--task", "language-modeling"): "is a BertForSequenceClassification: its task is text-classification",
    (*SCORE, "--split", "training"): "is not one of 'calibration', 'evaluation'",
    (*SCORE, "--text-column", "words"): "there is no text column 'words'",
    (*SCORE, "--label-column", "verdict"): "there is no label column 'verdict'",
    (*SCORE, "--label-column", "text"): "is not a label of this model; allowed are LABEL_0, LABEL_1",
    ("score", BERT, "--data", "missing.csv"): "there is no file",
    ("score", BERT, "--data", "nobody/nothing"): "not a file here",
    ("score", BERT, "--data", "a" * 5000 + ".csv"): "there is no file",
    ("score", BERT, "--data", "tweets"): "is an evaluation set",
    ("score", BERT, "--data", "demo"): "is not a label of this model",
    (*SWEEP, "--split", "calibration"): "chooses on calibration rows and measures on evaluation rows",
    (*SWEEP, "--seed", "7", "--seeds", "1,2"): "either --seed or --seeds",
    (*SWEEP, "--seeds", "0,-1"): "whole numbers from 0",
    (*EVALUATE, "--heads", "0:4"): "head 0:4 does not exist: site 0",
    (*EVALUATE, "--heads", "9:0"): "the model has 2 sites (0 to 1)",
    (*EVALUATE, "--heads", "first"): "is not a head: write site:head",
    (*EVALUATE, "--heads", "0:" + "9" * 5000): "is not a head",
    (*EVALUATE, "--mask", "missing.json"): "cannot be read: No such file",
    (*EVALUATE, "--mask", "{tmp}"): "cannot be read: Is a directory",
    (*EVALUATE, "--mask", DATA): "is not JSON",
    (*EVALUATE, "--mask", "x.json", "--heads", "0:0"): "not both",
}


@pytest.mark.parametrize("arguments", BAD, ids=lambda a: " ".join(a)[:60])
def test_bad_input_is_one_line_and_status_2(
    run: Run, arguments: tuple[str, ...], bert_folder: Path, reviews: Path, tmp_path: Path
) -> None:
    places = {"bert": bert_folder, "reviews": reviews, "tmp": tmp_path}
    answer = run(*(part.format(**places) for part in arguments))
    lines = answer.stderr.splitlines()
    assert answer.status == 2, answer.stderr
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    assert BAD[arguments] in lines[0]
    assert answer.stdout == ""


@pytest.mark.parametrize(
    "arguments", [("describe", "no-such-model"), ("evaluate", "demo", "--data", "missing.csv"), ("score",)]
)
def test_bad_input_in_a_process_of_its_own(arguments: tuple[str, ...]) -> None:
    answer = run_alone(*arguments)
    assert (answer.status, answer.stdout, answer.stderr.count("\n")) == (2, "", 1)
    assert "Traceback" not in answer.stderr


def test_what_nobody_expected_is_one_line_and_status_1(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from pruning import models

    def breaks(spec: object) -> None:
        raise ZeroDivisionError("a bug\nof ours")

    monkeypatch.setattr(models, "load_model", breaks)
    answer = run("describe", "demo")
    assert (answer.status, answer.stdout) == (1, "")
    assert answer.stderr == "error: ZeroDivisionError: a bug of ours (HEADROOM_DEBUG=1 shows where)\n"


def test_a_bare_encoder_has_no_task_and_no_logits(run: Run, tmp_path: Path, reviews: Path) -> None:
    FAMILIES["bert"].build().bert.save_pretrained(tmp_path)
    tokenizer_of("bert").save_pretrained(tmp_path)
    assert run("describe", tmp_path, "--json", "-").value["support"] == "prune"
    for more, message in (([], "not a classifier or language model"), (["--task", "text-classification"], "no logits")):
        answer = run("evaluate", tmp_path, "--data", reviews, *more)
        assert answer.status == 2
        assert message in answer.stderr
