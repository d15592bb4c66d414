"""Experiments that all sessions share: one worker, and outcomes by what they are of. No streamlit here.

Thirty students who try the same thing share one computation: the first one in the queue does it, the others find it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pruning.learning.records import Answer, Scale, Truth, score
from pruning.masks import Mask
from ui.history.recorder import Recorder
from ui.jobs import Cache, Job, Worker
from ui.learn.base import CALIBRATION_ROWS, EVALUATION_ROWS, Experiment, Guess, Outcome, Subject
from ui.learn.records import Records
from ui.maps import calibration_data, modified

if TYPE_CHECKING:
    from pruning.models import LoadedModel
    from pruning.results import Results
    from pruning.tasks import Examples

KEPT_OUTCOMES, KEPT_ROWS = 400, 8
LESSON, ROWS = "lesson", "lesson rows"  # kinds of jobs


@dataclass(frozen=True)
class Attempt:
    """One guess that was locked in.

    Attributes:
        number: No two attempts of a session have the same, so that one can be tried again.
        about: What the outcome is of.
        asked: The slider of the guess.
        model: As the menus call it.
        code: Of the class in which it was given; empty outside.
    """

    number: int
    experiment: Experiment
    about: Hashable
    asked: Guess
    guess: float
    model: str
    code: str = ""
    outcome: Outcome | None = None  # as soon as it is known

    @property
    def scale(self) -> Scale:
        return scale_of(self.asked)

    @property
    def fingerprint(self) -> Hashable:
        return self.number, self.about


def scale_of(asked: Guess) -> Scale:
    return Scale(asked.low, asked.high, asked.step, asked.unit, asked.digits)


def truth_of(outcome: Outcome) -> Truth:
    return Truth(outcome.truth, outcome.low, outcome.high)


def about(experiment: Experiment, subject: Subject) -> Hashable:
    """What an outcome is of: settings, weights, rows and mask."""
    return experiment, *_rows_key(subject.model, subject.data), subject.mask


class Learner:
    """Rows and outcomes by what they are of; progress in `records`.

    Args:
        results: On disk, where outcomes outlive the process.
    """

    def __init__(self, examples: Callable[..., Examples], recorder: Recorder, results: Results | None = None) -> None:
        self.worker, self.reader = Worker("learner"), Worker("lesson reader")
        self._examples, self._recorder, self._results = examples, recorder, results
        self._rows, self._outcomes = Cache(KEPT_ROWS), Cache(KEPT_OUTCOMES)
        self.records = Records(recorder)

    # Rows --------------------------------------------------------------------------------------------------------

    def subject(self, model: LoadedModel, data: str, mask: Mask) -> Subject | None:
        """What a lesson works on, if its rows have been read."""
        rows: tuple[Examples, Examples] | None = self._rows.get(_rows_key(model, data))
        return Subject(model, data, rows[0], rows[1], mask) if rows else None

    def read(self, session: str, model: LoadedModel, data: str) -> Job:
        """Queue the reading of the rows."""

        def work(job: Job) -> None:
            self._rows.put(_rows_key(model, data), self._read(model, data))

        return self.reader.submit(Job((session, ROWS), _rows_key(model, data), work))

    def _read(self, model: LoadedModel, data: str) -> tuple[Examples, Examples]:
        calibration = self._examples(model, calibration_data(data), "calibration")
        return _first(calibration, CALIBRATION_ROWS), _first(self._examples(model, data, "evaluation"), EVALUATION_ROWS)

    # Outcomes ----------------------------------------------------------------------------------------------------

    def latest(self, session: str) -> Job | None:
        return self.worker.latest((session, LESSON))

    def run(self, session: str, attempt: Attempt, subject: Subject) -> Job:
        """Queue an experiment; when it has ended the answer is recorded, whether somebody still looks or not."""

        def work(job: Job) -> Outcome:
            outcome: Outcome | None = self._outcomes.get(attempt.about)
            if outcome is None:
                outcome = self._outcome(attempt.experiment, subject, job)
                self._outcomes.put(attempt.about, outcome)
            job.report(1, 1)  # who has cancelled has not answered
            self._record(session, attempt, subject, outcome)
            return outcome

        return self.worker.submit(Job((session, LESSON), attempt.fingerprint, work))

    def _outcome(self, experiment: Experiment, subject: Subject, job: Job) -> Outcome:
        """What an earlier process has found, or what is found now."""
        if self._results is None or not self._results.limit:
            return experiment.run(subject, job.report)
        key = _key_on_disk(experiment, subject)
        kept = self._results.find(key)
        if isinstance(kept, Outcome):
            return kept
        found = experiment.run(subject, job.report)
        self._results.keep(key, found)
        return found

    def _record(self, session: str, attempt: Attempt, subject: Subject, outcome: Outcome) -> None:
        truth = truth_of(outcome)
        answer = Answer(
            owner=self._recorder.owner(session),
            lesson=attempt.experiment.name,
            guess=attempt.guess,
            truth=truth,
            scale=attempt.scale,
            score=score(attempt.guess, truth, attempt.scale),
            settings=settings_of(attempt.experiment),
            model=attempt.model,
            data=subject.data,
            mask=subject.mask,
            code=attempt.code,
        )
        self.records.attempt(lambda learning: learning.add(answer), None)


def settings_of(experiment: Experiment) -> dict[str, Any]:
    """The fields of an experiment, as they are kept."""
    return asdict(experiment)


def _key_on_disk(experiment: Experiment, subject: Subject) -> str:
    """What an outcome depends on, on which computer, since some are times; and the code of the lessons."""
    import torch

    from pruning.latency import _machine
    from pruning.results import code_version, finding_key

    model, rows = subject.model, (subject.calibration.fingerprint, subject.evaluation.fingerprint)
    where = _machine(model), torch.get_num_threads(), code_version(Path(__file__).parent)
    return finding_key("lesson", model, experiment, subject.data, *rows, subject.mask, *where)


def _rows_key(model: LoadedModel, data: str) -> tuple[Hashable, ...]:
    calibration = calibration_data(data)
    return model.fingerprint, data, modified(data), modified(calibration)


def _first(examples: Examples, count: int) -> Examples:
    return examples if len(examples) <= count else examples.at(range(count))
