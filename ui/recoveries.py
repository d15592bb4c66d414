"""Recovery that all sessions share: what is measured without training, what was trained, and checkpoints to take away.

No streamlit here. Training may take minutes, so it has a worker of its own: measuring goes on beside it.
"""

from __future__ import annotations

import shutil
import tempfile
import time
import uuid
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pruning.errors import Cancelled, DataError, PruningError, message_of
from pruning.language import Later, later, mark
from pruning.masks import Mask
from pruning.plan import COMPENSATIONS
from pruning.recovery.settings import by_cut
from ui.history.entries import of_recovery, of_training
from ui.history.recorder import Note, nothing
from ui.jobs import Cache, Job, Worker
from ui.maps import calibration_data, modified
from ui.recovery_values import (
    FOLDER,
    Archive,
    Asked,
    Compared,
    Measured,
    Outcome,
    Rows,
    Trained,
    TrainingJob,
    command,
)
from ui.replacing import Replacements, Variant

if TYPE_CHECKING:
    from pruning.evaluation import Evaluation
    from pruning.models import LoadedModel
    from pruning.recovery.compensation import Compensation
    from pruning.recovery.settings import History
    from pruning.recovery.training import Recovered
    from pruning.tasks import Examples

KEPT_TRAINED, KEPT_ARCHIVES = 4, 4  # a trained model holds all its weights, an archive is on disk
KEPT_ROWS, KEPT_RESULTS = 8, 100
Measure = Callable[["Job", "LoadedModel", "Examples", list[Variant]], Iterator["dict[Variant, Evaluation]"]]


