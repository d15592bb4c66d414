"""Importance maps that all sessions share: scored on the worker, one or several, and compared with each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING

from pruning.data import BUILT_IN_DATA, is_source
from pruning.errors import Cancelled, PruningError, message_of
from pruning.importance import ImportanceMap, get_criterion
from pruning.language import Later, later, mark
from pruning.scopes import Scope
from ui.jobs import Cache, Job, Worker

if TYPE_CHECKING:
    from pruning.importance.agreement import Agreement
    from pruning.models import LoadedModel
    from pruning.results import Results
    from pruning.tasks import Examples

KEPT_MAPS, KEPT_AGREEMENTS = 200, 2000  # agreements are of pairs of maps
KEPT_SCORES = 1_000_000  # values of one map; single rows' scores of thousands of neurons would fill the memory


@dataclass(frozen=True)
class Scoring:
    """What is scored, and against whose labels."""

    criterion: str
    scope: Scope = "heads"
    label_free: bool = False

    @property
    def from_predictions(self) -> bool:
        """Whether the model's own predictions take the place of labels that the criterion looks at."""
        return self.label_free and get_criterion(self.criterion).needs_labels

    def key(self, model: LoadedModel, data: str) -> tuple[object, ...]:
        """What a map is of; it changes with the model, the rows, and the file that they come from."""
        source = calibration_data(data)
        return model.fingerprint, source, modified(source), self.criterion, self.scope, self.from_predictions


class Maps:
    """Maps that were scored since the server started, and how far they agree.

    Args:
        results: On disk, where maps outlive the process: a scoring finds them there.
    """

    def __init__(
        self,
        scorer: Worker,
        other: Worker,
        examples: Callable[[LoadedModel, str], Examples],
        results: Results | None = None,
    ) -> None:
        self._scorer, self._other, self._examples, self._results = scorer, other, examples, results
        self._maps, self._refusals, self._agreements = Cache(KEPT_MAPS), Cache(KEPT_MAPS), Cache(KEPT_AGREEMENTS)

    def known(self, model: LoadedModel, data: str, what: Scoring) -> ImportanceMap | None:
        return self._maps.get(what.key(model, data))

    def refusal(self, model: LoadedModel, data: str, what: Scoring) -> Later | None:
        """Why it could not be scored among others; None where nothing is known against it."""
        return self._refusals.get(what.key(model, data))

    def score(self, session: str, model: LoadedModel, data: str, what: Scoring, kind: str = "score") -> Job:
        """Queue one scoring on the calibration rows; jobs of one ``kind`` and session replace each other."""

        def work(job: Job) -> ImportanceMap:
            return self._score(job, model, data, what)

        job = self._scorer.submit(Job((session, kind), ("score", *what.key(model, data)), work))
        if job.state == "done":  # the worker remembers the job; the map may have made room for others
            self._maps.put(what.key(model, data), job.result)
        return job

    def score_all(self, session: str, model: LoadedModel, data: str, wanted: tuple[Scoring, ...]) -> Job:
        """Queue several, one after the other; what cannot be scored is noted as a refusal and passed over.

        The job's ``partial`` is how many are done.
        """

        def work(job: Job) -> Iterator[None]:
            for done, what in enumerate(wanted):
                job.partial = done
                if self.known(model, data, what) is None:
                    try:
                        self._score(job, model, data, what, done, len(wanted))
                    except Cancelled:
                        raise
                    except PruningError as error:
                        self._refusals.put(what.key(model, data), message_of(error))
                yield
            job.partial = len(wanted)

        keys = [what.key(model, data) for what in wanted]
        return self._scorer.submit(Job((session, "score all"), ("score all", *keys), work))

    def _score(
        self, job: Job, model: LoadedModel, data: str, what: Scoring, before: int = 0, jobs: int = 1
    ) -> ImportanceMap:
        """Score the one after ``before`` of ``jobs`` and keep its map."""
        from pruning.findings import scored

        criterion = get_criterion(what.criterion)
        label = later(criterion.label)
        several = later("{criterion}, {n} of {total}:", criterion=label, n=before + 1, total=jobs)
        step: str | Later = mark("Scoring") if jobs == 1 else several

        def report(done: int, total: int) -> None:
            job.report(before * total + done, jobs * total, step)

        job.report(before, jobs, mark("Reading the calibration rows"))
        examples = self._examples(model, calibration_data(data)) if criterion.needs_data else None
        options = {"scope": what.scope, "label_free": what.from_predictions, "progress": report}
        found = scored(self._results, model, what.criterion, examples, **options)
        if found.scores is not None and found.scores.size > KEPT_SCORES:
            found = replace(found, scores=None)
        self._maps.put(what.key(model, data), found)
        return found

    # Agreement ---------------------------------------------------------------------------------------------------

    def agreement(self, a: ImportanceMap, b: ImportanceMap, k: int) -> Agreement | None:
        """The agreement of two maps, if it has been worked out."""
        return self._agreements.get((a, b, k))

    def agree(self, session: str, maps: tuple[ImportanceMap, ...], k: int) -> Job:
        """Queue the agreement of every pair with its intervals; that takes a quarter of a second a pair."""

        def work(job: Job) -> Iterator[None]:
            from pruning.importance.agreement import agree

            pairs = list(combinations(maps, 2))
            for done, (a, b) in enumerate(pairs):
                job.report(done, len(pairs), mark("Resampling the rows"))
                if self.agreement(a, b, k) is None:
                    self._agreements.put((a, b, k), agree(a, b, k))
                    yield

        return self._other.submit(Job((session, "agree"), ("agree", maps, k), work))


def modified(data: str) -> float:
    """When a data file was last changed, so that an edited file is read again; what is kept under an id never does."""
    from pathlib import Path

    try:
        if is_source(data):
            from pruning.sources import find_source

            source = find_source(data)
            return source.file.stat().st_mtime if source.outside else 0.0
        return Path(data).expanduser().stat().st_mtime
    except (OSError, ValueError, RuntimeError, PruningError):
        return 0.0


def calibration_data(data: str) -> str:
    """Where importance is scored for a data set: out-of-domain sets are for measuring only."""
    return BUILT_IN_DATA[data].calibration if data in BUILT_IN_DATA else data
