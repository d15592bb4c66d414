"""The history on the pages: what finished work records, whose it is, and what the page does with it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from pruning import LoadedModel, Mask
from pruning.history.database import History
from pruning.history.records import Record
from pruning.sweep import Bench
from pruning.tasks import Examples, task_of
from tests.ui.conftest import Pages
from tests.ui.test_pages import fine
from tests.ui.test_tradeoff import TABLE
from ui.browser import fitting
from ui.history import entries, figures, words
from ui.history.browsing import frame, selected
from ui.history.recorder import NO_DATABASE, Recorder, database_setting
from ui.store import store
from ui.sweep_back import sweep_settings, swept_of
from ui.sweeps import TAKE_BACK, SweepSettings, Swept

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MASK = Mask.parse_heads("0:3,2:5")
ID = "0123456789abcdef" * 2


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("HEADROOM_DATABASE", f"sqlite:///{tmp_path / 'history.sqlite'}")
    return f"sqlite:///{tmp_path / 'history.sqlite'}"


@pytest.fixture
def recorded(url: str, pages: Pages) -> Iterator[Pages]:
    """Pages that record into a database of this test."""
    store.clear()
    yield pages
    store().recorder.close()


def record(minutes: int = 0, heads: str = "0:3,2:5", value: float | None = 0.875, **changes: Any) -> Record:
    mask = Mask.parse_heads(heads)
    numbers: dict[str, Any] = {"removed": {"heads": [len(mask.heads), 72]}, "heads_per_site": [12] * 6}
    if value is not None:
        numbers["accuracy"] = {"value": value, "low": value - 0.02, "high": value + 0.02}
        numbers["accuracy change"] = {"value": value - 0.875, "low": value - 0.885, "high": value - 0.865}
    made = NOON + timedelta(minutes=minutes)
    plain = Record("evaluation", "me", "demo", "w", "demo", "r", mask, {"compensation": "mean"}, numbers, 4.0)
    return replace(plain, **{"made": made, **changes})


def owner_of(script: AppTest) -> str:
    return store().recorder.owner(script.session_state["session_id"])


def texts(script: AppTest) -> str:
    parts = [*script.markdown, *script.header, *script.caption, *script.info, *script.error, *script.warning]
    return "\n".join(part.value for part in parts)


# Recording -------------------------------------------------------------------------------------------------------


def test_an_evaluation_is_recorded_once_for_its_session(recorded: Pages, demo: LoadedModel) -> None:
    recorded.load()
    history, recorder = store().recorder.history(), store().recorder
    assert history is not None
    for mask in (Mask(), MASK, Mask()):  # the last one comes from memory
        job = store().evaluate("someone", demo, "demo", mask, "mean")
        assert job.finished.wait(60)
    recorder.wait()
    again, one = history.find("someone")
    assert (again.mask, one.mask) == (Mask(), MASK)
    assert (one.kind, one.model, one.model_fingerprint, one.data) == ("evaluation", "demo", demo.fingerprint, "demo")
    assert one.data_fingerprint == job.result.after.data
    assert one.settings["compensation"] == "mean"
    assert again.settings["compensation"] == "none"  # nothing is removed, so nothing stands in for it
    assert one.numbers["removed"]["heads"] == [2, 72]
    assert one.numbers["samples"] == 64
    assert one.main is not None
    assert one.seconds > 0
    assert "accuracy change" in one.numbers
    assert "accuracy change" not in again.numbers


def test_a_slow_database_delays_nothing(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    entered, free = threading.Event(), threading.Event()

    def slow(history: History, made: Record, again_within: int = 0) -> Record:
        entered.set()
        free.wait(60)
        return made

    monkeypatch.setattr(History, "add", slow)
    recorder = Recorder(url, 10)
    for _ in range(3):
        recorder(record)  # returns although the first one is stuck
    assert entered.wait(60)
    free.set()
    recorder.wait()
    recorder.close()


def test_what_a_session_recorded_goes_to_its_browser(url: str) -> None:
    recorder = Recorder(url, 10)
    recorder.meet("session", "session", "gradient")
    recorder(lambda: record(owner="session"))
    recorder.meet("session", ID, "magnitude")
    recorder(lambda: record(1, "1:1", owner="session"))
    recorder.wait()
    history = recorder.history()
    assert history is not None
    found = history.find(ID)
    assert [one.mask for one in found] == [Mask.parse_heads("1:1"), MASK]
    assert found[0].settings["criterion"] == "magnitude"
    assert history.count("session") == 0
    recorder.close()


def test_a_record_that_cannot_be_made_or_written_stops_nothing(url: str) -> None:
    recorder = Recorder(url, 10)

    def broken() -> Record:
        raise KeyError("a bug")

    recorder(broken)
    recorder(lambda: record(owner=""))
    recorder.wait()
    assert "no owner" in recorder.lost
    recorder(record)
    recorder.wait()
    assert recorder.lost == ""
    assert recorder.attempt(lambda history: history.count("me")) == 1
    recorder.close()


def test_the_setting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for wanted, found in (("", None), ("OFF", None), (" postgresql://host/name ", "postgresql://host/name")):
        monkeypatch.setenv("HEADROOM_DATABASE", wanted)
        assert database_setting() == found
    monkeypatch.delenv("HEADROOM_DATABASE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert database_setting() == f"sqlite:///{tmp_path}/headroom/history.sqlite"
    off = Recorder(None, 10)
    off(record)
    off.wait()
    assert (off.history(), off.problem) == (None, NO_DATABASE)


# Whose -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [None, "", "x" * 32, ID.upper(), ID + "0", 7, ID + "\n"])
def test_only_our_own_ids_are_taken(text: object) -> None:
    assert fitting(text) is None
    assert fitting(ID) == ID


# The page --------------------------------------------------------------------------------------------------------


def test_the_page_while_it_is_empty_and_off(recorded: Pages, monkeypatch: pytest.MonkeyPatch) -> None:
    script = recorded.open("history")
    assert "Nothing has been recorded yet" in texts(script)
    assert [button.label for button in script.main.button] == ["Open Prune"]
    store().recorder.close()
    monkeypatch.setenv("HEADROOM_DATABASE", "sqlite:////dev/null/folder/history.sqlite")
    store.clear()
    script = recorded.open("history")
    assert "There is no history now" in texts(script)
    assert not script.exception
    assert not recorded.open("prune").exception


def test_what_was_recorded_is_found_and_deleted_and_comes_back(recorded: Pages) -> None:
    script = recorded.open("history")
    history, owner = store().recorder.history(), owner_of(script)
    assert history is not None
    kept = [history.add(record(i, f"0:{i}", owner=owner, name=f"number {i}")) for i in range(60)]
    history.add(record(99, owner="somebody else"))
    script.run()
    assert len(script.dataframe[0].value) == 50
    assert script.dataframe[0].value["Name"][0] == "number 59"
    script.text_input[0].set_value("NUMBER 7").run()
    assert list(script.dataframe[0].value["Name"]) == ["number 7"]
    script.text_input[0].set_value("no such words").run()
    assert "Nothing in the history is like that" in texts(script)
    button(script, "Show all records").click().run()
    assert len(script.dataframe[0].value) == 50
    script.session_state["history_selected"] = (kept[59].id,)
    script.run()
    assert "number 59" in [one.value for one in script.header]
    button(script, "Star").click().run()
    assert history.get(owner, kept[59].id).starred
    button(script, "Delete").click().run()
    assert history.count(owner) == 59
    button(script, "Undo").click().run()
    assert history.get(owner, kept[59].id) == replace(kept[59], starred=True)
    assert not script.exception


def test_a_record_is_reopened_where_it_belongs(recorded: Pages) -> None:
    script = recorded.open("history")
    history, owner = store().recorder.history(), owner_of(script)
    assert history is not None
    asked = {"compensation": "mean", "criterion": "magnitude"}
    kept = history.add(record(owner=owner, data="tweets", settings=asked))
    recorded.load()
    script.session_state["history_selected"] = (kept.id,)
    script.run()
    button(script, "Reopen in Prune").click().run()
    session = script.session_state["session"]
    assert (session.mask, session.data, session.criterion) == (MASK, "tweets", "magnitude")
    assert session.compensation == "mean"
    assert script.title[0].value == "Prune"


def test_scenarios_are_there_for_the_next_session_of_the_browser(recorded: Pages) -> None:
    def page() -> None:
        import streamlit as st

        from ui import scenarios, state
        from ui.browser import know_browser

        know_browser()
        if wanted := st.session_state.pop("do", None):
            wanted(scenarios, state)
        st.session_state["found"] = [(one.name, one.mask.format_heads()) for one in scenarios.scenarios()]

    def step(script: AppTest, work: Any = None) -> list[tuple[str, str]]:
        script.session_state["browser"] = ID
        if work is not None:
            script.session_state["do"] = work
        assert not script.run().exception
        return script.session_state["found"]

    first, second = AppTest.from_function(page), AppTest.from_function(page)
    assert step(first, lambda s, state: state.edit_mask(MASK)) == []
    assert step(first, lambda s, _: s.keep("mine")) == [("mine", "0:3,2:5")]
    assert step(first, lambda s, _: s.keep("mine")) == [("mine", "0:3,2:5")]  # the same name gives way
    assert step(second) == [("mine", "0:3,2:5")]
    assert step(second, lambda s, _: s.rename(s.scenarios()[0], "yours")) == [("yours", "0:3,2:5")]
    assert step(first, lambda s, _: s.keep("")) == [("Scenario 1", "0:3,2:5"), ("yours", "0:3,2:5")]
    assert step(first, lambda s, _: s.forget(s.scenarios()[1])) == [("Scenario 1", "0:3,2:5")]
    stranger = AppTest.from_function(page)
    assert stranger.run().session_state["found"] == []


def button(script: AppTest, label: str) -> Any:
    return next(one for one in script.main.button if one.label == label)


# In words and pictures -------------------------------------------------------------------------------------------


def test_the_selection_is_kept_by_number() -> None:
    assert selected([7, 5, None, 3], [0, 3, 9, -1, "x", 2]) == (7, 3)


def test_the_table() -> None:
    table = frame([record(starred=True), record(heads="", value=None)], UTC)
    assert list(table["Removed"]) == ["2 of 72 heads", "nothing"]
    assert list(table["Main metric"]) == ["accuracy 87.5% (85.5 to 89.5)", "not measured"]
    assert list(table["★"]) == ["★", ""]


def test_numbers_and_settings_in_words() -> None:
    one = record(settings={"compensation": "mean", "criterion": "gradient", "epochs": 3, "learning_rate": None})
    assert words.metric_rows(one) == [("Accuracy", "87.5% (85.5 to 89.5)", "0.0 points (−1.0 to 1.0)")]
    assert words.setting_rows(one)[0] == ("In place of what is removed", "Means")
    assert ("Learning rate", "none") in words.setting_rows(one)
    assert words.mask_lines(one, ["A", "B", "C"]) == ["A: head 3", "C: head 5"]
    strange = record(numbers={"accuracy": {"value": "x", "low": 1, "high": 2}, "removed": 7, "heads_per_site": "x"})
    assert words.removed_text(strange) == "2 heads"
    assert words.metric_text(strange) == "not measured"


def test_the_chart_says_how_much_went_without_a_clear_loss() -> None:
    points = [record(0, "", 0.875), record(1, "0:1-9", 0.87), record(2, "0:1-9,1:0-9", 0.7), record(3, value=None)]
    found = figures.comparable(points)
    assert len(found) == 3
    assert figures.finding(found) == "9 of 72 heads went without a clear loss"
    assert figures.finding(found[2:]) == "1 measured model, one pair of model and data"
    figure = figures.over_time(found, UTC, "light")
    assert list(figure.data[0].x) == [0, 9, 19]
    assert list(figure.data[0].y) == pytest.approx([87.5, 87.0, 70.0])
    assert list(figures.table_over_time(found, UTC)["clear loss"]) == ["yes", "no", "no"]
    perplexed = replace(found[0], numbers={"perplexity": {"value": 9.0, "low": 8.0, "high": 10.0}}, made=NOON)
    assert perplexed not in figures.comparable([perplexed, *found[1:]])


# Sweeps and trainings --------------------------------------------------------------------------------------------


def row(macs: int, low: float, mask: str, accuracy: float = 0.9) -> dict[str, Any]:
    return {
        "macs": macs, "loss_change": low + 0.1, "loss_change_low": low, "loss_change_high": low + 0.2, "data": "rows",
        "mask": Mask.parse_heads(mask).to_code(), "accuracy": accuracy, "accuracy_low": 0.8, "accuracy_high": 0.95,
        "samples": 40, "criterion": "gradient", "strategy": "one-shot", "compensation": "none",
    }  # fmt: skip


def test_the_smallest_plan_without_a_clear_loss_stands_for_a_sweep(demo: LoadedModel) -> None:
    asked = SweepSettings(("gradient",), most=80)
    rows = (row(100, 0.0, ""), row(50, -0.1, "0:1"), row(20, 0.3, "0:1-9"))
    made = entries.of_sweep("me", demo, "demo", Swept(asked, rows, True), 9.0)
    assert made.mask == Mask.parse_heads("0:1")
    assert made.numbers["points"] == 3
    assert made.points == rows
    assert made.numbers["accuracy"]["value"] == 0.9
    assert "loss change" in made.numbers
    assert sweep_settings(made) == asked
    assert sweep_settings(replace(made, settings={"criteria": 3, "unknown": 4})) is not None


def of_table(script: AppTest, **changes: Any) -> Record:
    """A sweep of another model than the one in use, with all its points."""
    swept = tuple(TABLE.astype(object).where(TABLE.notna(), None).to_dict("records"))
    asked = {"criteria": ["gradient", "random"], "strategies": ["one-shot"], "chosen": {"criterion": "gradient"}}
    plain = record(kind="sweep", owner=owner_of(script), model="digits", data="digits", settings=asked, points=swept)
    return replace(plain, **changes)


def test_a_sweep_is_drawn_with_all_its_points(recorded: Pages) -> None:
    script = recorded.open("history")
    history = store().recorder.history()
    assert history is not None
    kept = history.add(of_table(script))
    script.session_state["history_selected"] = (kept.id,)
    fine(script.run())
    charts = [json.loads(one.proto.spec) for one in script.get("plotly_chart")]
    (drawn,) = [one for one in charts if any("customdata" in trace for trace in one["data"])]
    assert sum(len(trace.get("customdata", ())) for trace in drawn["data"]) == 9
    (table,) = [one.value for one in script.dataframe if "plan" in one.value]
    assert len(table) == len(TABLE)
    assert "Download the table" in [one.proto.label for one in script.get("download_button")]
    assert "latency" not in str([one.options for one in script.get("button_group")])
    for label in ("Open in Compare", "Open in Prune"):
        script.switch_page("pages/history.py")
        script.session_state[f"history_sweep_{kept.id}_row"] = ((sweep_settings(kept),), 2)
        fine(script.run())
        assert "Removes 36 heads" in texts(script)
        fine(button(script, label).click().run())
        session = script.session_state["session"]
        assert (session.model, session.data) == ("digits", "digits")
    mask = TABLE["mask"][2]
    assert (session.mask.to_code(), session.b) == (mask, f"mask.none.{mask}")


def test_a_sweep_without_points_says_so(recorded: Pages) -> None:
    script = recorded.open("history")
    history = store().recorder.history()
    assert history is not None
    old = history.add(of_table(script, points=()))
    strange = (*of_table(script).points[1:4], {"mask": "", "strategy": "unheard of"})
    others = [history.add(of_table(script, points=strange[:count], made=NOON)) for count in (3, 4)]
    for one in (old, *others):
        script.session_state["history_selected"] = (one.id,)
        fine(script.run())
        assert "The points of this sweep were not kept" in texts(script)
        assert swept_of(history.get(one.owner, one.id)) is None


@pytest.mark.parametrize("changed", [False, True])
def test_a_sweep_comes_back_after_a_restart(
    changed: bool, recorded: Pages, demo: LoadedModel, calibration: Examples, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its points are on Trade-off without any being measured, unless other rows are there now."""

    def make(model: LoadedModel, data: str, start: int = 0) -> Bench:
        return Bench(model, task_of(model), calibration.at(range(start, start + 8)), calibration.at(range(20, 28)))

    monkeypatch.setattr("ui.sweeps.make_bench", make)
    recorded.load()
    script = recorded.open("tradeoff")
    asked = SweepSettings(("magnitude",), most=50, least=50)
    job = store().sweeps.start(script.session_state["session_id"], demo, "demo", asked)
    assert job.finished.wait(60)
    store().recorder.wait()
    rows = store().sweeps.found(demo, "demo", asked).rows
    store().recorder.close()
    store.clear()

    monkeypatch.setattr("pruning.evaluation.evaluate", lambda *_, **__: pytest.fail("measured again"))
    monkeypatch.setattr("ui.sweeps.make_bench", partial(make, start=8 * changed))
    again = recorded.open("history")
    history = store().recorder.history()
    assert history is not None
    (kept,) = history.find(owner_of(script))
    history.hand_over(kept.owner, owner_of(again))
    recorded.load()
    again.session_state["history_selected"] = (kept.id,)
    fine(again.run())
    fine(button(again, "Reopen in Trade-off").click().run())
    check = store().scorer.latest((again.session_state["session_id"], TAKE_BACK))
    assert check is not None
    assert check.finished.wait(60)
    fine(again.switch_page("pages/tradeoff.py").run())
    found = store().sweeps.found(demo, "demo", asked)
    assert ("The model or the rows have changed" in texts(again)) == changed
    assert ("reopened from the history" in texts(again)) == (not changed)
    assert (found.rows if found else None) == (None if changed else rows)
    assert ("Sweep with the same settings" in [one.label for one in again.main.button]) == changed