class Recoveries:
    """Results by session or by what they are of."""

    def __init__(
        self,
        evaluator: Worker,
        examples: Callable[..., Examples],
        replacements: Replacements,
        measure: Measure,
        record: Note = nothing,
    ) -> None:
        self.trainer, self._evaluator = Worker("trainer"), evaluator
        self._examples, self._replacements, self._measure = examples, replacements, measure
        self._trained, self._archives = Cache(KEPT_TRAINED), Cache(KEPT_ARCHIVES)
        self._record = record
        self._rows, self.results = Cache(KEPT_ROWS), Cache(KEPT_RESULTS)

    def rows(self, model: LoadedModel, data: str) -> Rows:
        """Rows that train and rows that measure; none does both.

        Raises:
            DataError: The source cannot be read, or has too few rows to be divided.
        """
        known = self.known_rows(model, data)
        if known is None:
            known = self._read(model, data)
            self._rows.put(result_key("rows", model, data), known)
        return known

    def known_rows(self, model: LoadedModel, data: str) -> Rows | None:
        """The same, if they have been read."""
        return self._rows.get(result_key("rows", model, data))

    def _read(self, model: LoadedModel, data: str) -> Rows:
        train = self._examples(model, calibration_data(data), "calibration")
        measure = self._examples(model, data, "evaluation")
        if train.fingerprint != measure.fingerprint:
            return Rows(train, measure, False)
        if len(train) < 2:
            text = mark("{data} has one row: some rows train and others measure, so there must be at least two")
            raise DataError(text, data=data)
        one, other = (train.at(range(first, len(train), 2)) for first in (0, 1))
        return Rows(one, other, True)

    # Without training --------------------------------------------------------------------------------------------

    def compared(self, model: LoadedModel, data: str, mask: Mask) -> Compared | None:
        """What has been measured of a mask without training."""
        return self.results.get(self.compare_key(model, data, mask))

    def compare_key(self, model: LoadedModel, data: str, mask: Mask) -> object:
        return result_key("compared", model, data, mask)

    def compare(self, session: str, model: LoadedModel, data: str, mask: Mask) -> Job:
        """Queue the measurement of every replacement; between two samples other sessions have their turn."""
        key = self.compare_key(model, data, mask)

        def work(job: Job) -> Iterator[None]:
            found: dict[str, Measured] = {}
            refused: dict[str, Later] = {}
            job.report(0, 1, mark("Reading the rows"))
            rows = self.rows(model, data)
            for method in COMPENSATIONS:
                job.partial = method
                try:
                    made = self._replacements.make(job, model, data, mask, method)
                except Cancelled:
                    raise
                except PruningError as error:
                    refused[method] = message_of(error)
                    continue
                whole = yield from self._pair(job, model, rows.measure, Variant.of(mask, made), found, method)
            self.results.put(key, Compared(whole, found, refused))

        return submit_again(self._evaluator, Job((session, "compare replacements"), key, work))

    def _pair(
        self, job: Job, model: LoadedModel, rows: Examples, variant: Variant, found: dict[str, Measured], name: str
    ) -> Generator[None, None, Measured]:
        """Measure the unpruned model and one more, note the second, and return the first."""
        from pruning.evaluation import compare

        whole, steps = Variant(), self._measure(job, model, rows, [Variant(), variant])
        step = next(steps)
        while not (step[whole].complete and step[variant].complete):
            yield
            step = next(steps)
        before = step[whole]
        found[name] = Measured(step[variant], compare(before, step[variant]))
        return Measured(before)

    # Training ----------------------------------------------------------------------------------------------------

    def trained(self, session: str) -> Trained | None:
        """The session's last trained model, unless newer ones of other sessions have taken its place in memory."""
        return self._trained.get(session)

    def train(self, session: str, model: LoadedModel, data: str, asked: Asked) -> Job:
        """Queue a training; the job's ``partial`` is the record so far."""

        def work(job: Job) -> None:
            assert isinstance(job, TrainingJob)
            job.report(0, 1, mark("Reading the rows"))
            rows = self.rows(model, data)
            if asked.cuts > 1:
                found = train_in_steps(job, model, rows.train, asked)
            else:
                made = self._replacements.make(job, model, data, asked.mask, asked.compensation)
                found = train_at_once(job, model, rows.train, asked, made)
            smaller = replace(model, module=found.module, fingerprint=f"{model.fingerprint}-{uuid.uuid4().hex}")
            trained = Trained(model.fingerprint, data, asked, found, smaller)
            self._trained.put(session, trained)
            self._record(partial(of_training, session, model, trained, rows))

        key = ("train", model.fingerprint, data, asked)
        return submit_again(self.trainer, TrainingJob((session, "train"), key, work))

    def outcome(self, trained: Trained, data: str) -> Outcome | None:
        """What has been measured of a trained model."""
        return self.results.get(self.outcome_key(trained, data))

    def outcome_key(self, trained: Trained, data: str) -> object:
        return "outcome", trained.smaller.fingerprint, data, modified(data)

    def measure(self, session: str, model: LoadedModel, data: str, trained: Trained) -> Job:
        """Queue the measurement of a trained model beside the pruned and the unpruned one."""
        key = self.outcome_key(trained, data)

        def work(job: Job) -> Iterator[None]:
            from pruning.evaluation import compare

            found: dict[str, Measured] = {}
            asked, rows = trained.asked, self.rows(model, data)
            made = self._replacements.make(job, model, trained.data, asked.mask, asked.compensation)
            whole = yield from self._pair(job, model, rows.measure, Variant.of(asked.mask, made), found, "pruned")
            after = yield from measure_all(job, trained.smaller, rows.measure, mark("Measuring the recovered model"))
            pruned = found["pruned"]
            recovered = Measured(after, compare(whole.evaluation, after))
            outcome = Outcome(whole, pruned, recovered, compare(pruned.evaluation, after))
            self.results.put(key, outcome)
            self._record(partial(of_recovery, session, model, trained, rows, outcome))

        return submit_again(self._evaluator, Job((session, "measure recovered"), key, work))

    # A checkpoint to take away -----------------------------------------------------------------------------------

    def archive(self, trained: Trained) -> Archive | None:
        """The zip file of a trained model, if it has been made."""
        return self._archives.get(trained.smaller.fingerprint)

    def pack(self, session: str, model: LoadedModel, data: str, trained: Trained) -> Job:
        """Queue the writing of the checkpoint, checked by reloading it, and its zip file."""
        key = ("pack", trained.smaller.fingerprint, data)

        def work(job: Job) -> None:
            from pruning.card import Story
            from pruning.export import export_checkpoint

            outcome = self.outcome(trained, data)
            before, after = (
                (outcome.whole.evaluation, outcome.recovered.evaluation) if outcome is not None else (None, None)
            )
            story = Story(None, command(model.spec.name, trained.data, trained.asked), data, before, after)
            home = Path(tempfile.mkdtemp(prefix="headroom-"))
            try:
                job.report(0, 2, mark("Writing the checkpoint and reloading it"))
                written = export_checkpoint(model, trained.recovered.pruned, home / FOLDER, story=story)
                job.report(1, 2, mark("Packing"))
                zipped = Path(shutil.make_archive(str(home / FOLDER), "zip", home, FOLDER))
                shutil.rmtree(home / FOLDER)
                job.report(2, 2)
            except BaseException:
                shutil.rmtree(home, ignore_errors=True)
                raise
            self._archives.put(
                trained.smaller.fingerprint, Archive(zipped, written.size_bytes, written.reload_difference)
            )

        return submit_again(self.trainer, Job((session, "pack"), key, work))


