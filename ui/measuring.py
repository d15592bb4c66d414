"""Evaluations that all sessions share: measured side by side on the same growing samples, and kept by fingerprints.

No streamlit here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pruning.conversion import cache_folder
from pruning.language import mark
from pruning.models import number_setting
from pruning.results import Results
from ui.jobs import Cache, Job
from ui.replacing import Variant

if TYPE_CHECKING:
    from pruning.evaluation import Comparison, Evaluation
    from pruning.models import LoadedModel
    from pruning.replay import Tapes
    from pruning.tasks import Examples

KEPT_EVALUATIONS = 400
RESULTS_MB = number_setting("HEADROOM_RESULTS_MB", 64)  # of the file that keeps them between runs; 0 keeps none
TAPES_MB = number_setting("HEADROOM_CACHE_MB", 1024)  # for the states of the last mask; 0 keeps none


@dataclass(frozen=True)
class Live:
    """What the worker knows of a mask at one moment."""

    before: Evaluation
    after: Evaluation
    comparison: Comparison

    @property
    def complete(self) -> bool:
        return self.before.complete and self.after.complete


class Measurements:
    """Evaluations by model, rows, mask and what stands in for what is removed.

    Args:
        is_loaded: Whether a model was loaded, and not made here: no other process will know one that was trained, so
            its results are not kept on disk.
    """

    def __init__(self, is_loaded: Callable[[LoadedModel], bool]) -> None:
        self._is_loaded, self._evaluations = is_loaded, Cache(KEPT_EVALUATIONS)
        self.results = Results(cache_folder() / "results.sqlite", RESULTS_MB << 20)
        self.tapes: Tapes | None = None  # made with the first evaluation, on its thread

    def evaluation(self, model: LoadedModel, examples: Examples, variant: Variant) -> Evaluation | None:
        """A finished evaluation, if this process knows one."""
        return self._evaluations.get((model.fingerprint, examples.fingerprint, variant))

    def against_whole(self, job: Job, model: LoadedModel, examples: Examples, variant: Variant) -> Iterator[Live]:
        """A variant beside the unpruned model, on growing samples."""
        from pruning.evaluation import compare

        whole = Variant()
        for found in self.measure(job, model, examples, list(dict.fromkeys([whole, variant]))):
            yield Live(found[whole], found[variant], compare(found[whole], found[variant]))

    def measure(
        self, job: Job, model: LoadedModel, examples: Examples, variants: list[Variant]
    ) -> Iterator[dict[Variant, Evaluation]]:
        """Evaluate variants side by side on the same growing samples; what is known is taken from the cache.

        Between two samples other sessions have their turn, so that all see a first estimate soon.
        """
        from pruning.evaluation import evaluate_in_steps
        from pruning.replay import Tapes

        self.tapes = Tapes(TAPES_MB << 20) if self.tapes is None else self.tapes
        cached = {variant: self.known(model, examples, variant) for variant in variants}
        known = {variant: found for variant, found in cached.items() if found is not None}
        missing = [variant for variant in variants if variant not in known]
        if not missing:
            yield known
        progress = _progress(job, missing)
        streams = [
            evaluate_in_steps(
                model, examples, one.mask, on_progress=progress(one), compensation=one.compensation, tapes=self.tapes
            )
            for one in missing
        ]
        for step in zip(*streams, strict=True):
            found = dict(zip(missing, step, strict=True))
            for variant, evaluation in found.items():
                if evaluation.complete:
                    self._note(model, examples, variant, evaluation)
            yield known | found

    # What is known -----------------------------------------------------------------------------------------------

    def known(self, model: LoadedModel, examples: Examples, variant: Variant) -> Evaluation | None:
        """What was measured by this process, or by an earlier one."""
        from pruning.tasks import task_of

        found = self.evaluation(model, examples, variant)
        if found is None and self._is_loaded(model):
            key, task = _result_key(model, examples, variant), task_of(model)
            found = self.results.get(key, model, examples, task, variant.mask)
            if found is not None:
                self._remember(model, examples, variant, found)
        return found

    def _note(self, model: LoadedModel, examples: Examples, variant: Variant, evaluation: Evaluation) -> None:
        self._remember(model, examples, variant, evaluation)
        if self._is_loaded(model):
            self.results.put(_result_key(model, examples, variant), evaluation)

    def _remember(self, model: LoadedModel, examples: Examples, variant: Variant, evaluation: Evaluation) -> None:
        key = replace(variant, compensation=None)  # the weights are kept elsewhere, and not for so long
        self._evaluations.put((model.fingerprint, examples.fingerprint, key), evaluation)


def _progress(job: Job, missing: list[Variant]) -> Callable[[Variant], Callable[[int, int], None]]:
    """For each variant a callback; the job shows what all of them have done together."""
    seen = dict.fromkeys(missing, 0)

    def follow(variant: Variant) -> Callable[[int, int], None]:
        alone = mark("Measuring the pruned model") if variant.mask else mark("Measuring the unpruned model")
        step = mark("Measuring both models") if len(missing) > 1 else alone

        def on_progress(done: int, total: int) -> None:
            seen[variant] = done
            job.report(sum(seen.values()), total * len(missing), step)

        return on_progress

    return follow


def _result_key(model: LoadedModel, examples: Examples, variant: Variant) -> str:
    from pruning.evaluation import BATCH_SIZE
    from pruning.results import result_key
    from pruning.tasks import task_of

    return result_key(model, examples, task_of(model), variant.mask, variant.made, BATCH_SIZE)
