"""Searches that all sessions share: done on a worker, kept, and asked again for any other budget at once."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from pruning.language import mark
from ui.jobs import Cache, Job, Worker
from ui.maps import calibration_data, modified

if TYPE_CHECKING:
    from pruning.latency import LatencyTable
    from pruning.models import LoadedModel
    from pruning.plan import Plan
    from pruning.results import Results
    from pruning.search.planning import Planner, Request
    from pruning.tasks import Examples

KEPT_SEARCHES, KEPT_TABLES = 12, 12


class Plans:
    """Planners by model, calibration rows and request, and latency tables by model.

    A search may take minutes, so it has a worker of its own: measuring and scoring go on beside it.

    Args:
        results: On disk, where searches outlive the process.
    """

    def __init__(
        self, worker: Worker, examples: Callable[[LoadedModel, str], Examples], results: Results | None = None
    ) -> None:
        self.worker, self._examples, self._results = worker, examples, results
        self._planners, self._tables = Cache(KEPT_SEARCHES), Cache(KEPT_TABLES)

    def table(self, model: LoadedModel) -> LatencyTable | None:
        """Times that were measured or read since the server started."""
        return self._tables.get(model.fingerprint)

    def planner(self, model: LoadedModel, data: str, request: Request) -> Planner | None:
        """A search that is done, with measured times where there are any."""
        found = self._planners.get(_key(model, data, request))
        return replace(found, latency=self.table(model)) if found is not None else None

    def search(self, session: str, model: LoadedModel, data: str, request: Request, timed: bool) -> Job:
        """Queue a search; its result is the planner.

        Args:
            timed: Measure the model's times first, for a budget of latency.
        """

        def work(job: Job) -> Planner | None:
            if timed:
                self._time(job, model, request)
            found = self.planner(model, data, request)
            return found if found is not None else self._search(job, model, data, request)

        owner = (session, "plan")
        return self.worker.submit(Job(owner, ("plan", *_key(model, data, request), timed), work))

    def guarantee(self, session: str, model: LoadedModel, data: str, request: Request, points: float) -> Job:
        """Queue the search for the smallest model that loses at most so many points; its result is the plan."""

        def work(job: Job) -> Plan:
            from pruning.findings import guaranteed_plan

            job.report(0, 1, mark("Reading the calibration rows"))
            examples = self._examples(model, calibration_data(data))
            progress = _follow(job, mark("Confirming on rows kept apart"))
            return guaranteed_plan(self._results, model, examples, points, request, progress)

        owner = (session, "plan")
        return self.worker.submit(Job(owner, ("guarantee", *_key(model, data, request), points), work))

    def _search(self, job: Job, model: LoadedModel, data: str, request: Request) -> Planner:
        from pruning.findings import searched

        job.report(0, 1, mark("Reading the calibration rows"))
        looks = request.chosen_strategy.measure or request.chosen_criterion.needs_data
        examples = self._examples(model, calibration_data(data)) if looks else None
        job.started = time.monotonic()
        found = searched(self._results, model, examples, request, progress=_follow(job, mark("Finishing")))
        self._planners.put(_key(model, data, request), found)
        return replace(found, latency=self.table(model))

    def _time(self, job: Job, model: LoadedModel, request: Request) -> None:
        from pruning.latency import measure_latency_table

        def report(done: int, total: int) -> None:
            job.report(done, total, mark("Timing smaller versions of the model, once on this computer"))

        if self.table(model) is None:
            report(0, 1)
            self._tables.put(model.fingerprint, measure_latency_table(model, request.tokens, progress=report))


def _follow(job: Job, last: str) -> Callable[[int, int], None]:
    """Progress of a search; what comes after its last step is named."""

    def report(done: int, total: int) -> None:
        job.report(done, total, last if done == total else mark("Searching"))

    return report


def _key(model: LoadedModel, data: str, request: Request) -> tuple[object, ...]:
    rows = calibration_data(data)
    return model.fingerprint, rows, modified(rows), request
