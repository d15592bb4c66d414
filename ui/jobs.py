"""Long work behind the pages: one worker, a fair queue, progress, cancelling. No streamlit here.

All evaluations of all sessions go through one worker thread, because two at once on the same cores take longer than one
after the other. Every session has at most one job of a kind: a newer one cancels and replaces the older, so nobody can
fill the queue. Work that is a generator gives way to the next job at every ``yield``, so that all have their turn. Work
of those who have closed their browser comes after that of the others: they may come back.
"""

from __future__ import annotations

import atexit
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any, Literal

from pruning.errors import Cancelled, PruningError
from pruning.language import Later
from ui.presence import gone

EXIT_SECONDS = 20.0  # for a step of work to end; each batch looks whether it is still wanted
KEPT_JOBS = 300  # finished ones included
State = Literal["waiting", "running", "done", "cancelled", "failed"]
Owner = tuple[str, str]  # session, kind of job


@dataclass(eq=False)
class Job:
    """One piece of work and everything that a page may show of it.

    Attributes:
        owner: Whose it is and what kind; a newer job of the same owner replaces this one.
        fingerprint: What it computes, so that a page can tell whether it is still what it wants.
        work: Called with this job on the worker thread; it reports through `report`, and returns the result or, as a
            generator, sets ``result`` itself.
        partial: The latest intermediate result.
    """

    owner: Owner
    fingerprint: Any
    work: Callable[[Job], Any]
    state: State = "waiting"
    step: str | Later = ""  # translated by whoever reads it
    done: int = 0
    total: int = 0
    partial: Any = None
    result: Any = None
    error: Exception | None = None
    started: float | None = None
    turns: Generator[None, None, None] | None = None
    cancelled: threading.Event = field(default_factory=threading.Event)
    finished: threading.Event = field(default_factory=threading.Event)

    @property
    def active(self) -> bool:
        return self.state in ("waiting", "running")

    def report(self, done: int, total: int, step: str | Later | None = None) -> None:
        """Note progress.

        Raises:
            Cancelled: Nobody wants the result any more.
        """
        if self.cancelled.is_set():
            raise Cancelled("cancelled")
        self.done, self.total = done, total
        self.step = self.step if step is None else step

    def cancel(self) -> None:
        self.cancelled.set()
        if self.state == "waiting":
            self.state = "cancelled"
            self.finished.set()

    @property
    def seconds_left(self) -> float | None:
        """At the pace so far; None before there is one."""
        if not self.started or not self.done or not self.active:
            return None
        return (time.monotonic() - self.started) / self.done * (self.total - self.done)


class Worker:
    """Runs jobs one after the other on one daemon thread."""

    def __init__(self, name: str = "worker") -> None:
        self._queue: list[Job] = []
        self._latest: dict[Owner, Job] = {}  # the newest last
        self._changed = threading.Condition()
        self._running: Job | None = None
        self._stopped = False
        self._thread = threading.Thread(target=self._loop, name=f"headroom {name}", daemon=True)
        self._thread.start()
        atexit.register(self._stop)

    def submit(self, job: Job) -> Job:
        """Queue a job and cancel the owner's older one; what was asked for already is returned, even if it failed."""
        with self._changed:
            latest = self._latest.get(job.owner)
            if latest is not None and latest.fingerprint == job.fingerprint and latest.state != "cancelled":
                return latest
            if latest is not None:
                latest.cancel()
            self._latest.pop(job.owner, None)
            self._latest[job.owner] = job
            self._forget()
            self._queue = [waiting for waiting in self._queue if waiting.state == "waiting"]
            self._queue.append(job)
            self._changed.notify()
            return job

    def _stop(self) -> None:
        """At the end of the process: let go of the work, because a thread that is killed inside torch aborts it."""
        with self._changed:
            self._stopped = True
            for job in self._latest.values():
                job.cancel()
            self._changed.notify()
        self._thread.join(EXIT_SECONDS)

    def latest(self, owner: Owner) -> Job | None:
        return self._latest.get(owner)

    def _forget(self) -> None:
        """Drop the oldest finished jobs: their sessions may have ended long ago."""
        finished = [owner for owner, job in self._latest.items() if not job.active]
        for owner in finished[: max(0, len(finished) - KEPT_JOBS)]:
            del self._latest[owner]

    def place(self, job: Job) -> int:
        """How many jobs are before this one; 0 when it is its turn."""
        with self._changed:
            waiting = self._in_turn()
            return waiting.index(job) + (self._running is not None) if job in waiting else 0

    def _in_turn(self) -> list[Job]:
        """The jobs that wait: first come, first served, and nobody waits for those who are gone."""
        return sorted((job for job in self._queue if job.state == "waiting"), key=lambda job: gone(job.owner[0]))

    def _loop(self) -> None:
        while True:
            with self._changed:
                while not (queue := self._in_turn()):
                    if self._stopped:
                        return
                    self._changed.wait()
                job = queue[0]
                self._queue.remove(job)
                self._running, job.state = job, "running"
                job.started = job.started or time.monotonic()
            try:
                run(job)
            except Exception:  # a bug, in the log and on its own page; the others' jobs go on
                logging.getLogger(__name__).exception("job %s failed", job.owner[1])
            with self._changed:
                self._running = None
                if not job.finished.is_set():
                    self._queue.append(job)


def run(job: Job) -> None:
    """Do the work of a job and note how it ended: expected errors are kept for the page, others are raised, too."""
    try:
        job.state = _step(job)
    except Cancelled:
        job.state = "cancelled"
    except (PruningError, MemoryError, RuntimeError, ValueError, OSError) as error:
        job.error, job.state = error, "failed"
    except BaseException as error:
        job.error, job.state = RuntimeError(repr(error)), "failed"
        raise
    finally:
        if not job.active:
            job.work, job.turns = _nothing, None  # they hold the model, and this job may be kept for long
            job.finished.set()


def _nothing(job: Job) -> None:
    """What is left to do of a job that has ended."""


def _step(job: Job) -> State:
    """Work until it is done or gives way."""
    if job.turns is None:
        result = job.work(job)
        if not isinstance(result, Generator):
            job.result = result
            return "cancelled" if job.cancelled.is_set() else "done"
        job.turns = result
    try:
        next(job.turns)
    except StopIteration:
        return "cancelled" if job.cancelled.is_set() else "done"
    return "cancelled" if job.cancelled.is_set() else "waiting"


class Cache:
    """A bounded dictionary of finished results that all sessions share; the least recently used goes first."""

    def __init__(self, limit: int) -> None:
        self._limit, self._items, self._lock = limit, OrderedDict[Any, Any](), threading.Lock()

    def get(self, key: Any) -> Any:
        with self._lock:
            if key in self._items:
                self._items.move_to_end(key)
            return self._items.get(key)

    def put(self, key: Any, value: Any) -> None:
        with self._lock:
            self._items[key] = value
            self._items.move_to_end(key)
            while len(self._items) > self._limit:
                self._items.popitem(last=False)
