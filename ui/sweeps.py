"""Sweeps that all sessions share: what is asked for, the job that measures it, and the tables that came of it.

No streamlit here. What one sweep has found out, a later one of the same model and data does not compute again.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import product
from typing import TYPE_CHECKING, Any

from pruning.builtin import BUILT_IN
from pruning.data import BUILT_IN_DATA, DataSpec
from pruning.errors import Cancelled, PruningError, message_of
from pruning.importance import get_criterion
from pruning.language import Later, later, mark
from pruning.scopes import Scope
from pruning.search import Budget, get_strategy
from ui import allowed
from ui.history.entries import of_sweep
from ui.history.recorder import Note, nothing
from ui.jobs import Cache, Job, Worker
from ui.maps import modified
from ui.paths import source_of

if TYPE_CHECKING:
    from pruning.latency import LatencyTable
    from pruning.models import LoadedModel
    from pruning.results import Results
    from pruning.search.planning import Request
    from pruning.sweep import Bench

ALL_ROWS, QUICK_ROWS = 1500, 300  # of a file of the user's, too: the built-in sets have no more
STEP = 10  # percent, between two budgets
KEPT_BENCHES, KEPT_FINDINGS, KEPT_SWEEPS = 3, 500, 60
TAKE_BACK = "take back"  # a kind of job
SEEDED = "random"  # the criterion that is drawn again with every seed
KEPT_FILE = BUILT_IN["demo"].folder / "sweep.csv"


@dataclass(frozen=True)
class SweepSettings:
    """What a sweep tries, in the order of the registries.

    Attributes:
        compensations: What takes the place of what is removed.
        kind: What the budgets count.
        most, least: Percent of it that are left, in steps of `STEP`.
        seeds: Random orders that are drawn.
        rows: That measure, at most.
    """

    criteria: tuple[str, ...] = ("gradient", "magnitude", SEEDED)
    strategies: tuple[str, ...] = ("one-shot",)
    compensations: tuple[str, ...] = ("none",)
    kind: str = "heads"
    most: int = 90
    least: int = 20
    seeds: int = 3
    scopes: tuple[Scope, ...] = ("heads",)
    rows: int = ALL_ROWS

    @property
    def budgets(self) -> list[Budget]:
        """From the whole model, where every line begins, to the smallest."""
        return [Budget(self.kind, share / 100) for share in (100, *range(self.most, self.least - 1, -STEP))]  # type: ignore[arg-type]

    def requests(self) -> tuple[list[Request], list[Later]]:
        """Every combination that makes sense, and a sentence on each that does not."""
        from pruning.search.planning import Request

        found: list[Request] = []
        refused: list[Later] = []
        for strategy, compensation in product(self.strategies, self.compensations):
            own = get_strategy(strategy).measure  # then the criteria play no part, and one line is enough
            for criterion in self.criteria[:1] if own else self.criteria:
                for seed in range(self.seeds if criterion == SEEDED and not own else 1):
                    try:
                        request = Request(criterion, strategy, self.scopes, compensation=compensation, seed=seed)
                        found.append(request.check())
                    except PruningError as error:
                        refused.append(message_of(error))
        return found, list({str(reason): reason for reason in refused}.values())

    @property
    def work(self) -> tuple[int, int]:
        """How many searches there are, and how many evaluations at most: budgets may agree on a mask."""
        requests, _ = self.requests()
        searches = {replace(request, compensation="none") for request in requests}
        return len(searches), 1 + len(requests) * (len(self.budgets) - 1) if requests else 0

    def commands(self, model: str, data: str) -> list[str]:
        """What makes the same rows on the command line: a command for each compensation and number of seeds."""
        drawn = [name for name in self.criteria if name == SEEDED]
        fixed = [name for name in self.criteria if name != SEEDED]
        budgets = ",".join(map(str, self.budgets))
        found: list[str] = []
        for compensation, (criteria, seeds) in product(self.compensations, ((fixed, 1), (drawn, self.seeds))):
            if not criteria:
                continue
            parts = ["python", "-m", "pruning", "sweep", model, "--data", data, "--criteria", ",".join(criteria)]
            parts += ["--strategies", ",".join(self.strategies), "--budgets", budgets]
            parts += ["--seeds", ",".join(map(str, range(seeds)))] if seeds > 1 else []
            parts += ["--scope", ",".join(self.scopes)] if self.scopes != ("heads",) else []
            parts += ["--compensate", compensation] if compensation != "none" else []
            if data not in BUILT_IN_DATA:
                parts += ["--calibration-samples", str(ALL_ROWS)]
            if self.rows != ALL_ROWS or data not in BUILT_IN_DATA:
                parts += ["--samples", str(self.rows)]
            found.append(shlex.join([*parts, "-o", f"sweep-{len(found) + 1}.csv"]))
        return found


@dataclass(frozen=True)
class Swept:
    """The rows that a sweep has, as `pruning.sweep.Point.row` makes them; more may come.

    Attributes:
        settings: ``None`` for the table that is kept with the built-in model.
        refused: Why some lines are missing.
        chosen_on: Fingerprint of the rows that chose; empty while points still come.
        reopened: Whether it came back from the history.
    """

    settings: SweepSettings | None
    rows: tuple[dict[str, Any], ...]
    complete: bool
    refused: tuple[Later, ...] = ()
    chosen_on: str = ""
    reopened: bool = False


@dataclass(frozen=True)
class Origin:
    """What a sweep of the history was measured with: fingerprints of the model, and of the rows of both kinds."""

    model: str
    chosen_on: str
    measured_on: str


class Sweeps:
    """Sweeps since the server started, what they share, and tables of latency.

    Args:
        results: On disk, where searches and measurements outlive the process.
    """

    def __init__(self, worker: Worker, record: Note = nothing, results: Results | None = None) -> None:
        self._worker, self._record, self._results = worker, record, results
        self._benches, self._swept, self._latencies = Cache(KEPT_BENCHES), Cache(KEPT_SWEEPS), Cache(KEPT_SWEEPS)
        self._seconds = Cache(KEPT_SWEEPS)

    def found(self, model: LoadedModel, data: str, settings: SweepSettings) -> Swept | None:
        """What is there of a sweep; a cancelled one keeps the rows that it had."""
        return self._swept.get(sweep_key(model, data, settings))

    def rows_of(self, model: LoadedModel, data: str) -> int | None:
        """How many rows measure, if they have been read."""
        bench: Bench | None = self._benches.get(_bench_key(model, data))
        return len(bench.evaluation) if bench else None

    def seconds_per_row(self, model: LoadedModel) -> float | None:
        """As the last evaluation of a sweep took."""
        return self._seconds.get(model.fingerprint)

    def start(self, session: str, model: LoadedModel, data: str, settings: SweepSettings) -> Job:
        """Queue a sweep. Points are kept as they come, and between two of them other jobs have their turn."""
        key = sweep_key(model, data, settings)

        def work(job: Job) -> Iterator[None]:
            job.report(0, 1, mark("Reading the rows"))
            began, bench = time.monotonic(), self._bench(model, data, settings.rows)
            requests, _ = settings.requests()
            rows: list[dict[str, Any]] = []
            refused: list[PruningError] = []
            for position, request in enumerate(requests):
                try:
                    for row in self._points(job, bench, request, settings, position / len(requests), len(requests)):
                        rows.append(row)
                        self._keep(key, Swept(settings, tuple(rows), False))
                        yield
                except Cancelled:
                    raise
                except PruningError as error:
                    refused.append(error)
            if refused and not rows:
                raise refused[0]
            reasons = {str(error): message_of(error) for error in refused}
            swept = Swept(settings, tuple(rows), True, tuple(reasons.values()), bench.calibration.fingerprint)
            self._keep(key, swept)
            if rows:
                self._record(partial(of_sweep, session, model, data, swept, time.monotonic() - began))

        return self._worker.submit(Job((session, "sweep"), key, work))

    def take_back(self, session: str, model: LoadedModel, data: str, swept: Swept, origin: Origin) -> Job:
        """Queue the check that nothing has changed since a sweep was measured; then it is there as if it had just been.

        The result is whether that is so.
        """

        def work(job: Job) -> bool:
            assert swept.settings is not None
            job.report(0, 1, mark("Reading the rows"))
            bench = self._bench(model, data, swept.settings.rows)
            now = Origin(model.fingerprint, bench.calibration.fingerprint, bench.evaluation.fingerprint)
            if now == origin:
                self._keep(sweep_key(model, data, swept.settings), swept)
            return now == origin

        about = ("take back", *_bench_key(model, data), swept.settings, origin)
        return self._worker.submit(Job((session, TAKE_BACK), about, work))

    def _points(
        self, job: Job, bench: Bench, request: Request, settings: SweepSettings, before: float, requests: int
    ) -> Iterator[dict[str, Any]]:
        """The rows of one of several requests; ``before`` is the share of the work that is done."""
        from pruning.sweep import sweep_points

        label = later(get_strategy(str(request.strategy)).label)
        if not get_strategy(str(request.strategy)).measure:
            by = later(get_criterion(str(request.criterion)).label)
            label = later("{strategy}, {criterion}", strategy=label, criterion=by)

        def progress(done: int, total: int, what: str) -> None:
            doing = mark("{way}: searching") if what.startswith("searching") else mark("{way}: measuring")
            job.report(int(1000 * (before + done / total / requests)), 1000, later(doing, way=label))

        for point in sweep_points(bench, [request], settings.budgets, progress):
            self._seconds.put(bench.model.fingerprint, point.evaluation.seconds / point.evaluation.samples)
            yield point.row()

    def _keep(self, key: object, swept: Swept) -> None:
        """Unless there is more already: two sessions may run the same sweep, or one may run it again."""
        known: Swept | None = self._swept.get(key)
        if known is None or swept.complete or len(swept.rows) >= len(known.rows):
            self._swept.put(key, swept)

    def _bench(self, model: LoadedModel, data: str, rows: int) -> Bench:
        """The examples, and what earlier sweeps on them found out."""
        bench: Bench | None = self._benches.get(_bench_key(model, data))
        if bench is None:
            bench = replace(make_bench(model, data), results=self._results)
            self._benches.put(_bench_key(model, data), bench)
        if rows < len(bench.evaluation):
            return replace(bench, evaluation=bench.evaluation.at(range(rows)))
        return bench

    # Latency -----------------------------------------------------------------------------------------------------

    def latency(self, model: LoadedModel) -> LatencyTable | None:
        """Times of this model on this computer, if they have been measured."""
        return self._latencies.get(model.fingerprint)

    def measure_latency(self, session: str, model: LoadedModel) -> Job:
        """Queue the measurement."""

        def work(job: Job) -> None:
            from pruning.latency import measure_latency_table

            job.report(0, 1, mark("Cutting and timing"))
            table = measure_latency_table(model, progress=job.report)
            self._latencies.put(model.fingerprint, table)

        return self._worker.submit(Job((session, "latency"), ("latency", model.fingerprint), work))


def make_bench(model: LoadedModel, data: str) -> Bench:
    """The rows that choose and the rows that measure, encoded; no row does both.

    Raises:
        PruningError: The data cannot be read, does not fit the model, or is too small to be divided.
    """
    from pruning.dividing import choosing_and_measuring
    from pruning.sweep import Bench
    from pruning.tasks import task_of

    task = task_of(model)
    allowed.check_data(data)
    parts = [part.first(ALL_ROWS) for part in choosing_and_measuring(DataSpec(source_of(data)))]
    for part in parts:
        allowed.check_images(part, task.name)
    calibration, evaluation = (task.encode(model, part) for part in parts)
    return Bench(model, task, calibration, evaluation, known=Cache(KEPT_FINDINGS))


def sweep_key(model: LoadedModel, data: str, settings: SweepSettings) -> tuple[object, ...]:
    """What a sweep is of."""
    return "sweep", *_bench_key(model, data), settings


def _bench_key(model: LoadedModel, data: str) -> tuple[object, ...]:
    return model.fingerprint, data, modified(data)


@lru_cache(maxsize=1)
def kept_sweep() -> Swept | None:
    """The built-in model's table from ``assets/``, as long as model and rows are those that it was measured on."""
    if not KEPT_FILE.is_file():
        return None
    import pandas as pd

    from pruning.data import load_data

    kinds = dict.fromkeys(("mask", "model", "data"), str)  # they may look like numbers, and no mask is no letters
    table = pd.read_csv(KEPT_FILE, dtype=kinds, keep_default_na=False, na_values={"latency_ms": [""]})
    now = {"model": {BUILT_IN["demo"].fingerprint()}, "data": {load_data("demo").fingerprint}}
    if any(set(table[name]) != values for name, values in now.items()):
        return None
    return Swept(None, tuple(table.to_dict("records")), True)
