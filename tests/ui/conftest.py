"""Pages without a browser: the script runs in this process, over a store that every test gets anew."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from pruning.cost import CostModel, count_cost
from pruning.models import LoadedModel
from pruning.tasks import Examples
from ui.jobs import Job, Worker
from ui.store import Loading, Store, store

ROOT = Path(__file__).resolve().parents[2]


class Pages:
    """Opens pages, and decides when the built-in model is there."""

    def __init__(self, arrived: threading.Event) -> None:
        self.arrived = arrived

    def open(self, page: str = "explore", **parameters: str) -> AppTest:
        script = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
        script.query_params.update(parameters)
        script.run()
        return script if page == "home" else script.switch_page(f"pages/{page}.py").run()

    def load(self) -> None:
        """Let the model arrive."""
        self.arrived.set()
        deadline = threading.Event()
        while store().request_model("demo").state != "ready":
            deadline.wait(0.01)


@pytest.fixture(scope="session")
def demo_cost(demo: LoadedModel) -> CostModel:
    return count_cost(demo)


@pytest.fixture
def pages(
    demo: LoadedModel, demo_cost: CostModel, calibration: Examples, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Pages]:
    """Pages over the built-in model, which arrives when `Pages.load` says so, and over 64 examples."""
    arrived = threading.Event()

    def load(_: Store, loading: Loading) -> None:
        arrived.wait(60)
        loading.cost, loading.model, loading.state = demo_cost, demo, "ready"

    jobs: list[Job] = []
    submit = Worker.submit
    monkeypatch.setattr(Worker, "submit", lambda worker, job: jobs.append(submit(worker, job)) or jobs[-1])
    monkeypatch.setattr(Store, "_load", load)
    monkeypatch.setattr(Store, "examples", lambda *_: calibration)
    store.clear()
    yield Pages(arrived)
    arrived.set()
    for job in jobs:  # no thread may be inside torch when the tests end
        job.cancel()
        assert job.finished.wait(60)
    store.clear()


@contextmanager
def served(model: LoadedModel, rows: Examples, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoadedModel]:
    """A store whose only model is a tiny one: it is called ``demo``, so that the pickers know it."""
    jobs: list[Job] = []
    submit = Worker.submit

    def load(_: Store, loading: Loading) -> None:
        loading.model, loading.state = model, "ready"

    monkeypatch.setattr(Worker, "submit", lambda worker, job: jobs.append(submit(worker, job)) or jobs[-1])
    monkeypatch.setattr(Store, "_load", load)
    monkeypatch.setattr(Store, "examples", lambda *_: rows)
    monkeypatch.setattr("ui.store.kept_maps", dict)  # they are of the real one
    store.clear()
    yield model
    for job in jobs:
        job.cancel()
        assert job.finished.wait(60)
    store.clear()
