"""The store that all sessions share: what is measured once is not measured again, and states keep to their limit."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from pruning import LoadedModel, Mask, evaluate
from pruning import evaluation as evaluation_module
from pruning.tasks import Examples
from tests.ui.conftest import Pages
from ui import measuring
from ui.jobs import Job
from ui.measuring import Live
from ui.store import Store

MASK = Mask.parse_heads("0:1,4:2")


def live_of(store: Store, model: LoadedModel, mask: Mask) -> tuple[Live, Job]:
    store.request_model("demo")
    job = store.evaluate("someone", model, "demo", mask)
    assert job.finished.wait(60)
    assert job.error is None
    assert job.result is not None
    return job.result, job


def test_masks_in_a_row_are_what_they_are_alone(pages: Pages, demo: LoadedModel, calibration: Examples) -> None:
    pages.arrived.set()
    store = Store()
    for mask in (MASK, MASK | Mask.parse_heads("5:0"), Mask.parse_heads("0:1"), Mask()):
        found, _ = live_of(store, demo, mask)
        alone = evaluate(demo, calibration, mask)
        assert found.after.outcome.losses == pytest.approx(alone.outcome.losses, abs=1e-5)
        assert found.after.metrics["accuracy"] == alone.metrics["accuracy"]
    assert store.measurements.tapes is not None
    assert 0 < store.measurements.tapes.size <= store.measurements.tapes.limit


def test_a_folder_that_was_written_anew_is_loaded_anew_when_it_is_asked_for(bert_folder: Path, tmp_path: Path) -> None:
    """Whoever chooses it, or reloads the page, must not be shown the weights of before."""
    folder = Path(shutil.copytree(bert_folder, tmp_path / "model"))
    store, name = Store(), str(folder)

    def loaded(**how: bool) -> str:
        loading = store.request_model(name, **how)
        while loading.state == "loading":
            time.sleep(0.01)
        assert loading.model is not None
        return loading.model.fingerprint

    first = loaded()
    (folder / "events.log").write_text("a log that grows")
    assert not store.is_outdated(name)
    weights = load_file(folder / "model.safetensors")
    save_file({key: tensor + 0.1 for key, tensor in weights.items()}, folder / "model.safetensors", {"format": "pt"})
    assert store.is_outdated(name)
    assert loaded() == first, "nothing changes under a session that is at work"
    assert loaded(retry=True) != first
    assert not store.is_outdated(name)


def test_a_new_process_finds_what_an_earlier_one_measured(
    pages: Pages, demo: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(measuring, "RESULTS_MB", 4)
    pages.arrived.set()
    first, _ = live_of(Store(), demo, MASK)

    def never(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("measured again")

    monkeypatch.setattr(evaluation_module, "evaluate_in_steps", never)
    again, _ = live_of(Store(), demo, MASK)
    assert again.after.to_json() == first.after.to_json()
    assert again.before.metrics == first.before.metrics
    assert again.comparison.differences == first.comparison.differences
