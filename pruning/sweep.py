"""Sweeps: many plans of one model, each measured: the curve of what is kept against what is saved."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from pruning.masks import Mask
from pruning.plan import Plan
from pruning.search.budget import Budget, BudgetError

if TYPE_CHECKING:
    import pandas as pd

    from pruning.evaluation import Comparison, Evaluation
    from pruning.models import LoadedModel
    from pruning.recovery.compensation import Compensation
    from pruning.results import Results
    from pruning.search.planning import Planner, Request
    from pruning.tasks import Examples, Task

Progress = Callable[[int, int, str], None]  # done, total, what is done now; may raise Cancelled
METRICS = ("accuracy", "loss", "perplexity")


@dataclass(frozen=True, eq=False)
class Point:
    """One plan and what the model does under it.

    Attributes:
        comparison: With the unpruned model, paired.
    """

    request: Request
    plan: Plan
    evaluation: Evaluation
    comparison: Comparison

    def row(self) -> dict[str, Any]:
        """A row of the tidy table."""
        plan, budget, predicted = self.plan, self.plan.budget, self.plan.predicted
        assert budget is not None
        row: dict[str, Any] = {
            "strategy": plan.strategy,
            "criterion": plan.criterion,
            "scopes": ",".join(plan.scopes),
            "compensation": plan.compensation,
            "budget": budget.kind,
            "share": budget.share,
            "seed": plan.seed,
            "heads": predicted.heads,
            "neurons": predicted.neurons,
            "layers": predicted.layers,
            "parameters": predicted.parameters,
            "macs": predicted.macs,
            "latency_ms": predicted.latency_ms,
        }
        for name in METRICS:
            if name in self.evaluation.metrics:
                estimate = self.evaluation.metrics[name]
                row |= {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
            if name in self.comparison.differences:
                estimate = self.comparison.differences[name]
                row[f"{name}_change"] = estimate.value
                row |= {f"{name}_change_low": estimate.low, f"{name}_change_high": estimate.high}
        if self.evaluation.class_names:
            row |= {"worse": self.comparison.count("worse"), "better": self.comparison.count("better")}
        row |= {"samples": self.evaluation.samples, "search_seconds": plan.seconds, "mask": plan.mask.to_code()}
        return row | {"model": self.evaluation.model, "data": self.evaluation.data, "made": plan.made}


class Memory(Protocol):
    """Where sweeps note what they found out; ``get`` gives ``None`` for what is not there, or is not there any more."""

    def get(self, key: Any) -> Any: ...

    def put(self, key: Any, value: Any) -> None: ...


class Notes(dict[Any, Any]):
    """A memory that forgets nothing."""

    def put(self, key: Any, value: Any) -> None:
        self[key] = value


@dataclass(frozen=True, eq=False)
class Bench:
    """What all points of a sweep share.

    Attributes:
        calibration: Examples that choose; they never measure.
        evaluation: Examples that measure; they never choose.
        latency: Adds predicted milliseconds, and allows latency budgets; a table of `pruning.latency`.
        known: Searches and measurements of earlier sweeps of the same model; what is in there is not computed again.
        results: The same on disk, from earlier processes, too; ``None`` where nothing is kept.
    """

    model: LoadedModel
    task: Task
    calibration: Examples
    evaluation: Examples
    batch_size: int = 32
    latency: Any = None
    known: Memory = field(default_factory=Notes)
    results: Results | None = None


def sweep_points(
    bench: Bench, requests: Sequence[Request], budgets: Sequence[Budget], progress: Progress | None = None
) -> Iterator[Point]:
    """Measure every request at every budget; each search is done once, and each mask is measured once.

    Budgets that a request cannot meet are left out, as long as it meets another one. Between two points no mask is
    set, so the thread may do other work there.

    Raises:
        BudgetError: A request meets none of the budgets.
        PruningError: A request does not fit the model.
    """
    report = progress or (lambda done, total, what: None)
    total = 1000 * (len(requests) * (1 + len(budgets)) + 1)
    done = 0

    def part(what: str) -> Callable[[int, int], None]:
        return lambda some, whole: report(done + (1000 * some) // max(1, whole), total, what)

    dense = _dense(bench, part("the whole model"))
    done += 1000
    for request in requests:
        label = f"{request.chosen_strategy.name}, {request.chosen_criterion.name}"
        planner = _planner(bench, request, part(f"searching: {label}"))
        done += 1000
        plans, missed = _plans(planner, budgets)
        if not plans:
            raise missed[0]
        done += 1000 * len(missed)
        for plan in plans:
            evaluation, comparison = _measured(bench, plan, dense, part(f"measuring: {label}, {plan.budget}"))
            done += 1000
            report(done, total, label)
            yield Point(request, plan, evaluation, comparison)


def _noted(bench: Bench, key: tuple[Any, ...], make: Callable[[], Any]) -> Any:
    """What is known under a key; it is made where nothing is."""
    key = (bench.model.fingerprint, bench.batch_size, *key)
    found = bench.known.get(key)
    if found is None:
        found = make()
        bench.known.put(key, found)
    return found


def _dense(bench: Bench, progress: Callable[[int, int], None]) -> Evaluation:
    """The whole model."""
    return _noted(
        bench, ("whole", bench.evaluation.fingerprint), lambda: _evaluated(bench, Mask(), ("none", ""), progress)
    )


def _planner(bench: Bench, request: Request, progress: Callable[[int, int], None]) -> Planner:
    """The search of a request: it finds the same however its plans will be compensated."""
    from pruning.findings import searched

    alike = replace(request, compensation="none", batch_size=bench.batch_size)

    def make() -> Planner:
        options: dict[str, Any] = {"task": bench.task, "latency": bench.latency, "progress": progress}
        return searched(bench.results, bench.model, bench.calibration, alike, **options)

    found = _noted(bench, ("search", bench.calibration.fingerprint, alike), make)
    return replace(found, request=request, latency=bench.latency)


def _measured(
    bench: Bench, plan: Plan, dense: Evaluation, progress: Callable[[int, int], None]
) -> tuple[Evaluation, Comparison]:
    """The masked and compensated model, and how it compares with the whole one."""
    from pruning.evaluation import compare

    compensation = plan.compensation if plan.mask else "none"
    chosen_by = bench.calibration.fingerprint if compensation != "none" else ""

    def make() -> tuple[Evaluation, Comparison]:
        if not plan.mask:
            return dense, compare(dense, dense)
        made = compensation, chosen_by
        found = _evaluated(bench, plan.mask, made, progress, lambda: _compensation(bench, plan))
        return found, compare(dense, found)

    return _noted(bench, ("measured", bench.evaluation.fingerprint, plan.mask, compensation, chosen_by), make)


def _evaluated(
    bench: Bench,
    mask: Mask,
    made: tuple[str, str],
    progress: Callable[[int, int], None],
    compensate: Callable[[], Compensation | None] = lambda: None,
) -> Evaluation:
    """An evaluation that an earlier process has left, or a new one; only then the compensation is made, too.

    Args:
        made: The compensation's method, and the fingerprint of the rows that it is made from.
    """
    from pruning.evaluation import evaluate
    from pruning.results import result_key

    model, rows, task, results = bench.model, bench.evaluation, bench.task, bench.results
    key = result_key(model, rows, task, mask, made, bench.batch_size) if results is not None else ""
    found = results.get(key, model, rows, task, mask) if results is not None else None
    if found is None:
        options: dict[str, Any] = {"task": task, "batch_size": bench.batch_size, "on_progress": progress}
        found = evaluate(model, rows, mask, compensation=compensate(), **options)
        if results is not None:
            results.put(key, found)
    return found


def _plans(planner: Planner, budgets: Sequence[Budget]) -> tuple[list[Plan], list[BudgetError]]:
    plans, missed = [], []
    for budget in budgets:
        try:
            plans.append(planner.plan(budget))
        except BudgetError as error:
            missed.append(error)
    return plans, missed


def _compensation(bench: Bench, plan: Plan) -> Compensation | None:
    """The plan's compensation; the means of the whole model are the same for all plans."""
    from pruning.recovery.reconstruction import compensate, compensate_means

    if plan.compensation == "mean":
        from pruning.means import measure_means

        key = ("means", bench.calibration.fingerprint)
        means = _noted(bench, key, lambda: measure_means(bench.model, bench.calibration, bench.batch_size))
        return replace(compensate_means(bench.model, plan.mask, means), data=bench.calibration.fingerprint)
    return compensate(bench.model, plan.mask, bench.calibration, plan.compensation, batch_size=bench.batch_size)


def sweep(
    bench: Bench, requests: Sequence[Request], budgets: Sequence[Budget], progress: Progress | None = None
) -> pd.DataFrame:
    """One tidy table, a row for each request and budget; see `Point.row` for its columns and `sweep_points`."""
    import pandas as pd

    return pd.DataFrame([point.row() for point in sweep_points(bench, requests, budgets, progress)])


def pareto_front(table: pd.DataFrame, saved: str, kept: str = "accuracy") -> pd.Series:
    """Which rows no other row beats: none leaves less of ``saved`` and keeps as much, or keeps more for as little.

    Args:
        saved: Column of a cost (``heads``, ``parameters``, ``macs``, ``latency_ms``): less is better.
        kept: Column of a metric: more is better, except of a loss or perplexity.

    Returns:
        Booleans, one for each row.
    """
    import pandas as pd

    sign = -1 if kept in ("loss", "perplexity") else 1
    cost, gain = table[saved].to_numpy(), sign * table[kept].to_numpy()
    beaten = [
        bool(((cost <= c) & (gain >= g) & ((cost < c) | (gain > g))).any()) for c, g in zip(cost, gain, strict=True)
    ]
    return ~pd.Series(beaten, index=table.index, dtype=bool)
