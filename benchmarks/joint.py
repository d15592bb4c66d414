"""Heads and neurons together: accuracy by the share of multiply-accumulates left, without training.

python -m benchmarks.joint --json joint.json
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from benchmarks import common
from pruning.plan import COMPENSATIONS
from pruning.search import Budget
from pruning.search.planning import Request
from pruning.sweep import Point, sweep_points

STRATEGIES = ("fisher", "one-shot")
LEFT = "70,60,50,40"
TARGETS = {0.5: 0.5}  # points below the whole model, by share of MACs left


def requests(strategies: Sequence[str], compensations: Sequence[str]) -> list[Request]:
    """Each strategy with each compensation, ranking by Fisher information."""
    return [
        Request("fisher", strategy, ("heads", "neurons"), compensation=compensation)
        for strategy in strategies
        for compensation in compensations
    ]


def row_of(point: Point) -> common.Row:
    """A row of the file."""
    plan, predicted = point.plan, point.plan.predicted
    assert plan.budget is not None
    return {
        "method": common.name_of(point.request),
        "compensation": plan.compensation,
        "macs_left": plan.budget.share,
        "macs": predicted.macs,
        "tokens": predicted.tokens,
        "heads": predicted.heads,
        "neurons": predicted.neurons,
        "mask": plan.mask.to_code(),
        "search_seconds": round(plan.seconds, 1),
        **common.figures(point.evaluation, point.comparison),
    }


def line(row: common.Row) -> list[str]:
    """A line of the printed table."""
    target = TARGETS.get(row["macs_left"])
    met = common.verdict(-100 * row["change"], target) if target is not None else ""
    size = [f"{100 * row['macs_left']:g}%", str(row["heads"]), str(row["neurons"])]
    return [row["method"], row["compensation"], *size, *common.spelled(row), met]


@click.command(help="Heads and neurons together at budgets of multiply-accumulates, without training.")
@common.sized
@click.option("--strategies", default=",".join(STRATEGIES), show_default=True, help="Separated by commas.")
@click.option("--compensations", default="all", show_default=True, help=f"Of {', '.join(COMPENSATIONS)}; or all.")
@click.option("--left", default=LEFT, show_default=True, help="Percent of the MACs.")
def main(
    samples: int | None, calibration: int | None, json_file: Path | None, strategies: str, compensations: str, left: str
) -> None:
    common.check_file(json_file, resume=False)
    wanted = requests(
        common.names(strategies, STRATEGIES, "strategy here"),
        common.names(compensations, COMPENSATIONS, "compensation"),
    )
    budgets = [Budget("macs", share) for share in sorted(common.shares(left), reverse=True)]
    bench = common.bench_of(common.Sizes(samples, calibration))
    rows = [common.whole_row(bench)]
    for point in sweep_points(bench, wanted, budgets):
        rows.append(row_of(point))
        common.write_rows(json_file, bench, rows)
        click.echo(f"{rows[-1]['method']}, {point.plan.compensation}, {point.plan.budget}", err=True)
    header = ["method", "compensation", "MACs left", "heads", "neurons", "accuracy", "change", "target"]
    wanted_drops = ", ".join(f"{points:g} at {100 * share:g}%" for share, points in TARGETS.items())
    click.echo(common.introduction(bench, rows[0]))
    click.echo(common.table(header, [line(row) for row in rows[1:]]))
    click.echo(f"\ntarget, in points below the whole model: {wanted_drops} of the MACs left; no weight is trained.")


if __name__ == "__main__":
    common.run(main)
