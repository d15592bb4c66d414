"""The Prune page with what stands in for removed heads, plans, whole layers and neurons, and files."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from pruning.masks import Mask, NeuronId
from tests.ui.conftest import Pages
from tests.ui.test_pages import fine, link_of, measured, press, words
from ui.jobs import Job
from ui.plan_search import Problem
from ui.store import store

TWO = Mask.parse_heads("0:3,2:5")
MIXED = TWO | Mask(neurons=frozenset(NeuronId(1, i) for i in range(0, 600, 2)), layers=frozenset({4}))


def field(script: AppTest, kind: str, label: str) -> Any:
    (found,) = [widget for widget in script.get(kind) if widget.label == label]
    return found


def choose(script: AppTest, kind: str, label: str, value: Any) -> AppTest:
    return fine(field(script, kind, label).set_value(value).run())


def searched(script: AppTest) -> AppTest:
    """Wait until the search that the page has asked for is done, and draw it."""
    job = store().plans.worker.latest((script.session_state["session_id"], "plan"))
    assert job is not None
    assert job.finished.wait(60)
    return fine(script.run())


def mask_in(script: AppTest) -> Mask:
    return Mask.from_code(link_of(script).get("mask", ""))


def test_neurons_and_layers_are_shown_restored_and_undone(pages: Pages) -> None:
    script = fine(pages.open("prune", mask=MIXED.to_code(), criterion="magnitude"))
    assert "Removed 2 of 72 heads, 300 neurons, 1 layer" in words(script)
    pages.load()
    fine(script.run())
    assert "Removed 14 of 72 heads, 1,836 of 9,216 neurons, 1 of 6 layers" in words(script)
    (strip,) = [html.proto.body for html in script.get("html") if "feed-forward block" in html.proto.body]
    assert "300 of 1,536" in strip
    figure = json.loads(script.get("plotly_chart")[0].proto.spec)
    assert figure["data"][-1]["y"].count(3.68) == 24, "the heads of the removed layer are crossed out, too"
    choose(script, "selectbox", "Whole layer", 4)
    assert next(b for b in script.button if b.label == "Remove the layer's heads").disabled
    assert mask_in(press(script, "Restore the whole layer")) == MIXED - Mask(layers=frozenset({4}))
    assert mask_in(press(script, "Restore all neurons")) == TWO
    assert mask_in(press(script, "Undo")) == TWO | Mask(neurons=MIXED.neurons)
    choose(script, "slider", "Remove the lowest heads", 0)
    assert mask_in(script) == Mask(neurons=MIXED.neurons), "the slider is about heads alone"
    press(script, "Score the neurons by weight magnitude")
    job = store().scorer.latest((script.session_state["session_id"], "score"))
    assert job is not None
    assert job.finished.wait(60)
    choose(fine(script.run()), "slider", "Remove the lowest neurons", 40)
    assert len(mask_in(script).neurons) == 340
    assert script.get("download_button")
    assert "python -m pruning prune demo --mask mask.json -o smaller" in [code.value for code in script.code]


@pytest.mark.parametrize(
    ("mask", "problem"),
    [
        (Mask(layers=frozenset({9})), "layer 9 does not exist"),
        (Mask(neurons=frozenset({NeuronId(0, 5000)})), "neuron 0:5000 does not exist"),
    ],
)
def test_what_the_model_does_not_have_is_named(pages: Pages, mask: Mask, problem: str) -> None:
    pages.load()
    script = fine(pages.open("prune", mask=mask.to_code()))
    assert problem in script.warning[0].value
    assert mask_in(script) == Mask()


def test_a_replacement_has_figures_of_its_own(pages: Pages) -> None:
    pages.load()
    script = measured(fine(pages.open("prune", mask=TWO.to_code())))
    zero = script.metric[1].value
    (choice,) = [group for group in script.get("button_group") if group.label == "Replacement"]
    fine(choice.set_value("mean").run())
    assert link_of(script) == {"mask": TWO.to_code(), "keep": "mean"}
    measured(script)
    assert "Measured on all 64" in words(script)
    assert script.metric[1].value != zero
    losses = script.session_state["losses"]
    assert [about for about, _ in losses] == [(TWO, "none"), (TWO, "mean")]
    assert any("--recover mean" in code.value for code in script.code)
    assert "folded into the biases (64 calibration examples)" in words(script)
    choose(script, "text_input", "Your own sentence", "A delight.")
    assert "Without the removed heads" in words(script)


def test_a_wrong_replacement_in_the_link_is_said(pages: Pages) -> None:
    script = fine(pages.open("prune", keep="magic"))
    assert script.warning[0].value == ("The link does not fit: keep is none or mean or reconstruct, not 'magic'.")


def test_a_plan_replaces_the_mask_and_undo_brings_it_back(pages: Pages) -> None:
    script = fine(pages.open("prune", mask=TWO.to_code(), criterion="magnitude"))
    assert "Plans are made when the model is there." in words(script)
    pages.load()
    fine(script.run())
    choose(script, "selectbox", "Strategy", "uniform")
    press(script, "Find a plan")
    searched(script)
    assert "Removed 36 of 72 heads" in words(script)
    assert "at most 50% of the heads stay" in words(script)
    assert "Predicted: 36 of 72 heads left, " in words(script)
    assert "Uniform by part by weight magnitude · no data · " in words(script)
    assert any("--plan plan.json" in code.value for code in script.code)
    half = mask_in(script)
    assert mask_in(press(script, "Undo")) == TWO
    assert "Predicted" not in words(script)
    assert mask_in(press(script, "Redo")) == half
    assert "Predicted" in words(script)
    choose(script, "selectbox", "Budget", "params")
    press(script, "Find a plan")  # the search is done, so the answer is there at once
    assert "cannot be met" in script.warning[0].value
    assert mask_in(script) == half
    (nearest,) = [button.label for button in script.button if button.label.startswith("Keep ") and "%" in button.label]
    press(script, nearest)
    assert not script.warning
    assert "of the parameters stay" in words(script)
    assert half.heads < mask_in(script).heads


def test_a_search_can_be_cancelled_and_leaves_the_mask(pages: Pages, monkeypatch: pytest.MonkeyPatch) -> None:
    pages.load()
    script, begun = fine(pages.open("prune", mask=TWO.to_code())), threading.Event()

    def search(job: Job, *_: object) -> None:
        begun.set()
        while True:
            job.report(3, 10, "Searching")
            threading.Event().wait(0.01)

    monkeypatch.setattr(store().plans, "_search", search)
    press(script, "Find a plan")
    assert begun.wait(60)
    fine(script.run())
    (stop,) = [button for button in script.button if button.key == "cancel_plan"]
    fine(stop.click().run())
    job = store().plans.worker.latest((script.session_state["session_id"], "plan"))
    assert job is not None
    assert job.finished.wait(60)
    assert job.state == "cancelled"
    assert not [button for button in fine(script.run()).button if button.key == "cancel_plan"]
    assert mask_in(script) == TWO


def test_what_cannot_be_planned_is_said_in_words(pages: Pages) -> None:
    pages.load()
    script = fine(pages.open("prune"))
    choose(script, "text_input", "Heads that stay", "first")
    press(script, "Find a plan")
    assert script.warning[0].value.startswith("'first' is not a head: write site:head")
    choose(script, "text_input", "Heads that stay", "7:1")
    press(script, "Find the smallest model")
    assert "Head 7:1 does not exist" in script.warning[0].value
    assert isinstance(script.session_state["plan_problem"], Problem)


def test_a_file_is_loaded_and_a_wrong_one_is_refused(pages: Pages) -> None:
    pages.load()
    script = fine(pages.open("prune"))

    def load(name: str, content: str) -> AppTest:
        (uploader,) = script.get("file_uploader")
        return fine(uploader.upload(name, content.encode(), "application/json").run())

    load("mask.json", json.dumps(MIXED.to_json()))
    assert mask_in(script) == MIXED
    load("wrong.json", "{")
    assert script.error[0].value.startswith("wrong.json: this is no JSON file")
    assert mask_in(script) == MIXED


def test_a_guarantee_is_shown_with_its_rows_and_why_there_is_none(
    pages: Pages, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages.load()
    script = fine(pages.open("prune", criterion="magnitude", keep="mean", data="tweets"))
    choose(script, "selectbox", "Strategy", "one-shot")
    press(script, "Find the smallest model")
    searched(script)
    assert "26 examples kept apart cannot support a loss of at most 2 points" in script.warning[0].value
    assert mask_in(script) == Mask()
    bounds = iter([0.01, 1.0])
    monkeypatch.setattr("pruning.search.guarantee.upper_bound", lambda *_: next(bounds, 0.01))
    choose(script, "select_slider", "Lose at most", 5.0)
    press(script, "Find the smallest model")
    searched(script)
    assert mask_in(script).heads
    assert "keep" not in link_of(script), "it was confirmed with zero in the place of what is removed"
    assert "with 95% confidence no more than 1.0" in words(script)
    assert "the calibration rows of Movie-review snippets" in words(script)
