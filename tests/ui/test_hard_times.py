"""Pages when something is missing or has changed: no model, a stopped measurement, an edited file."""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from pruning import Mask
from ui import live, state
from ui.jobs import Job
from ui.store import KEPT_FAILURES, KEPT_MODELS, Loading, Store, evaluation_key

APP = str(Path(__file__).parents[2] / "app.py")


@pytest.mark.parametrize("page", ["home", "explore", "prune"])
def test_without_the_built_in_model_the_page_says_what_to_install(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was drawn again and again without an end."""
    runs = 0

    def refuse(store: Store, name: str, retry: bool = False) -> Loading:
        nonlocal runs
        runs += 1
        if runs > 100:
            raise KeyboardInterrupt
        return Loading(name, state="failed", error="the base model is not here: install it with: pip install it")

    monkeypatch.setattr(Store, "request_model", refuse)
    app = AppTest.from_file(APP, default_timeout=30).run()
    if page != "home":
        app.switch_page(f"pages/{page}.py").run()
    assert [error.value for error in app.error] == ["The base model is not here: install it with: pip install it."]
    assert not app.exception


def test_after_a_stop_an_edit_and_an_undo_no_other_mask_s_figures_show(monkeypatch: pytest.MonkeyPatch) -> None:
    model, mask, other = SimpleNamespace(fingerprint="m"), Mask.parse_heads("0:1"), Mask.parse_heads("0:2")

    def job(mask: Mask) -> Job:
        return Job(("one", "evaluate"), evaluation_key(model, "demo", mask), lambda job: None)  # type: ignore[arg-type]

    newest = job(other)
    shared = SimpleNamespace(
        request_model=lambda name: SimpleNamespace(model=model),
        evaluator=SimpleNamespace(latest=lambda owner: newest),
        evaluate=lambda session, model, data, mask, method: job(mask),
    )
    kept: dict[str, Any] = {"evaluation_stopped": job(mask).fingerprint}
    monkeypatch.setattr(live, "store", lambda: shared)
    monkeypatch.setattr(live, "session_id", lambda: "one")
    monkeypatch.setattr(live, "st", SimpleNamespace(session_state=kept))
    monkeypatch.setattr(state, "current", lambda: state.Session(history=state.History(mask)))
    found = live._job()
    assert found is not None
    assert found.fingerprint[-1] == mask


def test_an_edited_file_is_another_evaluation(tmp_path: Path) -> None:
    path, model = tmp_path / "rows.csv", SimpleNamespace(fingerprint="m")
    keys = set()
    for seconds in (1, 2):
        path.write_text("text,label\na,1\n", encoding="utf-8")
        os.utime(path, (seconds, seconds))
        keys.add(evaluation_key(model, str(path), Mask()))  # type: ignore[arg-type]
    assert len(keys) == 2


def test_going_back_to_a_link_brings_its_defaults_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """A link leaves out what is at its default, so what is absent is a wish, too."""
    here = {"mask": Mask.parse_heads("0:1").to_code()}
    kept: dict[str, Any] = {"session": state.Session(criterion="entropy", data="tweets")}
    monkeypatch.setattr(state, "st", SimpleNamespace(session_state=kept, query_params=here))
    state._adopt_url(first=False)
    assert (kept["session"].criterion, kept["session"].data) == ("gradient", "demo")
    assert kept["session"].mask == Mask.parse_heads("0:1")


def test_models_that_are_in_use_stay_and_the_oldest_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(store: Store, loading: Loading) -> None:
        loading.state = "failed" if "bad" in loading.name else "ready"
        store._forget_models()
        loading.step = "done"

    monkeypatch.setattr(Store, "_load", load)
    store = Store()

    def ask(name: str) -> Loading:
        loading = store.request_model(name)
        for _ in range(500):
            if loading.step == "done":
                break
            time.sleep(0.01)
        return loading

    first = ask("first")
    for i in range(KEPT_MODELS):
        ask(f"other {i}")
        assert ask("first") is first, "it was asked for again and again"
    assert "other 0" not in store._models
    for i in range(KEPT_FAILURES + 3):
        ask(f"bad {i}")
    assert sum(loading.state == "failed" for loading in store._models.values()) == KEPT_FAILURES
