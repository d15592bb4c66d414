"""Settings for every test, and what is made once for all of them."""

from __future__ import annotations

import os

os.environ["HF_HUB_OFFLINE"] = "1"  # before transformers is imported: no test may need the network
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ["HEADROOM_RESULTS_MB"] = "0"  # no test may find what another one measured
os.environ["HEADROOM_DATABASE"] = "off"  # nor write into the history of the person who runs it

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from xdist.scheduler import LoadScopeScheduling

    from pruning import LoadedModel
    from pruning.tasks import Examples


@pytest.fixture(scope="session", autouse=True)
def _one_torch_thread() -> None:
    """Tiny models gain nothing from more threads, and sums then come in one order."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def demo() -> LoadedModel:
    """The built-in model."""
    from pruning import load_model

    return load_model("demo")


@pytest.fixture(scope="session")
def calibration(demo: LoadedModel) -> Examples:
    """64 calibration rows, encoded for the built-in model."""
    from pruning import DataSpec, load_data, task_of

    return task_of(demo).encode(demo, load_data(DataSpec("demo", "calibration", samples=64)))


@pytest.fixture(scope="session")
def bert_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny BERT classifier with a tokenizer. Do not change it: copy it first."""
    from tests.families import save

    return save("bert", tmp_path_factory.mktemp("models") / "bert")


@pytest.fixture(scope="session")
def reviews(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CSV file of 40 short texts with labels 0 and 1."""
    from tests.families import texts_of

    path = tmp_path_factory.mktemp("data") / "reviews.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        writer.writerows([text, row * 7 % 3 % 2] for row, text in enumerate(texts_of(40)))
    return path


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Browser tests run up to twice more where they fail: a busy machine can be late, a bug fails thrice.

    Where there are several processes they come first: the short tests then fill up what is left of the time.
    """
    browser = [item for item in items if item.get_closest_marker("e2e")]
    others = [item for item in items if not item.get_closest_marker("e2e")]
    for item in browser:
        item.add_marker(pytest.mark.flaky(reruns=2))
    items[:] = browser + others if hasattr(config, "workerinput") else others + browser


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """A file of browser tests stays in one process, which keeps its browser and what its server has measured.

    Not by xdist_group marks: xdist 3.8 writes them to a place where pytest 9.2 no longer looks.
    """
    from xdist.scheduler import LoadScopeScheduling

    class BrowserFilesTogether(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return nodeid.partition("::")[0] if nodeid.startswith("tests/e2e/") else nodeid

    return BrowserFilesTogether(config, log)
