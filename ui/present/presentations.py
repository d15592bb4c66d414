"""What has been measured for presentations, shared by all sessions, and the jobs that measure it. No streamlit here."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pruning.builtin import BUILT_IN
from pruning.data import DataSpec, load_data
from pruning.errors import PruningError, UnsupportedError
from pruning.language import mark
from pruning.masks import Mask
from pruning.presenting.figures import Presented, counts_of
from pruning.presenting.keeping import Measured, keep_steps, kept_measured, kept_steps, measured_key
from pruning.presenting.measuring import RUNS, Size
from ui.jobs import Cache, Job, Worker
from ui.maps import calibration_data, modified
from ui.plans import Plans
from ui.present.choice import COMPENSATION, Choice, possible
from ui.recoveries import submit_again
from ui.replacing import Replacements, Variant

if TYPE_CHECKING:
    from pruning.models import LoadedModel
    from pruning.presenting.measuring import Timing
    from pruning.recovery.compensation import Compensation
    from pruning.search.planning import Planner
    from pruning.tasks import Examples
    from ui.measuring import Measurements

KEPT = 200
TURN_SECONDS = 0.1  # how long the evaluator waits for a search before others have their turn


class Presentations:
    """Measured choices by model, data, mask, replacement and length of a request.

    What is measured and searched is kept on disk, too, beside the evaluations.
    """

    def __init__(
        self,
        evaluator: Worker,
        plans: Plans,
        replacements: Replacements,
        examples: Callable[[LoadedModel, str, Any], Examples],
        measurements: Measurements,
    ) -> None:
        self.worker, self._measurements = evaluator, measurements
        self._plans, self._replacements, self._examples = plans, replacements, examples
        self._found, self._sizes, self._steps = Cache(KEPT), Cache(KEPT), Cache(KEPT)

    def planner(self, model: LoadedModel, data: str, choice: Choice) -> Planner | None:
        """The search behind a choice, once it is done."""
        return None if choice.kind == "mask" else self._plans.planner(model, data, choice.request(model.anatomy))

    def mask(self, model: LoadedModel, data: str, choice: Choice, own: Mask) -> Mask | None:
        """What the choice removes; ``None`` until a search has found it, and where the step does not exist.

        Args:
            own: The mask of the session.
        """
        if choice.kind == "mask" or not choice.percent:
            return own if choice.kind == "mask" else Mask()
        steps = self.steps(model, data, choice)
        return None if steps is None else steps.get(choice.percent)

    def steps(self, model: LoadedModel, data: str, choice: Choice) -> dict[int, Mask] | None:
        """What each step of the slider removes, of those that exist; ``None`` until the search is done."""
        key = _steps_key(model, data, choice)
        found: dict[int, Mask] | None = self._steps.get(key)
        if found is None and calibration_data(data) == "demo":
            found = built_in_steps(model.fingerprint).get(choice.kind)
        planner = self.planner(model, data, choice) if found is None else None
        if planner is not None:
            found = possible(planner, choice.kind)
            self._steps.put(key, found)
        return found

    def found(self, model: LoadedModel, data: str, mask: Mask | None, method: str, tokens: int) -> Presented | None:
        """What is known of a mask by now."""
        return None if mask is None else self._found.get(_key(model, data, mask, method, tokens))

    def job(self, session: str) -> Job | None:
        """The session's latest."""
        return self.worker.latest((session, "present"))

    def start(
        self,
        session: str,
        model: LoadedModel,
        data: str,
        choices: Sequence[Choice],
        own: Mask = Mask(),  # noqa: B008  it is frozen
        method: str = COMPENSATION,
        tokens: int = 128,
        first: Choice | None = None,
    ) -> Job:
        """Queue the plan, the cut, the evaluation and the times of some choices, one after the other.

        Args:
            first: The choice that somebody waits for.
        """

        def work(job: Job) -> Iterator[None]:
            for number, choice in enumerate(sorted(choices, key=lambda one: one != first)):
                yield from self._search(job, session, model, data, choice)
                mask = self.mask(model, data, choice, own)
                if mask is not None:
                    yield from self._present(job, model, data, mask, method, tokens, number, len(choices))

        about = wanted(model, data, choices, own, method, tokens)
        return submit_again(self.worker, Job((session, "present"), about, work))

    def _search(self, job: Job, session: str, model: LoadedModel, data: str, choice: Choice) -> Iterator[None]:
        """Wait for the planner's own worker, and let others have their turn meanwhile."""
        if choice.kind == "mask" or not choice.percent or self.steps(model, data, choice) is not None:
            return
        job.report(0, 1, mark("Reading the calibration rows"))
        calibration = self._examples(model, calibration_data(data), "calibration")
        results, request = self._measurements.results, choice.request(model.anatomy)
        if steps := kept_steps(results, model, calibration, request):
            self._steps.put(_steps_key(model, data, choice), steps)
            return
        search = self._plans.search(f"{session} present", model, data, request, False)
        try:
            while not search.finished.wait(TURN_SECONDS):
                job.report(search.done, search.total, search.step)
                job.started = search.started
                yield
        finally:
            if not search.finished.is_set():
                search.cancel()
        if search.error is not None:
            raise search.error
        if steps := self.steps(model, data, choice):
            keep_steps(results, model, calibration, request, steps)

    def refit(self, session: str, model: LoadedModel, data: str, mask: Mask, method: str) -> Job:
        """Make a replacement again that has made room for others."""

        def work(job: Job) -> None:
            self._replacements.make(job, model, data, mask, method)

        about = ("fit", model.fingerprint, data, modified(data), mask, method)
        return submit_again(self.worker, Job((session, "present fit"), about, work))

    # One mask ----------------------------------------------------------------------------------------------------

    def _present(
        self, job: Job, model: LoadedModel, data: str, mask: Mask, method: str, tokens: int, number: int, count: int
    ) -> Iterator[None]:
        key = _key(model, data, mask, method, tokens)
        found: Presented | None = self._found.get(key)
        if found is not None and found.complete:
            return
        job.report(number, count, mark("Fitting what is left"))
        on_disk = self._key_on_disk(model, data, mask, method, tokens)
        if (kept := self._kept(model, data, mask, on_disk)) is not None:
            self._found.put(key, kept)
            job.partial = kept.stage
            return
        replacement, method = self._replacement(job, model, data, mask, method)
        plain = Presented(mask, *counts_of(model.anatomy, mask), method if mask else "none")
        for found in self._cut_and_measure(job, model, data, plain, replacement, tokens):
            self._found.put(key, found)
            job.partial = found.stage
            yield
        self._found.put(key, replace(found or plain, complete=True))
        if found is not None and found.whole and found.cut and found.timing:
            made = Variant.of(mask, replacement).made
            self._measurements.results.keep(on_disk, Measured(made, found.whole, found.cut, found.timing))

    def _key_on_disk(self, model: LoadedModel, data: str, mask: Mask, method: str, tokens: int) -> str:
        chosen_on = ""
        if mask and method != "none":
            chosen_on = self._examples(model, calibration_data(data), "calibration").fingerprint
        return measured_key(model, chosen_on, mask, method, tokens)

    def _kept(self, model: LoadedModel, data: str, mask: Mask, on_disk: str) -> Presented | None:
        """All that an earlier process has measured; None where anything of it is missing."""
        from pruning.evaluation import compare

        found = kept_measured(self._measurements.results, on_disk)
        if found is None:
            return None
        examples = self._examples(model, data, "evaluation")
        variants = Variant(), Variant(mask, made=found.made)
        before, after = (self._measurements.known(model, examples, one) for one in variants)
        if before is None or after is None:
            return None
        plain = Presented(mask, *counts_of(model.anatomy, mask), found.made[0])
        sizes = replace(plain, whole=found.whole, cut=found.cut, timing=found.timing)
        return replace(sizes, before=before, after=after, change=compare(before, after), complete=True)

    def _replacement(
        self, job: Job, model: LoadedModel, data: str, mask: Mask, method: str
    ) -> tuple[Compensation | None, str]:
        """What stands in for what is removed; nothing does where the projections of a model cannot be fitted."""
        try:
            return self._replacements.make(job, model, data, mask, method), method
        except UnsupportedError:
            return None, "none"

    def _cut_and_measure(
        self, job: Job, model: LoadedModel, data: str, found: Presented, replacement: Compensation | None, tokens: int
    ) -> Iterator[Presented]:
        """Sizes first, since they are quick; then what it does to the task; times last, when nothing else runs here."""
        from pruning.evaluation import compare
        from pruning.presenting.measuring import measure_size
        from pruning.surgery import prune

        job.report(0, 1, mark("Cutting, and comparing with the mask"))
        cut = model.module
        try:
            cut = prune(model, found.mask, compensation=replacement).module if found.mask else cut
            found = replace(found, whole=self._whole(model, tokens), cut=measure_size(cut, tokens))
        except PruningError as error:
            found = replace(found, problem=error)
        yield found
        job.report(0, 1, mark("Reading the evaluation rows"))
        examples = self._examples(model, data, "evaluation")
        whole, pruned = Variant(), Variant.of(found.mask, replacement)
        for seen in self._measurements.measure(job, model, examples, list(dict.fromkeys([whole, pruned]))):
            before, after = seen[whole], seen[pruned]
            found = replace(found, before=before, after=after, change=compare(before, after))
            yield found
        if found.problem is None:
            for timing in self._time(job, model, cut, tokens):
                found = replace(found, timing=timing) if timing is not None else found
                yield found

    def _whole(self, model: LoadedModel, tokens: int) -> Size:
        from pruning.presenting.measuring import measure_size

        size: Size | None = self._sizes.get((model.fingerprint, tokens))
        if size is None:
            size = measure_size(model.module, tokens)
            self._sizes.put((model.fingerprint, tokens), size)
        return size

    def _time(self, job: Job, model: LoadedModel, cut: Any, tokens: int) -> Iterator[Timing | None]:
        """Nothing until the last pair has run: a median of a few would move."""
        from pruning.presenting.measuring import time_in_turns, timing_of

        pairs: list[tuple[float, float]] = []
        for pairs in time_in_turns(model, cut, tokens):
            job.report(len(pairs), RUNS, mark("Timing both models in turns"))
            if len(pairs) % 5 == 0:
                yield None
        yield timing_of(model, pairs, tokens)


