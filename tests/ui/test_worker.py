"""The worker behind the pages lives as long as the server: no job may end it, and none is kept for ever."""

from __future__ import annotations

import gc
import threading
import weakref

import pytest

from ui import jobs
from ui.jobs import KEPT_JOBS, Job, Worker


class Model:
    """Stands for something large that a job needs while it runs."""


def test_a_bug_in_one_job_does_not_stop_the_others(caplog: pytest.LogCaptureFixture) -> None:
    def bug(job: Job) -> None:
        raise TypeError("unexpected keyword")

    worker = Worker()
    broken = worker.submit(Job(("one", "evaluate"), 1, bug))
    assert broken.finished.wait(5)
    other = worker.submit(Job(("another", "evaluate"), 1, lambda job: "result"))
    assert other.finished.wait(5)
    assert (broken.state, other.state, other.result) == ("failed", "done", "result")
    assert "unexpected keyword" in str(broken.error)
    assert "unexpected keyword" in caplog.text


def test_jobs_of_sessions_that_are_gone_are_forgotten() -> None:
    worker = Worker()
    jobs = [worker.submit(Job((f"session {i}", "evaluate"), 1, lambda job: None)) for i in range(KEPT_JOBS)]
    assert all(job.finished.wait(5) for job in jobs)
    for i in range(10):
        assert worker.submit(Job((f"newer {i}", "evaluate"), 1, lambda job: None)).finished.wait(5)
    assert worker.latest(("session 0", "evaluate")) is None
    assert worker.latest(("newer 9", "evaluate")) is not None


def test_a_finished_job_lets_go_of_its_model() -> None:
    worker, model = Worker(), Model()
    gone = weakref.ref(model)
    job = worker.submit(Job(("one", "evaluate"), 1, lambda job, model=model: "result"))
    assert job.finished.wait(5)
    del model
    gc.collect()
    assert job.result == "result"
    assert gone() is None


def test_nobody_waits_for_the_work_of_a_closed_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "gone", lambda session: session == "closed")
    worker, gate, order = Worker(), threading.Event(), list[str]()
    first = worker.submit(Job(("first", "evaluate"), 1, lambda job: gate.wait(5)))
    closed, here = (
        worker.submit(Job((name, "evaluate"), 1, lambda job: order.append(job.owner[0]))) for name in ("closed", "here")
    )
    places = [worker.place(closed), worker.place(here)]
    gate.set()
    assert all(job.finished.wait(5) for job in (first, closed, here))
    assert order == ["here", "closed"]
    assert places[0] == places[1] + 1