def submit_again(worker: Worker, job: Job) -> Job:
    """Queue a job even if the same has ended before: its result may have had to make room for others."""
    latest = worker.latest(job.owner)
    if latest is not None and latest.fingerprint == job.fingerprint and not latest.active:
        latest.state = "cancelled"
    return worker.submit(job)


def train_at_once(
    job: TrainingJob, model: LoadedModel, rows: Examples, asked: Asked, compensation: Compensation | None
) -> Recovered:
    """Cut, then train."""
    from pruning.recovery.training import recover
    from pruning.surgery import prune

    def follow(done: int, total: int, history: tuple[History, ...]) -> None:
        job.partial = history
        job.report(done, total, mark("Training"))

    job.report(0, 1, mark("Cutting"))
    pruned = prune(model, asked.mask, compensation=compensation)
    job.started = time.monotonic()
    job.report(0, 1, mark("Looking at the held-out rows"))
    return recover(model, pruned, rows, settings=asked.settings, progress=follow, should_stop=job.stop.is_set)


def train_in_steps(job: TrainingJob, model: LoadedModel, rows: Examples, asked: Asked) -> Recovered:
    """Cut and train in turn; every cut gets its share of the minutes."""
    from pruning.recovery.gradual import gradual, in_steps

    def scoring(done: int, total: int) -> None:
        job.report(done, total, mark("Ranking what is cut"))

    masks = in_steps(model, asked.mask, rows, asked.cuts, batch_size=asked.settings.batch_size, progress=scoring)
    minutes = asked.settings.minutes

    def follow(done: int, total: int, history: tuple[History, ...]) -> None:
        job.partial = history
        cut = len(by_cut(history))
        job.report(done, total, later("Training after cut {n} of {total}", n=cut, total=len(masks)))

    job.started = time.monotonic()
    job.report(0, 1, mark("Looking at the held-out rows"))
    share = replace(asked.settings, minutes=minutes and minutes / len(masks))
    return gradual(model, masks, rows, settings=share, progress=follow, should_stop=job.stop.is_set)


def measure_all(job: Job, model: LoadedModel, rows: Examples, step: str | Later) -> Generator[None, None, Evaluation]:
    """Evaluate a model that is no mask of another, giving way between samples, and return the evaluation."""
    from pruning.evaluation import evaluate_in_steps

    def report(done: int, total: int) -> None:
        job.report(done, total, step)

    steps = evaluate_in_steps(model, rows, on_progress=report)
    while not (found := next(steps)).complete:
        yield
    return found


def result_key(kind: str, model: LoadedModel, data: str, *about: object) -> tuple[object, ...]:
    """What a result is of: it changes with the model, the rows, and the files that they come from."""
    rows = calibration_data(data)
    return kind, model.fingerprint, data, modified(data), rows, modified(rows), *about