def wanted(
    model: LoadedModel, data: str, choices: Sequence[Choice], own: Mask, method: str, tokens: int
) -> tuple[object, ...]:
    """What a job is of."""
    masks = own if any(choice.kind == "mask" for choice in choices) else None
    return "present", model.fingerprint, data, modified(data), tuple(choices), masks, method, tokens


def _steps_key(model: LoadedModel, data: str, choice: Choice) -> tuple[object, ...]:
    return model.fingerprint, data, modified(data), choice.kind


def _key(model: LoadedModel, data: str, mask: Mask, method: str, tokens: int) -> tuple[object, ...]:
    return model.fingerprint, data, modified(data), mask, method if mask else "none", tokens


@lru_cache(maxsize=2)
def built_in_steps(model: str) -> dict[str, dict[int, Mask]]:
    """The built-in model's steps by kind, from ``assets/``: as long as model and rows are those that were searched.

    Args:
        model: Fingerprint.
    """
    path = BUILT_IN["demo"].folder / "steps.json"
    if not path.is_file():
        return {}
    kept = json.loads(path.read_text(encoding="utf-8"))
    if (kept["model"], kept["data"]) != (model, load_data(DataSpec("demo", "calibration")).fingerprint):
        return {}
    return {
        kind: {int(percent): Mask.from_code(code) for percent, code in steps.items()}
        for kind, steps in kept["steps"].items()
    }
