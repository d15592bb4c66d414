"""The worker behind the pages: order, overtaking, cancelling, failing, and turns."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from pruning.errors import DataError
from ui import jobs
from ui.jobs import Cache, Job, Worker

WAIT = 10  # seconds, only until a failure is certain


class Gate:
    """Work that holds the worker until it is let through, so that a test knows who is running."""

    def __init__(self) -> None:
        self.begun, self.open = threading.Event(), threading.Event()

    def __call__(self, job: Job) -> str:
        self.begun.set()
        while not self.open.wait(0.005):
            job.report(1, 2, "at the gate")
        return "through"


@pytest.fixture
def worker() -> Worker:
    return Worker("test")


@pytest.fixture
def gate(worker: Worker) -> Iterator[Gate]:
    """The worker is busy with another session's job."""
    gate = Gate()
    worker.submit(Job(("other", "work"), "gate", gate))
    assert gate.begun.wait(WAIT)
    yield gate
    gate.open.set()


def job_of(session: str, fingerprint: object = "it", work: Callable[[Job], object] = lambda job: "done") -> Job:
    return Job((session, "work"), fingerprint, work)


def finish(*waited: Job) -> None:
    for job in waited:
        assert job.finished.wait(WAIT)


def test_a_result_comes_back(worker: Worker) -> None:
    job = worker.submit(job_of("a", work=lambda job: job.report(3, 4, "adding") or 42))
    finish(job)
    assert (job.state, job.result, job.done, job.total, job.step) == ("done", 42, 3, 4, "adding")
    assert not job.active
    assert job.seconds_left is None


def test_the_same_work_is_not_started_twice(worker: Worker) -> None:
    first = worker.submit(job_of("a"))
    assert worker.submit(job_of("a")) is first
    finish(first)
    assert worker.submit(job_of("a")) is first
    assert worker.latest(("a", "work")) is first


def test_a_newer_job_replaces_the_one_that_waits(worker: Worker, gate: Gate) -> None:
    old, new = worker.submit(job_of("a", "old")), worker.submit(job_of("a", "new"))
    assert old.state == "cancelled"
    assert old.finished.is_set()
    gate.open.set()
    finish(new)
    assert (old.result, new.result) == (None, "done")


def test_a_newer_job_stops_the_one_that_runs(worker: Worker) -> None:
    gate = Gate()
    old = worker.submit(job_of("a", "old", gate))
    assert gate.begun.wait(WAIT)
    new = worker.submit(job_of("a", "new"))
    finish(old, new)
    assert (old.state, old.result) == ("cancelled", None)
    assert new.state == "done"


def test_another_kind_of_the_same_session_stays(worker: Worker, gate: Gate) -> None:
    one, other = Job(("a", "score"), "it", lambda job: 1), Job(("a", "evaluate"), "it", lambda job: 2)
    worker.submit(one)
    worker.submit(other)
    gate.open.set()
    finish(one, other)
    assert (one.result, other.result) == (1, 2)


def test_a_job_can_be_cancelled_while_it_waits(worker: Worker, gate: Gate) -> None:
    job = worker.submit(job_of("a"))
    job.cancel()
    assert job.state == "cancelled"
    again = worker.submit(job_of("a"))
    assert again is not job
    gate.open.set()
    finish(again)
    assert (job.result, again.result) == (None, "done")


def test_work_that_ends_after_the_cancel_counts_as_cancelled(worker: Worker) -> None:
    job = worker.submit(job_of("a", work=lambda job: job.cancel()))
    finish(job)
    assert job.state == "cancelled"


def test_first_come_first_served_and_everyone_knows_the_place(worker: Worker, gate: Gate) -> None:
    order: list[str] = []
    waiting = [worker.submit(job_of(name, work=lambda job: order.append(job.owner[0]))) for name in "abc"]
    assert [worker.place(job) for job in waiting] == [1, 2, 3]
    waiting[1].cancel()
    assert [worker.place(job) for job in waiting] == [1, 0, 2]
    gate.open.set()
    finish(*waiting)
    assert order == ["a", "c"]
    assert worker.place(waiting[0]) == 0


def test_a_newer_wish_goes_to_the_end_of_the_queue(worker: Worker, gate: Gate) -> None:
    """Nobody is served sooner by clicking more."""
    first, second = worker.submit(job_of("a", 1)), worker.submit(job_of("b"))
    again = worker.submit(job_of("a", 2))
    assert [worker.place(job) for job in (first, second, again)] == [0, 1, 2]


def test_long_work_gives_way_after_every_step(worker: Worker, gate: Gate) -> None:
    order: list[str] = []

    def steps(job: Job) -> Iterator[None]:
        for step in "123":
            order.append(job.owner[0] + step)
            yield
        job.result = "all three"

    turns = [worker.submit(job_of(name, work=steps)) for name in "ab"]
    quick = worker.submit(job_of("c", work=lambda job: order.append("c")))
    gate.open.set()
    finish(*turns, quick)
    assert order == ["a1", "b1", "c", "a2", "b2", "a3", "b3"]
    assert [job.result for job in turns] == ["all three"] * 2
    assert all(job.state == "done" for job in turns)


def test_long_work_can_be_cancelled_between_its_steps(worker: Worker) -> None:
    begun = threading.Event()

    def endless(job: Job) -> Iterator[None]:
        while True:
            begun.set()
            yield

    job = worker.submit(job_of("a", work=endless))
    assert begun.wait(WAIT)
    job.cancel()
    finish(job)
    assert job.state == "cancelled"
    finish(worker.submit(job_of("b")))


@pytest.mark.parametrize("error", [DataError("no such column"), ValueError("odd"), MemoryError()])
def test_an_error_is_kept_for_the_page_and_the_worker_goes_on(worker: Worker, error: Exception) -> None:
    def fail(job: Job) -> None:
        raise error

    job = worker.submit(job_of("a", work=fail))
    finish(job)
    assert (job.state, job.error) == ("failed", error)
    assert worker.submit(job_of("a", work=fail)) is job, "the same work fails the same way"
    finish(worker.submit(job_of("a", "better")))


def test_an_unexpected_error_is_told_and_the_worker_goes_on(worker: Worker, caplog: pytest.LogCaptureFixture) -> None:
    def fail(job: Job) -> None:
        raise ZeroDivisionError("a bug")

    job = worker.submit(job_of("a", work=fail))
    finish(job)
    assert job.state == "failed"
    assert "a bug" in str(job.error)
    finish(worker.submit(job_of("b")))
    assert "a bug" in caplog.text


def test_progress_after_a_cancel_stops_the_work() -> None:
    job = job_of("a", work=lambda job: job.report(1, 2))
    job.cancelled.set()
    jobs.run(job)
    assert (job.state, job.done) == ("cancelled", 0)


def test_a_server_does_not_remember_every_session(worker: Worker) -> None:
    finish(*[worker.submit(job_of(f"session {i}")) for i in range(jobs.KEPT_JOBS + 50)])
    last = worker.submit(job_of("one more"))
    finish(last)
    kept = [i for i in range(jobs.KEPT_JOBS + 50) if worker.latest((f"session {i}", "work"))]
    assert len(kept) <= jobs.KEPT_JOBS
    assert worker.latest(("one more", "work")) is last


def test_the_cache_is_bounded_and_forgets_what_was_not_used() -> None:
    cache = Cache(2)
    cache.put("a", 1)
    cache.put("b", 2)
    assert cache.get("a") == 1
    cache.put("c", 3)
    assert [cache.get(key) for key in "abc"] == [1, None, 3]
    cache.put("a", 4)
    assert [cache.get(key) for key in "ac"] == [4, 3]