def test_a_training_and_its_measurement_are_one_record(url: str) -> None:
    from types import SimpleNamespace

    from pruning import compare, evaluate
    from pruning.recovery.settings import History as Row
    from pruning.recovery.settings import Training
    from tests.families import examples_of, model_of
    from ui.recovery_values import Asked, Measured, Outcome, Rows

    model, examples = model_of("bert"), examples_of("bert", 8)
    asked = Asked(Mask.parse_heads("0:1"), "mean", "distill", Training(epochs=2))
    best = Row(3, 1.0, 0.5, 0.4, 0.9)
    found = SimpleNamespace(steps=3, rows=(6, 2), best=best, seconds=7.0)
    trained: Any = SimpleNamespace(data="demo", asked=asked, recovered=found)
    rows = Rows(examples, examples, False)
    before, after = evaluate(model, examples), evaluate(model, examples, asked.mask)
    whole, pruned = Measured(before), Measured(after, compare(before, after))
    outcome = Outcome(whole, pruned, pruned, compare(after, after))

    recorder = Recorder(url, 10)
    recorder(lambda: entries.of_training("me", model, trained, rows))
    recorder(lambda: entries.of_recovery("me", model, trained, rows, outcome))
    recorder.wait()
    (one,) = recorder.attempt(lambda history: history.find("me")) or []
    assert one.settings["recovery"] == "distill"
    assert (one.settings["epochs"], one.settings["compensation"], one.seconds) == (2, "mean", 7.0)
    assert (one.numbers["steps"], one.numbers["held-out loss"]) == (3, 0.4)
    assert one.main is not None
    assert "Accuracy before training" in [name for name, _, _ in words.metric_rows(one)]
    recorder.close()
