"""The benchmarks run, resume, and measure the other program's cuts right; on a tiny model, and without timing."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import browser, common, head_pruning, head_report, joint, peers, recovery
from pruning import PruningError, criteria, evaluate, wrap_model
from pruning.search import strategies
from pruning.search.iterative import Iterative
from pruning.search.planning import Request
from pruning.sweep import Bench
from pruning.tasks import task_of
from tests.families import examples_of, model_of

needs_peer = pytest.mark.skipif(not peers.installed(), reason="torch-pruning is not installed: requirements-bench.txt")
METHODS = ["--criteria", "magnitude,random", "--strategies", "uniform", "--peers", "none", "--sparsities", "50"]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A tiny model in the place of the built-in one."""
    model, examples = model_of("bert"), examples_of("bert", 24)
    made = Bench(model, task_of(model), examples.at(range(8)), examples.at(range(8, 24)))
    monkeypatch.setattr(common, "bench_of", lambda sizes: made)
    monkeypatch.setattr(peers, "STEP", 0.25)  # a whole number of its few heads
    return made


def called(command: Any, *arguments: object) -> None:
    command.main([str(argument) for argument in arguments], standalone_mode=False)


def row(method: str, sparsity: float, accuracy: float, **more: Any) -> common.Row:
    bounds = {"accuracy_low": 0.0, "accuracy_high": 1.0, "change": 0.0, "change_low": 0.0, "change_high": 0.0}
    plain = {"method": method, "compensation": "none", "seed": 0, "sparsity": sparsity, "accuracy": accuracy}
    return {**plain, **bounds, "heads": round(10 * (1 - sparsity)), **more}


def test_every_criterion_and_strategy_is_there() -> None:
    found = {common.name_of(request) for request in head_pruning.methods(list(criteria()), list(strategies()))}
    assert {f"{name} one-shot" for name in criteria()} <= found
    assert {"gradient iterative", "gradient iterative replacement=zero", "greedy", "fisher"} <= found
    assert len(found) == len(criteria()) + len(strategies())  # one-shot is the criteria's; iterative is there twice


def test_area_is_the_mean_height_of_the_curve() -> None:
    curve = {0.5: row("m", 0.5, 0.8), 0.9: row("m", 0.9, 0.6)}
    by_hand = (0.5 * (1.0 + 0.8) / 2 + 0.4 * (0.8 + 0.6) / 2) / 0.9
    assert head_report.area(1.0, curve) == pytest.approx(by_hand)
    assert head_report.area(0.7, {0.9: row("m", 0.9, 0.7)}) == pytest.approx(0.7)


def test_the_report_marks_the_default_targets_and_layers_that_were_spared() -> None:
    whole = row(common.WHOLE, 0.0, 0.9)
    rows = [row(common.name_of(Request()), 0.5, 0.898), row("other", 0.5, 0.85, heads=7), row("half done", 0.4, 0.9)]
    rows += [row("random one-shot", 0.5, accuracy, seed=seed) for seed, accuracy in enumerate((0.6, 0.7, 0.8))]
    first, second, *others = head_report.report([whole, *rows], [0.5]).splitlines()[2:]
    assert "(default)" in first
    assert "89.8 (-0.2) " in first
    assert first.rstrip("| ").endswith("50")
    assert "85.0 (-5.0)*" in second
    assert second.rstrip("| ").endswith("none")
    assert [line.split("|")[1].split(",")[1].strip() for line in others[:3]] == [
        "highest of 3 seeds",
        "mean of 3 seeds",
        "lowest of 3 seeds",
    ]
    assert "half done" not in "".join(others)


