"""Sweeps: every figure equals one that was measured by itself, and nothing is computed twice."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pruning import Mask, PruningError, evaluate
from pruning.cli import main
from pruning.recovery.reconstruction import compensate
from pruning.results import Results
from pruning.search import Budget, BudgetError
from pruning.search.planning import Request
from pruning.search.planning import plan as make_plan
from pruning.sweep import Bench, Notes, pareto_front, sweep, sweep_points
from pruning.tasks import Examples, task_of
from tests.families import examples_of, model_of

HALF, MOST = Budget("heads", 0.5), Budget("heads", 0.3)


def rows(name: str, start: int, stop: int) -> Examples:
    return examples_of(name, stop).at(range(start, stop))


@pytest.fixture
def bench() -> Bench:
    model = model_of("bert")
    return Bench(model, task_of(model), rows("bert", 0, 6), rows("bert", 6, 16))


@pytest.mark.parametrize("compensation", ["none", "mean", "reconstruct"])
def test_points_equal_what_is_measured_by_hand(bench: Bench, compensation: str) -> None:
    request = Request("gradient", "one-shot", compensation=compensation)
    (point,) = sweep_points(bench, [request], [HALF])
    plan = make_plan(bench.model, bench.calibration, HALF, request)
    assert point.plan.mask == plan.mask
    made = compensate(bench.model, plan.mask, bench.calibration, compensation)
    expected = evaluate(bench.model, bench.evaluation, plan.mask, compensation=made)
    assert np.allclose(point.evaluation.outcome.losses, expected.outcome.losses, atol=1e-6)
    assert point.row()["heads"] == bench.model.anatomy.total_heads - len(plan.mask.heads)


def test_nothing_is_computed_twice(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    import pruning.evaluation
    import pruning.search.planning

    evaluated: list[Mask] = []
    searched: list[str] = []
    real_evaluate, real_search = pruning.evaluation.evaluate, pruning.search.planning.search
    monkeypatch.setattr(
        pruning.evaluation,
        "evaluate",
        lambda m, e, mask=None, **o: evaluated.append(mask) or real_evaluate(m, e, mask, **o),
    )
    monkeypatch.setattr(
        pruning.search.planning, "search", lambda *a, **o: searched.append(a[2].criterion) or real_search(*a, **o)
    )
    requests = [Request("gradient", "one-shot", compensation=name) for name in ("none", "mean")]
    requests += [Request("gradient", "one-shot")]
    table = sweep(bench, requests, [HALF, Budget("heads", 0.49), MOST])
    assert len(table) == 9
    assert searched == ["gradient"]
    distinct = {(row["mask"], row["compensation"]) for _, row in table.iterrows()}
    assert len(evaluated) == 1 + len(distinct)


def test_another_process_measures_and_searches_nothing_again(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fresh(other: Bench = bench) -> Bench:
        return replace(other, known=Notes(), results=Results(tmp_path / "results.sqlite", 4 << 20))

    requests = [Request("gradient", "one-shot", compensation=name) for name in ("none", "mean", "reconstruct")]
    first = sweep(fresh(), requests, [HALF, MOST])
    with monkeypatch.context() as patch:
        for name in ("evaluation.evaluate", "search.planning.search", "recovery.reconstruction.compensate"):
            patch.setattr(f"pruning.{name}", lambda *_, **__: pytest.fail("this was found already"))
        pd.testing.assert_frame_equal(sweep(fresh(), requests, [HALF, MOST]), first)
    other = fresh(replace(bench, evaluation=rows("bert", 16, 20)))
    assert set(sweep(other, requests, [HALF, MOST])["samples"]) == {4}


def test_evaluation_rows_play_no_part_in_the_choice(bench: Bench) -> None:
    """Other labels and other texts to measure on: the same plans."""
    other = Bench(bench.model, bench.task, bench.calibration, rows("bert", 16, 20))
    requests = [
        Request(criterion, strategy) for criterion, strategy in (("gradient", "iterative"), ("random", "uniform"))
    ]
    first, second = (sweep(one, requests, [HALF, MOST]) for one in (bench, other))
    assert first["mask"].tolist() == second["mask"].tolist()
    assert set(first["samples"]) == {10}
    assert set(second["samples"]) == {4}


def test_budgets_that_cannot_be_met_are_left_out(bench: Bench) -> None:
    table = sweep(bench, [Request("gradient", "one-shot")], [Budget("params", 0.01), HALF])
    assert table["share"].tolist() == [0.5]
    with pytest.raises(BudgetError, match="nearest"):
        sweep(bench, [Request("gradient", "one-shot")], [Budget("params", 0.01)])


def test_progress_ends_and_can_cancel(bench: Bench) -> None:
    seen: list[tuple[int, int, str]] = []
    sweep(bench, [Request("gradient", "one-shot")], [HALF, MOST], lambda *step: seen.append(step))
    done = [step[0] for step in seen]
    assert done == sorted(done)
    assert done[-1] == seen[-1][1]

    def stop(done: int, total: int, what: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep(bench, [Request("gradient", "one-shot")], [HALF], stop)


def test_the_pareto_front_is_what_nothing_beats() -> None:
    table = pd.DataFrame({"macs": [10, 8, 8, 5, 6], "accuracy": [0.9, 0.9, 0.8, 0.7, 0.6], "loss": [1, 1, 2, 3, 0.5]})
    assert pareto_front(table, "macs").tolist() == [False, True, False, True, False]
    assert pareto_front(table, "macs", "loss").tolist() == [False, False, False, True, True]


def test_the_command_writes_a_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "sweep.csv"
    arguments = ["sweep", "demo", "--data", "demo", "--criteria", "magnitude,random", "--strategies", "one-shot"]
    arguments += ["--budgets", "heads=0.5", "--seeds", "0,1", "--samples", "40", "--calibration-samples", "8"]
    monkeypatch.setattr("sys.argv", ["pruning", *arguments, "-o", str(file), "--json", "-"])
    with pytest.raises(SystemExit) as done:
        main()
    assert done.value.code == 0
    printed = json.loads(capsys.readouterr().out)
    with file.open() as read:
        written = list(csv.DictReader(read))
    assert len(printed["rows"]) == len(written) == 4
    assert {row["heads"] for row in written} == {"36"}
    assert printed["rows"][0]["samples"] == 40


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "x.xls"], "use .csv or .parquet"),
        (["-o", "no/such/folder/x.csv"], "no folder"),
        (["-o", "x.csv", "--budgets", "heads=2"], "not a share"),
        (["-o", "x.csv", "--criteria", "nonsense"], "no criterion"),
        (["-o", "x.csv", "--seeds", "a"], "not seeds"),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["pruning", "sweep", "demo", "--data", "demo", *arguments])
    with pytest.raises(SystemExit) as done:
        main()
    assert done.value.code == 2
    assert message in capsys.readouterr().err


def test_unknown_compensations_are_refused(bench: Bench) -> None:
    with pytest.raises(PruningError, match="no compensation"):
        compensate(bench.model, Mask.parse_heads("0:0"), bench.calibration, "magic")
