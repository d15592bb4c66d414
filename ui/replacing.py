"""What stands in for what is removed: made on the worker from the calibration rows, and kept for all sessions."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from pruning.language import mark
from pruning.masks import Mask
from ui.jobs import Cache, Job
from ui.maps import calibration_data, modified

if TYPE_CHECKING:
    from pruning.means import Means
    from pruning.models import LoadedModel
    from pruning.recovery.compensation import Compensation
    from pruning.tasks import Examples

KEPT_MEANS, KEPT_FITS = 16, 6  # a fit holds the weights of all projections


@dataclass(frozen=True)
class Variant:
    """A masked model: the mask, and what stands in for what it removes, known by how that was made."""

    mask: Mask = field(default_factory=Mask)
    compensation: Compensation | None = field(default=None, compare=False)
    made: tuple[str, str] = ("none", "")  # method, fingerprint of the calibration rows

    @classmethod
    def of(cls, mask: Mask, compensation: Compensation | None) -> Variant:
        return cls(mask, compensation, (compensation.method, compensation.data) if compensation else cls.made)


class Replacements:
    """Compensations by model, calibration rows, mask and method."""

    def __init__(self, examples: Callable[[LoadedModel, str], Examples]) -> None:
        self._examples = examples
        self._means, self._fits = Cache(KEPT_MEANS), Cache(KEPT_FITS)

    def known(self, model: LoadedModel, data: str, mask: Mask, method: str) -> Compensation | None:
        """What is there already; ``None`` as well where nothing is wanted."""
        if method == "reconstruct":
            return self._fits.get((*_source(model, data), mask))
        means = self._means.get(_source(model, data))
        return _mean(model, mask, means) if method == "mean" and means is not None else None

    def make(self, job: Job, model: LoadedModel, data: str, mask: Mask, method: str) -> Compensation | None:
        """The same, made where it is not there yet. Reports to the job, and ends where that is cancelled.

        Raises:
            PruningError: The rows cannot be read, or the model's projections cannot be compensated.
        """
        if method == "none" or not mask:
            return None
        found = self.known(model, data, mask, method)
        if found is None:
            found = self._fit(job, model, data, mask) if method == "reconstruct" else self._fold(job, model, data, mask)
            job.started = time.monotonic()  # the time that is left is told from the pace of what comes now
        return found

    def _fold(self, job: Job, model: LoadedModel, data: str, mask: Mask) -> Compensation:
        from pruning.means import measure_means

        job.report(0, 1, mark("Measuring mean outputs, once for this model and data"))
        examples = self._examples(model, calibration_data(data))
        means = measure_means(model, examples), examples.fingerprint
        self._means.put(_source(model, data), means)
        job.report(1, 1)
        return _mean(model, mask, means)

    def _fit(self, job: Job, model: LoadedModel, data: str, mask: Mask) -> Compensation:
        from pruning.recovery.reconstruction import reconstruct

        def report(done: int, total: int) -> None:
            job.report(done, total, mark("Fitting projections"))

        job.report(0, 1, mark("Reading the calibration rows"))
        examples = self._examples(model, calibration_data(data))
        job.report(0, 1, mark("Recording what the projections give"))
        job.started = time.monotonic()
        found = reconstruct(model, mask, examples, progress=report)
        self._fits.put((*_source(model, data), mask), found)
        return found


def _source(model: LoadedModel, data: str) -> tuple[object, ...]:
    rows = calibration_data(data)
    return model.fingerprint, rows, modified(rows)


def _mean(model: LoadedModel, mask: Mask, means: tuple[Means, str]) -> Compensation:
    from pruning.recovery.reconstruction import compensate_means

    return replace(compensate_means(model, mask, means[0]), data=means[1])
