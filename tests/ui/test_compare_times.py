"""Times of both sides, really cut, and what odd choices, odd data and odd links of Compare lead to."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from pruning import LoadedModel
from pruning.errors import DataError, UnsupportedError
from pruning.language import speaking
from pruning.masks import Mask
from pruning.presenting.measuring import Timing
from pruning.statistics import Estimate
from tests.families import examples_of, model_of
from tests.ui.conftest import served
from tests.ui.test_compare import ended, headers, page_of, picker
from tests.ui.test_pages import fine, link_of, press, words
from ui.compare import words as said
from ui.compare.cost import timing_words
from ui.compare.lots import lot
from ui.compare.pairs import Pairs, Side
from ui.compare.picks import Pick
from ui.jobs import Worker
from ui.scenarios import Scenario
from ui.store import Store, store

MASK, OTHER = Mask.parse_heads("0:0,1:1"), Mask.parse_heads("0:2")


@pytest.fixture
def tiny(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoadedModel]:
    name = getattr(request, "param", "bert")
    with served(model_of(name), examples_of(name, 24), monkeypatch) as model:
        yield model


# Times -------------------------------------------------------------------------------------------------------------


def fake_times(ratio: float) -> Any:
    """A stopwatch for which B takes so many times what A takes, on whatever it is given."""

    def in_turns(model: LoadedModel, cut: Any, *_: Any) -> Iterator[list[tuple[float, float]]]:
        in_turns.parameters = [sum(p.numel() for p in one.parameters()) for one in (model.module, cut)]  # type: ignore[attr-defined]
        pairs = []
        for run in range(12):
            pairs.append((1.0 + run / 100, ratio * (1.0 + run / 100)))
            yield pairs

    return in_turns


def test_both_sides_are_really_cut_and_timed_when_asked(tiny: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    stopwatch = fake_times(0.5)
    monkeypatch.setattr("pruning.presenting.measuring.time_in_turns", stopwatch)
    script = ended(page_of(MASK, a=Pick("mask", OTHER).code))
    assert "on this computer" not in words(script)
    script = ended(press(script, "Measure the time of both"), "compare times")
    text = words(script)
    assert "B is faster on this computer." in text
    assert "the median of 12 runs of each" in text
    assert "batch size 1" in text
    before, after = stopwatch.parameters
    assert after < before < tiny.anatomy.parameters  # two heads are gone, and one
    assert not [button for button in script.button if button.label == "Measure the time of both"]
    again = press(script, "Swap")
    assert [button for button in again.button if button.label == "Measure the time of both"]  # another question


def test_what_cannot_be_cut_says_why(tiny: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise UnsupportedError("it is glued together")

    monkeypatch.setattr("pruning.surgery.prune", refuse)
    script = press(ended(page_of(MASK)), "Measure the time of both")
    script = ended(script, "compare times")
    assert "B cannot be cut, so neither is timed: it is glued together." in words(script)
    assert not [button for button in script.button if button.label == "Measure the time of both"]


def test_timing_can_be_cancelled(tiny: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    script = ended(page_of(MASK))
    monkeypatch.setattr(Worker, "_loop", lambda _: None)
    standing = Worker("standing still")
    monkeypatch.setattr(store().pairs.timings, "worker", standing)
    script = press(script, "Measure the time of both")
    job = standing.latest((script.session_state["session_id"], "compare times"))
    assert job is not None
    assert job.active
    fine(next(button for button in script.button if button.label == "Cancel").click().run())
    assert job.state == "cancelled"
    assert [button for button in script.button if button.label == "Measure the time of both"]


def test_times_know_what_they_are_of(tiny: LoadedModel) -> None:
    pairs: Pairs = store().pairs
    a, b = Side("a", MASK), Side("b", OTHER, "mean")
    key = pairs.timings.key
    assert key(tiny, "demo", a, b) != key(tiny, "demo", b, a)
    assert key(tiny, "demo", a, b) != key(tiny, "digits", a, b)  # means were measured on the rows
    assert key(tiny, "demo", a, Side("c", OTHER)) == key(tiny, "digits", a, Side("d", OTHER))


@pytest.mark.parametrize(
    ("ends", "expected"), [((0.8, 0.9), "faster"), ((1.1, 1.3), "slower"), ((0.9, 1.0), "No clear difference")]
)
def test_what_times_say(ends: tuple[float, float], expected: str) -> None:
    assert expected in said.time_verdict(Estimate(sum(ends) / 2, *ends))


def test_images_have_no_tokens() -> None:
    one = Estimate(1.0, 0.9, 1.1)
    assert "one image at a time" in timing_words(Timing(one, one, one, 40, 0, 2, "a machine"))[1]
    assert "128 tokens; threads: 2; a machine" in timing_words(Timing(one, one, one, 40, 128, 2, "a machine"))[1]


# Odd choices -------------------------------------------------------------------------------------------------------


def test_few_examples_prove_nothing() -> None:
    """All resamples of one example are equal: that is no certainty."""
    sure = Estimate(0.09, 0.09, 0.09)
    assert said.verdict("calibration_error", said.trusted("calibration_error", sure, 1)) == "no clear difference"
    assert said.trusted("calibration_error", sure, 200) == sure
    assert said.trusted("accuracy", sure, 1) == sure
    assert said.perplexity_ratio(Estimate(0.0, -math.inf, math.inf)).high == math.inf


@pytest.mark.parametrize("draws", [1, 5])
def test_one_example_has_no_verdict(draws: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with served(model_of("bert"), examples_of("bert", 4).at(range(1)), monkeypatch):
        text = words(ended(page_of(MASK, a=Pick("by-random", MASK, "none", draws).code)))
    assert "no clear difference" in text
    assert not {one for one in ("B is better", "B is worse", "B is faster") if one in text}


def test_data_without_labels_says_so(tiny: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise DataError("{data} has no label column", data="mine.csv")

    monkeypatch.setattr(Store, "examples", refuse)
    store.clear()
    for link in ({}, {"a": Pick("by-random", MASK).code}):
        script = page_of(MASK, **link)
        job = store().evaluator.latest((script.session_state["session_id"], "compare"))
        assert job is not None
        assert job.finished.wait(60)
        fine(script.run())
        assert [error.value for error in script.error] == [
            "mine.csv has no label column. Pick another side above, or data that fits the model in the sidebar."
        ]
        assert headers(script) == ["What is removed", "What that does", "Cost"]


def test_two_sides_by_lot_are_the_same_draws(tiny: LoadedModel) -> None:
    script = page_of(MASK, a=Pick("by-random", MASK).code, b=Pick("by-random", MASK, "none", 3).code)
    assert "A and B are the same model" in script.info[0].value


def test_without_a_mask_the_number_is_that_of_the_link(tiny: LoadedModel) -> None:
    script = page_of(Mask(), a=Pick("by-random", MASK).code, b="whole")
    assert link_of(script)["a"] == Pick("by-random", lot(MASK, tiny.anatomy, 0)).code
    assert "A: 2 heads removed · 5 draws" in words(script)


def test_the_same_number_says_what_it_leaves_unequal(tiny: LoadedModel) -> None:
    layer = Mask(layers=frozenset({0}))
    text = words(page_of(layer | OTHER, a=Pick("by-magnitude", MASK).code))
    assert "A has the heads of its link and not the same number" in text
    assert "A removes only heads" in text
    text = words(page_of(layer, a=Pick("by-random", Mask()).code))
    assert "A: 1 layer removed · 5 draws" in text
    assert "removes only heads" not in text


def test_a_scenario_that_is_deleted_stays_as_a_mask_without_a_name(tiny: LoadedModel) -> None:
    script = page_of(MASK)
    script.session_state["scenarios"] = [Scenario("Mine", "demo", "demo", "gradient", OTHER, made=datetime.now(UTC))]
    fine(script.run())
    fine(picker(script, "A").select(Pick("mask", OTHER).code).run())
    assert "A · Scenario: Mine" in [metric.label for metric in ended(script).metric]
    script.session_state["scenarios"] = []
    fine(script.run())
    assert picker(script, "A").options[picker(script, "A").index] == "Mask without a name, 1 head removed"
    assert script.metric[0].label == "A · Mask without a name, 1 head removed"
    assert link_of(script)["a"] == Pick("mask", OTHER).code


def test_a_link_brings_both_sides_back(tiny: LoadedModel) -> None:
    for a, b in (("now", "whole"), (Pick("mask", OTHER, "mean").code, Pick("by-random", MASK, "none", 3).code)):
        script = page_of(MASK, a=a, b=b)
        link = link_of(script)
        again = page_of(Mask.from_code(link["mask"]), **{name: link[name] for name in "ab" if name in link})
        assert link_of(again) == link
        shown = [[picker(one, name).options[picker(one, name).index] for name in "AB"] for one in (script, again)]
        assert shown[0] == shown[1]


def test_draws_do_not_pass_for_training(tiny: LoadedModel) -> None:
    """A random mask beside a recovered model is no fair test of the choice, and the page says so."""
    from ui.compare.sides import unequal

    trained: Any = SimpleNamespace(smaller=SimpleNamespace(fingerprint="x"))
    picks = {"a": Pick("by-random", MASK), "b": Pick("recovered", MASK)}
    sides = {"a": Side("a", MASK), "b": Side("b", MASK, trained=trained)}
    both: Any = SimpleNamespace(picks=picks, sides=sides)
    assert unequal(both) == ["B was trained and A was not: the difference is that of the choice and the training."]
    with speaking("zh"):
        assert unequal(both)
