"""Accuracy against the share of heads removed: every criterion, every strategy, and Torch-Pruning beside them.

python -m benchmarks.head_pruning --json heads.json --jobs 2
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import click

from benchmarks import common, peers
from benchmarks.head_report import report
from pruning import compare, criteria, evaluate, wrap_model
from pruning.plan import COMPENSATIONS
from pruning.search import Budget, strategies
from pruning.search.iterative import Iterative
from pruning.search.planning import Request
from pruning.sweep import Bench, sweep_points

SPARSITIES = "20,40,50,60,70,80,90"
RANDOM_SEEDS = range(5)


@dataclass(frozen=True)
class Job:
    """What one process does at a time: one method, or one peer.

    Attributes:
        name: Of the method, as in its rows.
        requests: The method's, one for each compensation.
        peer: Name of a peer, where it is one.
    """

    name: str
    requests: tuple[Request, ...] = ()
    peer: str = ""

    @property
    def keys(self) -> set[tuple[Any, ...]]:
        """Method, compensation and seed of its rows."""
        return {(self.name, request.compensation, request.seed) for request in self.requests} or {
            (self.peer, "none", 0)
        }


def methods(criterion_names: Sequence[str], strategy_names: Sequence[str]) -> Iterator[Request]:
    """Every criterion in one cut, and every other strategy with its defaults."""
    for name in criterion_names:
        for seed in RANDOM_SEEDS if name == "random" else [0]:
            yield Request(name, "one-shot", seed=seed)
    for name in strategy_names:
        if name != "one-shot":
            yield Request(strategy=name)
        if name == Iterative.name:
            yield Request(strategy=Iterative(replacement="zero"))


def jobs_for(requests: Sequence[Request], compensations: Sequence[str], peer_names: Sequence[str]) -> list[Job]:
    found = []
    for request in requests:
        variants = tuple(replace(request, compensation=name) for name in compensations)
        found.append(Job(common.name_of(request), variants))
    return found + [Job(name, peer=name) for name in peer_names]


def without_known(job: Job, known: set[tuple[Any, ...]], sparsities: Sequence[float]) -> Job | None:
    """What is left of a job once what is in the file already is taken out; ``None`` where nothing is."""
    missing = {key for key in job.keys if any((*key, sparsity) not in known for sparsity in sparsities)}
    if not missing:
        return None
    return replace(job, requests=tuple(r for r in job.requests if (job.name, r.compensation, r.seed) in missing))


def measure(job: Job, sizes: common.Sizes, sparsities: Sequence[float]) -> list[common.Row]:
    """All rows of a job."""
    bench = common.bench_of(sizes)
    return list((_measure_peer if job.peer else _measure_method)(bench, job, sparsities))


def _measure_method(bench: Bench, job: Job, sparsities: Sequence[float]) -> Iterator[common.Row]:
    budgets = [Budget("heads", round(1 - sparsity, common.PRECISION)) for sparsity in sparsities]
    for point in sweep_points(bench, job.requests, budgets):
        plan = point.plan
        assert plan.budget is not None
        yield {
            "method": job.name,
            "compensation": plan.compensation,
            "seed": plan.seed,
            "sparsity": round(1 - plan.budget.share, common.PRECISION),
            "heads": plan.predicted.heads,
            "parameters": plan.predicted.parameters,
            "mask": plan.mask.to_code(),
            "search_seconds": round(plan.seconds, 1),
            **common.figures(point.evaluation, point.comparison),
        }


def _measure_peer(bench: Bench, job: Job, sparsities: Sequence[float]) -> Iterator[common.Row]:
    peers.check_at_zero(bench)
    dense, started = common.whole(bench), time.perf_counter()
    for sparsity, module in peers.cuts(bench, peers.PEERS[job.peer], sparsities):
        seconds, mask = time.perf_counter() - started, peers.mask_left_by(bench, module)
        cut = wrap_model(module)
        found = evaluate(cut, bench.evaluation, task=bench.task, batch_size=bench.batch_size)
        yield {
            "method": job.name,
            "compensation": "none",
            "seed": 0,
            "sparsity": sparsity,
            "heads": cut.anatomy.total_heads,
            "parameters": cut.anatomy.parameters,
            "mask": mask.to_code(),
            "search_seconds": round(seconds, 1),
            **common.figures(found, compare(dense, found)),
        }
        started = time.perf_counter()


@contextmanager
def workers(count: int) -> Iterator[Callable[..., Iterator[list[common.Row]]]]:
    """A way to measure many jobs: here, or in processes of one thread each; results come as they are ready."""
    if count == 1:
        yield lambda jobs, *shared: (measure(job, *shared) for job in jobs)
        return
    os.environ["OMP_NUM_THREADS"] = "1"
    with ProcessPoolExecutor(count, get_context("spawn")) as pool:
        yield lambda jobs, *shared: (f.result() for f in as_completed([pool.submit(measure, j, *shared) for j in jobs]))


def merged(rows: Sequence[common.Row], found: Sequence[common.Row]) -> list[common.Row]:
    """All rows; where one was measured again, what was found now."""
    return list({key_of(row): row for row in (*rows, *found)}.values())


def key_of(row: common.Row) -> tuple[Any, ...]:
    return row["method"], row["compensation"], row["seed"], row["sparsity"]


def _wanted(chosen: dict[str, str]) -> list[Job]:
    """The jobs that the options ask for."""
    requests = methods(
        common.names(chosen["criteria"], list(criteria()), "criterion"),
        common.names(chosen["strategies"], list(strategies()), "strategy"),
    )
    compensations = common.names(chosen["compensations"], COMPENSATIONS, "compensation")
    if chosen["peer_names"] == "all" and not peers.installed():
        click.echo("torch-pruning is not installed, so there is nothing to compare with: see README.md", err=True)
        return jobs_for(list(requests), compensations, [])
    return jobs_for(list(requests), compensations, common.names(chosen["peer_names"], list(peers.PEERS), "peer"))


@click.command(help="Accuracy against the share of heads removed, without training.")
@common.sized
@click.option("--criteria", default="all", show_default=True, help="Of one-shot pruning: names, all or none.")
@click.option("--strategies", default="all", show_default=True, help="Names, all or none.")
@click.option("--peers", "peer_names", default="all", show_default=True, help="Names, all or none.")
@click.option("--compensations", default="none", show_default=True, help=f"Of {', '.join(COMPENSATIONS)}; or all.")
@click.option("--sparsities", default=SPARSITIES, show_default=True, help="Percent of the heads.")
@click.option("--resume", is_flag=True, help="Measure only what the JSON file does not have.")
@click.option("--jobs", default=1, show_default=True, type=click.IntRange(min=1), help="Processes, a thread each.")
def main(
    samples: int | None, calibration: int | None, json_file: Path | None, resume: bool, jobs: int, **chosen: str
) -> None:
    common.check_file(json_file, resume)
    sizes, sparsities = common.Sizes(samples, calibration), common.shares(chosen["sparsities"])
    wanted = _wanted(chosen)
    bench = common.bench_of(sizes)
    rows = common.read_rows(json_file, bench)
    if not rows:
        rows = [common.whole_row(bench)]
    known = {key_of(row) for row in rows}
    left = [job for job in (without_known(job, known, sparsities) for job in wanted) if job]
    with workers(min(jobs, max(1, len(left)))) as measured:
        for done, found in enumerate(measured(left, sizes, sparsities), start=1):
            rows = merged(rows, found)
            common.write_rows(json_file, bench, rows)
            click.echo(f"{done} of {len(left)}: {found[0]['method']}", err=True)
    click.echo(common.introduction(bench, rows[0]) + "\n" + report(rows, sparsities))


if __name__ == "__main__":
    common.run(main)
