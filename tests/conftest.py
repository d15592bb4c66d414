"""Settings for every test, and what is made once for all of them."""

from __future__ import annotations

import os

os.environ["HF_HUB_OFFLINE"] = "1"  # before transformers is imported: no test may need the network
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ["HEADROOM_RESULTS_MB"] = "0"  # no test may find what another one measured
os.environ["HEADROOM_DATABASE"] = "off"  # nor write into the history of the person who runs it

import csv
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
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


TEACHING = {
    "test_learn",
    "test_classroom",
    "test_questions",
    "test_present",
    "test_languages",
}  # half of the browser tests


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Browser tests come last, and up to twice more where they fail: a busy machine can be late, a bug fails thrice."""
    for item in items:
        if item.get_closest_marker("e2e"):
            item.add_marker(pytest.mark.flaky(reruns=2))
            half = "teaching" if item.path.stem in TEACHING else "studio"
            item.add_marker(pytest.mark.xdist_group(f"e2e {half}"))  # each with one server and one browser at a time
    items.sort(key=lambda item: item.get_closest_marker("e2e") is not None)
