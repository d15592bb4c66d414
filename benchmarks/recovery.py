"""Recovery with training: the default plan at 80% and 90% of the heads, then at most five CPU minutes.

python -m benchmarks.recovery --json recovery.json
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from benchmarks import common
from pruning import DataSpec, compare, evaluate, load_data, prune, recover, wrap_model
from pruning.plan import COMPENSATIONS
from pruning.recovery.settings import Loss, Method, Training
from pruning.search import Budget
from pruning.search.planning import Request
from pruning.sweep import Point, sweep_points

if TYPE_CHECKING:
    from pruning.surgery import PrunedModel
    from pruning.sweep import Bench
    from pruning.tasks import Examples

SPARSITIES = "80,90"
TARGETS = {0.8: 1.0, 0.9: 2.0}  # points below the whole model, by share of heads removed
CPU_MINUTES = 5.0
ROWS = ("calibration", "training")


@dataclass(frozen=True)
class Trial:
    """A cut model, and how it is trained."""

    point: Point
    pruned: PrunedModel
    settings: Training


def trainings(methods: Sequence[Method], losses: Sequence[Loss], epochs: int, cpu_minutes: float) -> list[Training]:
    """Each method with each loss."""
    return [
        Training(method=method, loss=loss, epochs=epochs, minutes=cpu_minutes) for method in methods for loss in losses
    ]


def trials(bench: Bench, compensation: str, sparsities: Sequence[float], settings: list[Training]) -> Iterator[Trial]:
    """The default plan at each sparsity, cut out once, with each training."""
    from pruning.recovery.reconstruction import compensate

    budgets = [Budget("heads", round(1 - sparsity, common.PRECISION)) for sparsity in sparsities]
    for point in sweep_points(bench, [Request(compensation=compensation)], budgets):
        mask = point.plan.mask
        made = compensate(bench.model, mask, bench.calibration, compensation, batch_size=bench.batch_size)
        pruned = prune(bench.model, mask, compensation=made)
        yield from (Trial(point, pruned, one) for one in settings)


def measure(bench: Bench, trial: Trial, examples: Examples) -> common.Row:
    """Train, on CPU time, and measure."""
    plan, settings = trial.point.plan, trial.settings
    assert plan.budget is not None
    started = time.process_time()
    done = recover(bench.model, trial.pruned, examples, settings=settings, task=bench.task, watch=time.process_time)
    seconds = time.process_time() - started
    found = evaluate(wrap_model(done.module), bench.evaluation, task=bench.task, batch_size=bench.batch_size)
    return {
        "method": settings.words,
        "compensation": plan.compensation,
        "sparsity": round(1 - plan.budget.share, common.PRECISION),
        "heads": plan.predicted.heads,
        "cut_change": trial.point.comparison.differences["accuracy"].value,
        "cpu_seconds": round(seconds, 1),
        "steps": done.steps,
        "ended": done.reason,
        "rows": done.rows,
        **common.figures(found, compare(common.whole(bench), found)),
    }


def training_rows(bench: Bench) -> Examples:
    """The rows that the built-in model was trained on, made again from the public archive (needs the package index)."""
    load_splits = import_module("assets.make_demo").load_splits  # a script, which is not type-checked
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "training.csv"
        load_splits()["training"].to_csv(file, index=False)
        return bench.task.encode(bench.model, load_data(DataSpec(str(file), "calibration")))


def line(row: common.Row) -> list[str]:
    """A line of the printed table."""
    target = TARGETS.get(row["sparsity"])
    met = common.verdict(-100 * row["change"], target) if target is not None else ""
    start = [f"{100 * row['sparsity']:g}%", row["compensation"], common.points(row["cut_change"]), row["method"]]
    effort = [f"{row['cpu_seconds']:.0f}", str(row["steps"]), row["ended"]]
    return [*start, *effort, *common.spelled(row), met]


@click.command(help="Recovery with training after the default plan.")
@common.sized
@click.option("--sparsities", default=SPARSITIES, show_default=True, help="Percent of the heads.")
@click.option("--compensation", default=Request().compensation, type=click.Choice(COMPENSATIONS), show_default=True)
@click.option("--methods", default="all", show_default=True, help=f"Of {', '.join(get_args(Method))}; or all.")
@click.option("--losses", default="labels,distill", show_default=True, help=f"Of {', '.join(get_args(Loss))}; or all.")
@click.option("--epochs", default=10, show_default=True, type=click.IntRange(min=1), help="Passes, at most.")
@click.option("--cpu-minutes", default=CPU_MINUTES, show_default=True, type=click.FloatRange(min=0, min_open=True))
@click.option("--rows", default="calibration", type=click.Choice(ROWS), show_default=True, help="To learn from.")
def main(
    samples: int | None,
    calibration: int | None,
    json_file: Path | None,
    compensation: str,
    epochs: int,
    cpu_minutes: float,
    rows: str,
    **chosen: str,
) -> None:
    common.check_file(json_file, resume=False)
    methods = common.names(chosen["methods"], get_args(Method), "method")
    losses = common.names(chosen["losses"], get_args(Loss), "loss")
    settings = trainings(methods, losses, epochs, cpu_minutes)  # type: ignore[arg-type]
    bench = common.bench_of(common.Sizes(samples, calibration))
    examples = training_rows(bench) if rows == "training" else bench.calibration
    found = [common.whole_row(bench)]
    for trial in trials(bench, compensation, common.shares(chosen["sparsities"]), settings):
        found.append(measure(bench, trial, examples))
        common.write_rows(json_file, bench, found, learned_from={"name": rows, "rows": len(examples)})
        click.echo(f"{trial.point.plan.budget}: {trial.settings.words}", err=True)
    click.echo(common.introduction(bench, found[0]))
    report(found[1:], len(examples), rows)


def report(rows: Sequence[common.Row], count: int, name: str) -> None:
    header = [
        "removed",
        "compensation",
        "after the cut",
        "training",
        "CPU s",
        "steps",
        "ended by",
        "accuracy",
        "change",
        "target",
    ]
    click.echo(common.table(header, [line(row) for row in rows]))
    wanted = ", ".join(f"{points:g} at {100 * share:g}%" for share, points in TARGETS.items())
    click.echo(f"\nplan: {common.name_of(Request())}; learned from {count} {name} rows, a part of them held out.")
    click.echo(f"target, in points below the whole model: {wanted} of the heads removed.")


if __name__ == "__main__":
    common.run(main)
