"""What all sessions share of looking at heads: maps, average patterns, likenesses, and what is lost without one head.

No streamlit here. Looking has a worker of its own, so that it need not wait for a long scoring.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pruning.language import mark
from pruning.masks import HeadId, Mask
from ui.jobs import Cache, Job, Worker
from ui.maps import calibration_data, modified
from ui.measuring import Measurements
from ui.replacing import Variant

if TYPE_CHECKING:
    from collections.abc import Callable

    from pruning.looking import AttentionMap, Patterns
    from pruning.models import LoadedModel
    from pruning.tasks import Examples

PATTERN_ROWS, ALIKE_ROWS = 128, 64  # calibration rows, the first ones
KEPT_MAPS, KEPT_ROWS, KEPT_FINDINGS = 64, 8, 200
LARGE_BYTES = 1 << 24  # of a map: of such only the last one is kept
Divergences = tuple[tuple[float, ...], ...]  # [site][head], bits


class Looks:
    """Findings by what they are of."""

    def __init__(self, evaluator: Worker, examples: Callable[..., Examples], measurements: Measurements) -> None:
        self.worker, self.evaluator = Worker("looker"), evaluator
        self._examples, self._measurements = examples, measurements
        self._maps, self._rows, self._found = Cache(KEPT_MAPS), Cache(KEPT_ROWS), Cache(KEPT_FINDINGS)
        self._large = Cache(1)

    # Maps --------------------------------------------------------------------------------------------------------

    def attention(self, model: LoadedModel, what: object, features: dict[str, Any], site: int) -> AttentionMap:
        """The attention of a site on one input; one pass, so it is not queued.

        Args:
            what: What the features are of, as a key.

        Raises:
            UnsupportedError: It cannot be seen.
        """
        from pruning.looking import attention_map

        key = (model.fingerprint, what, site)
        found: AttentionMap | None = self._maps.get(key) or self._large.get(key)
        if found is None:
            found = attention_map(model, features, site)
            (self._maps if found.size_bytes < LARGE_BYTES else self._large).put(key, found)
        return found

    def rows(self, model: LoadedModel, data: str) -> Examples | None:
        """The calibration rows, if they have been read."""
        return self._rows.get(_key("rows", model, data))

    def read(self, session: str, model: LoadedModel, data: str) -> Job:
        """Queue the reading of the calibration rows."""

        def work(job: Job) -> Examples:
            job.report(0, 1, mark("Reading the rows"))
            return self._read(model, data)

        return self.worker.submit(Job((session, "head rows"), _key("rows", model, data), work))

    def _read(self, model: LoadedModel, data: str) -> Examples:
        found = self._examples(model, calibration_data(data), "calibration")
        self._rows.put(_key("rows", model, data), found)
        return found

    # Patterns ----------------------------------------------------------------------------------------------------

    def patterns(self, model: LoadedModel, data: str) -> Patterns | None:
        """What every head attends to on average, if that is known."""
        return self._found.get(_key("patterns", model, data))

    def measure_patterns(self, session: str, model: LoadedModel, data: str) -> Job:
        """Queue one pass over the first calibration rows."""

        def work(job: Job) -> None:
            from pruning.looking import measure_patterns

            examples = self._first(job, model, data, PATTERN_ROWS)
            found = measure_patterns(model, examples, _follow(job, mark("Watching all heads")))
            self._found.put(_key("patterns", model, data), found)

        return self.worker.submit(Job((session, "head patterns"), _key("patterns", model, data), work))

    def alike(self, model: LoadedModel, data: str, head: HeadId) -> Divergences | None:
        """How far every head is from one, if that is known."""
        return self._found.get(_key("alike", model, data, head))

    def compare(self, session: str, model: LoadedModel, data: str, head: HeadId) -> Job:
        """Queue the comparison of one head with all others."""
        key = _key("alike", model, data, head)

        def work(job: Job) -> None:
            from pruning.looking import similar_heads

            examples = self._first(job, model, data, ALIKE_ROWS)
            self._found.put(key, similar_heads(model, examples, head, _follow(job, mark("Comparing with all heads"))))

        return self.worker.submit(Job((session, "head alike"), key, work))

    def _first(self, job: Job, model: LoadedModel, data: str, count: int) -> Examples:
        job.report(0, 1, mark("Reading the rows"))
        examples = self._read(model, data)
        return examples.at(range(count)) if count < len(examples) else examples

    # Loss --------------------------------------------------------------------------------------------------------

    def without(self, session: str, model: LoadedModel, data: str, head: HeadId) -> Job:
        """Queue the evaluation of the model without one head against the whole model; the result is a `Live`."""

        def work(job: Job) -> Iterator[None]:
            job.report(0, 1, mark("Reading the evaluation rows"))
            examples = self._examples(model, data, "evaluation")
            cut = Variant(Mask(frozenset({head})))
            for live in self._measurements.against_whole(job, model, examples, cut):
                job.partial = live
                if not live.complete:
                    yield
            job.result = job.partial

        key = ("without", model.fingerprint, data, modified(data), head)
        return self.evaluator.submit(Job((session, "head without"), key, work))


def _follow(job: Job, step: str) -> Callable[[int, int], None]:
    return lambda done, total: job.report(done, total, step)


def _key(what: str, model: LoadedModel, data: str, *more: object) -> tuple[object, ...]:
    source = calibration_data(data)
    return what, model.fingerprint, source, modified(source), *more
