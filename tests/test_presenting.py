"""Prices, figures, the story that is true of them, and the examples that cannot flatter."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pruning.evaluation import compare, evaluate
from pruning.language import LANGUAGES, speaking
from pruning.macs import COUNTED_TOKENS
from pruning.masks import Mask
from pruning.presenting.examples import choose_examples
from pruning.presenting.figures import Presented, counts_of, figures, verdict_of
from pruning.presenting.measuring import Size, Timing, measure_size, median, time_in_turns, timing_of
from pruning.presenting.prices import PriceError, Prices
from pruning.presenting.story import story
from pruning.statistics import Estimate
from pruning.surgery import prune
from tests.families import examples_of, model_of
from ui.present.words import table, write

NUMBER = re.compile(r"\d[\d,.]*\d|\d")
HEADS = Mask.parse_heads("0:1,1:2")


# Prices ------------------------------------------------------------------------------------------------------------


def test_prices_by_hand() -> None:
    prices = Prices(hour=0.36, watts=100, carbon=500)
    assert prices.hours(10) == pytest.approx(10 * 1e6 / 1000 / 3600)  # a million requests of 10 ms: 2.78 hours
    assert prices.cost(10) == pytest.approx(1.0)
    assert prices.energy_kwh(10) == pytest.approx(0.27777777)
    assert prices.carbon_kg(10) == pytest.approx(0.13888888)


@given(
    st.builds(
        Prices, hour=st.integers(0, 9999).map(lambda n: n / 100), currency=st.sampled_from(["USD", "EUR", "CNY"]),
        watts=st.integers(0, 99_999).map(float), tokens=st.integers(1, 4096), carbon=st.integers(0, 2000).map(float),
    )
)  # fmt: skip
def test_a_link_brings_prices_back(prices: Prices) -> None:
    assert Prices.from_code(prices.to_code()) == prices


def test_requests_are_as_long_as_on_the_other_pages() -> None:
    assert Prices().tokens == COUNTED_TOKENS


@pytest.mark.parametrize("code", ["x", "1_USD", "1_XXX_65_128_0", "-1_USD_65_128_0", "nan_USD_65_128_0", "1_USD_6_0_0"])
def test_a_code_that_is_none_is_refused(code: str) -> None:
    with pytest.raises(PriceError):
        Prices.from_code(code)


# The story ---------------------------------------------------------------------------------------------------------


def evaluation(value: Estimate, samples: int, perplexity: bool) -> Any:
    return SimpleNamespace(
        metrics={"perplexity" if perplexity else "accuracy": value}, samples=samples, total=samples, complete=True,
        class_names=() if perplexity else ("a", "b"),
    )  # fmt: skip


def estimates(low: float, high: float) -> st.SearchStrategy[Estimate]:
    values = st.lists(st.floats(low, high), min_size=3, max_size=3).map(sorted)
    return values.map(lambda three: Estimate(three[1], three[0], three[2]))


@st.composite
def presented(draw: st.DrawFn) -> Presented:
    """Any choice with made-up measurements; parts of them may be missing."""
    total = {"heads": 72, "neurons": 9216, "layers": 6}
    removed = {name: draw(st.integers(0, most)) for name, most in total.items()}
    mask = draw(st.sampled_from([HEADS, Mask()]))
    sizes = st.builds(
        Size, parameters=st.integers(1, 10**10), disk_bytes=st.integers(1, 10**10), macs=st.integers(1, 10**12),
        memory_bytes=st.none() | st.integers(1, 10**10),
    )  # fmt: skip
    whole, cut = draw(sizes), draw(sizes)
    timing = None
    if draw(st.booleans()):
        timing = Timing(
            draw(estimates(0.1, 1e4)), draw(estimates(0.1, 1e4)), draw(estimates(0.01, 3.0)),
            draw(st.integers(12, 40)), 128, 1, "a machine",
        )  # fmt: skip
    found: dict[str, Any] = {}
    if draw(st.booleans()):
        perplexity, rows = draw(st.booleans()), draw(st.integers(1, 5000))
        sides = [evaluation(draw(estimates(0.0, 1.0)), rows, perplexity) for _ in range(2)]
        paired = draw(estimates(-1.0, 1.0))
        flips = {kind: draw(st.integers(0, rows)) for kind in ("worse", "better")}
        change = SimpleNamespace(differences={"accuracy": paired, "loss": paired}, count=flips.get)
        found = {"before": sides[0], "after": sides[1], "change": change}
    has_sizes = draw(st.booleans())
    return Presented(
        mask, removed, total, "reconstruct", whole if has_sizes else None, cut if has_sizes else None, timing, **found
    )


@pytest.mark.parametrize("language", LANGUAGES)
@settings(max_examples=60, deadline=None)
@given(found=presented(), hour=st.floats(0.01, 100))
def test_every_number_of_a_story_is_a_fact_on_the_page(language: str, found: Presented, hour: float) -> None:
    prices = Prices(hour=hour)
    with speaking(language):
        known = figures(found, prices)
        written = {write(fact) for fact in known.facts}
        cells = " ".join(cell for row in table(known) for cell in row.values())
        sentences = story(found, prices)
        assert 3 <= len(sentences) <= 6 or not found.mask
        for sentence in sentences:
            assert all(write(fact) in written for fact in sentence.facts.values())
            text = sentence.read(write)
            for fact in sentence.facts.values():
                assert write(fact) in text
            rest = text
            for fact in sorted(map(write, sentence.facts.values()), key=len, reverse=True):
                rest = rest.replace(fact, " ")
            assert NUMBER.findall(rest) == []  # no number but those of facts
            assert all(number in NUMBER.findall(cells) for number in NUMBER.findall(text))


SAYS = {
    "faster": ("it is faster", "更快"),
    "slower": ("it is slower", "更慢"),
    "nothing": ("Accuracy shows no measurable", "准确率没有可测出的差异"),
    "rises": ("Accuracy rises", "升至"),
    "falls": ("Accuracy falls", "降至"),
    "bill": ("a million requests", "一百万次请求"),
}


@pytest.mark.parametrize("language", LANGUAGES)
@settings(max_examples=60, deadline=None)
@given(found=presented())
def test_the_words_agree_with_the_intervals(language: str, found: Presented) -> None:
    prices = Prices()
    with speaking(language):
        text = " ".join(sentence.read(write) for sentence in story(found, prices))
    place = list(LANGUAGES).index(language)

    def says(what: str) -> bool:
        return SAYS[what][place] in text

    ratio = found.timing.ratio if found.timing else None
    assert says("faster") == (ratio is not None and ratio.high < 1)
    assert says("slower") == (ratio is not None and ratio.low > 1)
    assert says("bill") == (ratio is not None and not ratio.low <= 1 <= ratio.high)
    if found.change is None or "perplexity" in found.before.metrics:
        return
    change = found.change.differences["accuracy"]
    assert says("nothing") == (bool(found.mask) and change.low <= 0 <= change.high)
    assert says("falls") == (bool(found.mask) and change.high < 0)
    assert says("rises") == (bool(found.mask) and change.low > 0)
    if says("nothing"):
        possible = figures(found, prices).others["possible loss"]
        assert possible.value == max(0.0, -change.low)
        assert write(possible).split(" ")[0].removesuffix("个百分点") in text


def test_a_mask_that_was_not_cut_is_neither_smaller_nor_faster() -> None:
    found = Presented(HEADS, {"heads": 2, "neurons": 0, "layers": 0}, {"heads": 8, "neurons": 0, "layers": 2})
    text = " ".join(sentence.read(write) for sentence in story(found, Prices()))
    assert "faster" not in text
    assert "instead of" not in text
    assert "has not been measured" in text


def test_verdicts_need_the_whole_interval() -> None:
    assert verdict_of(Estimate(-0.1, -0.2, 0.0), 0.0, lower_is_better=False) == "unclear"
    assert verdict_of(Estimate(-0.1, -0.2, -0.01), 0.0, lower_is_better=False) == "worse"
    assert verdict_of(Estimate(0.1, 0.05, 0.2), 0.0, lower_is_better=False) == "better"


# Measuring ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["bert", "vit", "llama-lm", "t5"])
def test_sizes_of_a_cut_model_are_its_own(family: str) -> None:
    model = model_of(family)
    cut = prune(model, HEADS).module
    whole, small = measure_size(model.module, 16), measure_size(cut, 16)
    assert whole.parameters == model.anatomy.parameters
    assert small.parameters == sum(p.numel() for p in cut.parameters())
    assert small.disk_bytes < whole.disk_bytes
    assert small.macs <= whole.macs
    assert whole.memory_bytes is not None
    assert whole.memory_bytes > whole.disk_bytes


def test_both_models_run_in_turns() -> None:
    model = model_of("bert")
    cut = prune(model, HEADS).module
    order: list[str] = []
    handles = [
        module.register_forward_pre_hook(lambda *_, name=name: order.append(name))
        for name, module in (("whole", model.module), ("cut", cut))
    ]
    try:
        pairs = list(time_in_turns(model, cut, 16, runs=14))[-1]
    finally:
        for handle in handles:  # the model is every test's
            handle.remove()
    assert len(pairs) == 14
    timed = [order[i : i + 2] for i in range(len(order) - 28, len(order), 2)]
    assert timed == [["whole", "cut"], ["cut", "whole"]] * 7
    found = timing_of(model, pairs, 16)
    assert found.runs == 14
    assert found.ratio.low <= found.ratio.value <= found.ratio.high
    assert found.before.value == np.median([whole for whole, _ in pairs])


def test_the_interval_of_a_median_is_that_of_the_tables() -> None:
    """For n = 20 the 95% interval is from the 6th to the 15th value (Conover 1999, table A3)."""
    assert median(list(map(float, range(1, 21)))) == Estimate(10.5, 6.0, 15.0)
    assert median([1.0, 2.0]).high == float("inf")


# Examples ----------------------------------------------------------------------------------------------------------


def outcome(hits: list[int], sure: list[float], losses: list[float]) -> Any:
    size = len(hits)
    made = SimpleNamespace(
        hits=np.array(hits), confidences=np.array(sure), losses=np.array(losses), predicted=np.array(hits)
    )
    return SimpleNamespace(
        outcome=made, class_names=("no", "yes"), positions=np.arange(size) * 2, targets=np.ones(size, int),
        texts=[f"row {i}" for i in range(2 * size)],
    )  # fmt: skip


def test_the_three_examples_are_chosen_by_the_rule() -> None:
    before = outcome([1, 1, 1, 0, 0, 1, 1], [0.9] * 7, [0.1, 0.1, 0.1, 2.0, 2.0, 0.1, 0.1])
    after = outcome([1, 0, 0, 1, 1, 1, 1], [0.9, 0.6, 0.8, 0.95, 0.7, 0.9, 0.9], [0.1, 1.0, 1.5, 0.1, 0.3, 0.4, 0.12])
    worse, better, middle = choose_examples(before, after)
    assert (worse.kind, worse.position, worse.flipped) == ("worse", 4, True)  # surest new error
    assert (better.kind, better.position, better.flipped) == ("better", 8, True)  # least sure gain
    assert (middle.kind, middle.position, middle.flipped) == ("middle", 12, False)  # the median rise is 0.02
    assert (worse.before, worse.after, worse.label) == ("yes", "no", "yes")


def test_without_flips_the_largest_changes_stand_in() -> None:
    before, after = outcome([1, 1, 1], [0.9] * 3, [0.1, 0.1, 0.1]), outcome([1, 1, 1], [0.9] * 3, [0.3, 0.05, 0.1])
    assert [(one.position, one.flipped) for one in choose_examples(before, after)] == [
        (0, False),
        (2, False),
        (4, False),
    ]
    same = choose_examples(before, before)
    assert len({one.position for one in same}) == len(same) >= 2


@pytest.mark.parametrize("family", ["bert", "gpt2-lm"])
def test_figures_of_a_real_evaluation(family: str) -> None:
    model = model_of(family)
    rows = examples_of(family, 12)
    before, after = evaluate(model, rows), evaluate(model, rows, HEADS)
    found = Presented(
        HEADS, *counts_of(model.anatomy, HEADS), before=before, after=after, change=compare(before, after)
    )
    name = "perplexity" if family == "gpt2-lm" else "accuracy"
    pair = figures(found, Prices()).pairs[name]
    assert pair.before.value == before.metrics[name].value
    assert len(choose_examples(before, after)) >= 2
    assert "2" in story(found, Prices())[0].read(write)