def test_heads_are_pruned_and_resumed(
    bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "heads.json"
    options = [*METHODS, "--compensations", "none,mean", "--json", file]
    called(head_pruning.main, *options)
    printed, value = capsys.readouterr().out, json.loads(file.read_text())
    assert len(value["rows"]) == 1 + 2 * (1 + 5 + 1)
    assert {r["heads"] for r in value["rows"][1:]} == {bench.model.anatomy.total_heads // 2}
    assert value["provenance"]["evaluation"]["rows"] == 16
    with pytest.raises(PruningError, match="--resume"):
        called(head_pruning.main, *options)
    measured: list[str] = []
    real = head_pruning.measure

    def noting(job: head_pruning.Job, *more: Any) -> list[common.Row]:
        measured.append(job.name)
        return real(job, *more)

    monkeypatch.setattr(head_pruning, "measure", noting)
    called(head_pruning.main, *options, "--resume")
    assert capsys.readouterr().out == printed
    file.write_text(json.dumps({**value, "rows": [r for r in value["rows"] if r["seed"] != 3]}))
    called(head_pruning.main, *options, "--resume")
    assert measured == ["random one-shot"]
    file.write_text(file.read_text().replace(bench.evaluation.fingerprint, "another"))
    with pytest.raises(PruningError, match="evaluation"):
        called(head_pruning.main, *options, "--resume")


def test_a_file_without_a_folder_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    with pytest.raises(PruningError, match="make it first"):
        common.check_file(tmp_path / "nowhere" / "heads.json", resume=False)


def test_jobs_can_be_sent_to_processes() -> None:
    requests = [Request("random", "one-shot", seed=1), Request(strategy=Iterative(replacement="zero"))]
    jobs = head_pruning.jobs_for(requests, ["none", "mean"], list(peers.PEERS))
    assert pickle.loads(pickle.dumps(jobs)) == jobs


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--criteria", "nonsense"], "no criterion"),
        (["--compensations", "magic"], "no compensation"),
        (["--peers", "somebody"], "no peer"),
        (["--sparsities", "0,50"], "above 0"),
        (["--sparsities", "half"], "above 0"),
        (["--resume"], "needs --json"),
    ],
)
def test_bad_options_are_named(bench: Bench, options: list[str], message: str) -> None:
    with pytest.raises(PruningError, match=message):
        called(head_pruning.main, *options)


def test_without_a_browser_one_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CHROMIUM", raising=False)
    monkeypatch.setattr(browser.shutil, "which", lambda name: None)
    with pytest.raises(PruningError, match="no Chromium here"):
        called(browser.main, "--parts", "paint")
    monkeypatch.setattr(browser, "find_spec", lambda name: None)
    with pytest.raises(PruningError, match="playwright is not installed"):
        called(browser.main, "--parts", "paint")


def test_heads_and_neurons_go_together(bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "joint.json"
    called(joint.main, "--left", "90,80", "--compensations", "none,reconstruct", "--json", file)
    rows = json.loads(file.read_text())["rows"]
    assert [r["macs_left"] for r in rows[1:3]] == [0.9, 0.8]
    assert len(rows) == 1 + 2 * 2 * 2
    assert "reconstruct" in capsys.readouterr().out


def test_recovery_is_on_cpu_time(bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "recovery.json"
    called(recovery.main, "--sparsities", "50", "--losses", "distill", "--epochs", "1", "--json", file)
    rows = json.loads(file.read_text())["rows"][1:]
    assert [(r["method"], r["ended"]) for r in rows] == [
        ("fine-tune on distillation", "epochs"),
        ("lora on distillation", "epochs"),
    ]
    called(recovery.main, "--sparsities", "50", "--losses", "labels", "--methods", "lora", "--cpu-minutes", "0.00001")
    assert "minutes" in capsys.readouterr().out


# Torch-Pruning ---------------------------------------------------------------------------------------------------


@needs_peer
@pytest.mark.parametrize("name", list(peers.PEERS))
def test_its_cuts_are_measured_like_masks(bench: Bench, name: str) -> None:
    """The heads that are gone from its model, masked in ours, give the same losses."""
    total = bench.model.anatomy.total_heads
    for sparsity, module in peers.cuts(bench, peers.PEERS[name], [0.25, 0.5]):
        mask = peers.mask_left_by(bench, module)
        cut = wrap_model(module)
        assert cut.anatomy.total_heads == total - len(mask.heads) == int(total * (1 - sparsity))
        theirs, ours = evaluate(cut, bench.evaluation), evaluate(bench.model, bench.evaluation, mask)
        assert np.allclose(theirs.outcome.losses, ours.outcome.losses, atol=1e-5)  # sums in another order


@needs_peer
def test_at_ratio_0_its_model_is_ours(bench: Bench) -> None:
    peers.check_at_zero(bench)


@needs_peer
def test_peers_are_in_the_table(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    called(head_pruning.main, "--criteria", "none", "--strategies", "none", "--sparsities", "50")
    printed = capsys.readouterr().out
    assert all(f"| {name} " in printed for name in peers.PEERS)
    with pytest.raises(PruningError, match="multiples"):
        list(peers.cuts(bench, peers.PEERS["torch-pruning taylor iterative"], [0.52]))


def test_without_the_peer_the_rest_runs(
    bench: Bench, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "installed", lambda: False)
    called(head_pruning.main, "--criteria", "magnitude", "--strategies", "none", "--sparsities", "50")
    printed = capsys.readouterr()
    assert "magnitude one-shot" in printed.out
    assert "not installed" in printed.err
    with pytest.raises(PruningError, match="not installed"):
        next(peers.cuts(bench, peers.PEERS["torch-pruning magnitude"], [0.5]))
