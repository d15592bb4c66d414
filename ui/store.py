"""What all sessions share: loaded models, encoded data, importance maps, evaluations, and the worker that makes them.

Everything in here is immutable or keyed by fingerprints, so no session can change what another one sees. Importing this
module imports no torch; the models are loaded on a thread of their own, so that pages draw first.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Literal

import streamlit as st

from pruning.builtin import BUILT_IN
from pruning.data import BUILT_IN_DATA, DataSpec
from pruning.errors import ModelError, PruningError, message_of
from pruning.importance import ImportanceMap
from pruning.language import Later, later, mark
from pruning.masks import Mask
from pruning.models import ModelSpec, number_setting, threads_setting
from pruning.scopes import Scope
from ui import allowed, presence
from ui.compare.pairs import Pairs
from ui.export.exports import Exports
from ui.head.looks import Looks
from ui.history.entries import of_evaluation
from ui.history.recorder import Recorder, database_setting
from ui.jobs import EXIT_SECONDS, Cache, Job, Worker
from ui.learn.learner import Learner
from ui.maps import Maps, Scoring, calibration_data, modified
from ui.measuring import Measurements
from ui.paths import source_of, stamp_of
from ui.plans import Plans
from ui.present.presentations import Presentations
from ui.recoveries import Recoveries
from ui.replacing import Replacements, Variant
from ui.sweeps import Sweeps

if TYPE_CHECKING:
    from pruning.cost import CostModel
    from pruning.models import LoadedModel
    from pruning.tasks import Examples

DASHBOARD_THREADS = threads_setting() or max(1, (os.cpu_count() or 2) - 1)  # one is for the server
KEPT_DATA, KEPT_MODELS, KEPT_FAILURES = 32, 4, 50
LIVE_ROWS = max(1, number_setting("HEADROOM_ROWS", 1500))  # of each part of somebody's own data
HISTORY_RECORDS = number_setting("HEADROOM_HISTORY_RECORDS", 10_000)  # of one browser, without a name or a star

WAITING = mark("Waiting")


@dataclass(eq=False)
class Loading:
    """A model on its way into memory, or there, or refused."""

    name: str
    state: Literal["loading", "ready", "failed"] = "loading"
    step: str | Later = WAITING
    started: float = 0.0
    model: LoadedModel | None = None
    error: Later | None = None  # whoever reads it has a language of their own
    cost: CostModel | None = None
    stamp: tuple[object, ...] = ()  # of its folder when it was asked for

    @property
    def task(self) -> str | None:
        """The kind of task that the model is made for, as soon as that is known."""
        if self.model is not None:
            from pruning.tasks import task_of

            return task_of(self.model).name
        return BUILT_IN[self.name].task if self.name in BUILT_IN else None


class Store:
    """The process-wide store; get it with `store()`."""

    def __init__(self) -> None:
        self.evaluator, self.scorer, self.reader = Worker("evaluator"), Worker("scorer"), Worker("reader")
        self._models: dict[str, Loading] = {}  # the one that was asked for last is the last
        self._lock, self._load_lock = threading.Lock(), threading.Lock()
        self._threads: list[threading.Thread] = []
        atexit.register(self._let_go)
        self._examples, self.measurements = Cache(KEPT_DATA), Measurements(self._is_loaded)
        measure = self.measurements.measure
        results = self.measurements.results
        self.maps = Maps(self.scorer, self.evaluator, self.calibration, results)
        self.recorder = Recorder(database_setting(), HISTORY_RECORDS)
        self.sweeps = Sweeps(self.scorer, self.recorder, results)
        self.replacements = Replacements(self.calibration)
        self.plans = Plans(Worker("planner"), self.calibration, results)
        self.recoveries = Recoveries(self.evaluator, self.examples, self.replacements, measure, self.recorder)
        self.exports = Exports(self.replacements, self.recorder)
        self.pairs = Pairs(self.evaluator, self.examples, self.replacements, self.recoveries, measure)
        self.looks = Looks(self.evaluator, self.examples, self.measurements)
        self.presentations = Presentations(
            self.evaluator, self.plans, self.replacements, self.examples, self.measurements
        )
        self.learner = Learner(self.examples, self.recorder, results)

    # Models ------------------------------------------------------------------------------------------------------

    def request_model(self, name: str, retry: bool = False) -> Loading:
        """The state of a model; the first request starts to load it in the background.

        Args:
            retry: Load again what has failed, or what has changed in its folder since.
        """
        with self._lock:
            loading = self._models.pop(name, None)
            old = loading is not None and retry and loading.state != "loading"
            if loading is None or (old and (loading.state == "failed" or loading.stamp != stamp_of(name))):
                loading = Loading(name, started=time.monotonic(), stamp=stamp_of(name))
                thread = threading.Thread(target=self._load, args=(loading,), name=f"load {name}", daemon=True)
                thread.start()
                self._threads = [one for one in self._threads if one.is_alive()] + [thread]
            self._models[name] = loading
            return loading

    def is_outdated(self, name: str) -> bool:
        """Whether the files of a model that was loaded, or refused, are others by now."""
        loading = self._models.get(name)
        return loading is not None and loading.stamp != stamp_of(name)

    def _let_go(self) -> None:
        """At the end of the process: a thread that is killed inside torch aborts it, so all have some time together."""
        until = time.monotonic() + EXIT_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _load(self, loading: Loading) -> None:
        with self._load_lock:  # one at a time, so that memory is checked against what is really free
            try:
                from pruning.cost import count_cost
                from pruning.models import load_model, set_threads
                from pruning.tasks import task_of

                allowed.check_model(loading.name)
                set_threads(DASHBOARD_THREADS)

                def on_step(step: str | Later) -> None:
                    loading.step = step

                model = load_model(ModelSpec(loading.name), on_step)
                if not model.anatomy.sites:
                    raise ModelError("{name} cannot be used: {reason}", name=loading.name, reason=model.anatomy.reason)
                task_of(model).check(model)
                on_step(mark("Counting what each head costs"))
                try:
                    loading.cost = count_cost(model)
                except PruningError:
                    loading.cost = None  # shown as not measured
                if not gc.get_freeze_count():
                    gc.freeze()  # the libraries stay for good: the collector need not walk through them again
                loading.model, loading.state = model, "ready"
            except (PruningError, MemoryError, RuntimeError, ValueError, OSError, ImportError) as error:
                loading.error, loading.state = message_of(error), "failed"
            except BaseException as error:  # a bug: in the log, and not a page that waits for ever
                problem = later("{name} cannot be used: {reason}", name=loading.name, reason=repr(error))
                loading.error, loading.state = problem, "failed"
                raise
        self._forget_models()

    def _forget_models(self) -> None:
        with self._lock:
            for state, kept in (("ready", KEPT_MODELS), ("failed", KEPT_FAILURES)):
                names = [n for n, loading in self._models.items() if loading.state == state and n != "demo"]
                for name in names[: max(0, len(names) - kept)]:
                    del self._models[name]

    # Data --------------------------------------------------------------------------------------------------------

    def examples(self, model: LoadedModel, data: str, split: Literal["calibration", "evaluation"]) -> Examples:
        """Encoded examples of a data set for a model, read and tokenised once.

        Raises:
            PruningError: The data may not be opened here, cannot be read, or does not fit the model.
        """
        from pruning.data import load_data
        from pruning.tasks import task_of

        key = (model.fingerprint, data, split, modified(data))
        found = self._examples.get(key)
        if found is None:
            data = source_of(data)
            allowed.check_data(data)
            read = load_data(DataSpec(data, split, None if data in BUILT_IN_DATA else LIVE_ROWS))
            task = task_of(model)
            allowed.check_images(read, task.name)
            found = task.encode(model, read)
            self._examples.put(key, found)
        return found

    def calibration(self, model: LoadedModel, data: str) -> Examples:
        """The rows of a data set that importance, plans and compensations may look at."""
        return self.examples(model, data, "calibration")

    # Importance --------------------------------------------------------------------------------------------------

    def importance(
        self, model_name: str, data: str, criterion: str, scope: Scope = "heads", label_free: bool = False
    ) -> ImportanceMap | None:
        """A map that is known already: scored since the server started, or kept with the built-in model.

        One that was scored comes first: it may still hold the scores of single rows.
        """
        what = Scoring(criterion, scope, label_free)
        with self._lock:
            loading = self._models.get(model_name)
        found = self.maps.known(loading.model, data, what) if loading and loading.model else None
        if found is None and model_name == "demo" and calibration_data(data) == "demo" and scope == "heads":
            return None if what.from_predictions else kept_maps().get(criterion)
        return found

    def score(
        self,
        session: str,
        model: LoadedModel,
        data: str,
        criterion: str,
        scope: Scope = "heads",
        label_free: bool = False,
    ) -> Job:
        """Queue the scoring of a criterion on the calibration rows."""
        return self.maps.score(session, model, data, Scoring(criterion, scope, label_free))

    # Evaluation --------------------------------------------------------------------------------------------------

    def evaluate(self, session: str, model: LoadedModel, data: str, mask: Mask, method: str = "none") -> Job:
        """Queue the evaluation of a mask against the unpruned model; what is known already is not computed again.

        Args:
            method: What stands in for what is removed; it is made first where it is not there yet.
        """

        def work(job: Job) -> Iterator[None]:
            compensation = self.replacements.make(job, model, data, mask, method)
            job.report(0, 1, mark("Reading the evaluation rows"))
            examples = self.examples(model, data, "evaluation")
            for live in self.measurements.against_whole(job, model, examples, Variant.of(mask, compensation)):
                job.partial = live
                if not live.complete:  # what is complete need not wait for another turn
                    yield
            job.result = job.partial
            self.recorder(partial(of_evaluation, session, model, data, mask, method, job.result))

        return self.evaluator.submit(Job((session, "evaluate"), evaluation_key(model, data, mask, method), work))

    def has_measured(self, model: LoadedModel, data: str, mask: Mask, method: str = "none") -> bool:
        """Whether this process knows what `evaluate` would give."""
        examples = self._examples.get((model.fingerprint, data, "evaluation", modified(data)))
        compensation = self.replacements.known(model, data, mask, method)
        if examples is None or (compensation is None and mask and method != "none"):
            return False
        variants = Variant(), Variant.of(mask, compensation)
        return all(self.measurements.evaluation(model, examples, one) is not None for one in variants)

    def _is_loaded(self, model: LoadedModel) -> bool:
        return any(loading.model is model for loading in list(self._models.values()))


def evaluation_key(model: LoadedModel, data: str, mask: Mask, method: str = "none") -> tuple[object, ...]:
    """What an evaluation is of: a page shows the figures of no other."""
    rows = (calibration_data(data), modified(calibration_data(data))) if method != "none" else ()
    return "evaluate", model.fingerprint, data, modified(data), method, rows, mask


@lru_cache(maxsize=1)
def kept_maps() -> dict[str, ImportanceMap]:
    """The built-in model's maps from ``assets/``, as long as they belong to the very model that is there now."""
    path = BUILT_IN["demo"].folder / "importance.json"
    if not path.is_file():
        return {}
    maps = [ImportanceMap.from_json(row) for row in json.loads(path.read_text(encoding="utf-8"))["maps"]]
    now = BUILT_IN["demo"].fingerprint()
    return {found.criterion: found for found in maps if found.model == now}


@st.cache_resource(show_spinner=False)
def store() -> Store:
    """The one store of this process."""
    return Store()


def session_id() -> str:
    """A name for the present session, unknown to the others."""
    context: Any = st.session_state
    if "session_id" not in context:
        import uuid

        context["session_id"] = uuid.uuid4().hex
        presence.note(context["session_id"])
    return context["session_id"]
