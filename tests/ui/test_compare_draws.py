"""Several draws by lot: which masks they are, and what the mean of their differences may claim."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from streamlit.testing.v1 import AppTest

from pruning import LoadedModel
from pruning.errors import PruningError
from pruning.evaluation import Evaluation, compare, evaluate
from pruning.language import speaking
from pruning.masks import Mask
from pruning.statistics import Estimate, mean, paired_proportion
from pruning.statistics_of_draws import Pooled, pooled_differences, pooled_mean, pooled_statistic
from pruning.tasks import Outcome
from tests.families import examples_of, model_of
from tests.ui.conftest import served
from tests.ui.test_compare import ended, headers, page_of, picker
from tests.ui.test_pages import fine, link_of, words
from ui.compare import words as said
from ui.compare.lots import lot, lots
from ui.compare.lots_view import spread
from ui.compare.pairs import Side, couples
from ui.compare.picks import Pick
from ui.store import kept_maps

# Intervals ---------------------------------------------------------------------------------------------------------


def test_one_draw_has_the_intervals_of_a_plain_comparison() -> None:
    hits = np.array([[1.0] * 10 + [-1.0] * 20 + [0.0] * 68])
    found, plain = pooled_mean(hits, proportion=True), paired_proportion(10, 20, 98)
    assert (found.of_data.value, found.of_data.low, found.of_data.high) == pytest.approx(
        (plain.value, plain.low, plain.high)
    )
    losses = np.random.default_rng(0).normal(size=(1, 40))
    found, plain = pooled_mean(losses), mean(losses[0])
    assert (found.of_data.low, found.of_data.high) == pytest.approx((plain.low, plain.high))
    assert found.of_both is None
    assert len(found.single) == 1


def test_both_intervals_by_hand() -> None:
    """Three draws on four examples: means 1, 2 and 6 of the draws, and 2, 3, 3 and 4 of the examples."""
    found = pooled_mean(np.array([[0, 1, 1, 2], [1, 2, 2, 3], [5, 6, 6, 7]], float))
    assert found.single == (1.0, 2.0, 6.0)
    assert found.value == 3.0
    examples, draws = np.var([2, 3, 3, 4], ddof=1) / 4, np.var([1, 2, 6], ddof=1) / 3
    assert found.of_data.high - 3 == pytest.approx(stats.t.ppf(0.975, 3) * math.sqrt(examples))
    half = math.hypot(stats.t.ppf(0.975, 3) * math.sqrt(examples), stats.t.ppf(0.975, 2) * math.sqrt(draws))
    assert found.of_both is not None
    assert found.of_both.high - 3 == pytest.approx(half)
    assert 3 - found.of_both.low == pytest.approx(found.of_both.high - 3)


def crossed(generator: np.random.Generator, count: int, draws: float, examples: float, together: float) -> Pooled:
    """So many draws on 60 examples with these standard deviations, around a mean of 1."""
    noise = draws * generator.normal(size=(count, 1)) + examples * generator.normal(size=(1, 60))
    return pooled_mean(1 + noise + together * generator.normal(size=(count, 60)))


@pytest.mark.parametrize("deviations", [(1.0, 0.5, 0.5), (0.05, 1.0, 1.0), (0.2, 2.0, 0.5), (0.0, 0.0, 1.0)])
@pytest.mark.parametrize("count", [2, 5])
def test_the_interval_of_both_covers_the_truth(count: int, deviations: tuple[float, float, float]) -> None:
    """At least 95% of 400, give or take 3.3; that of the data does not where the draws differ."""
    generator = np.random.default_rng(4)
    found = [crossed(generator, count, *deviations) for _ in range(400)]
    both = np.mean([one.of_both is not None and one.of_both.low <= 1 <= one.of_both.high for one in found])
    data = np.mean([one.of_data.low <= 1 <= one.of_data.high for one in found])
    assert both >= 0.95 - 0.033
    assert (data < 0.5) == (deviations[0] == 1.0)


def test_right_and_wrong_are_never_certain() -> None:
    """Every draw wrong on both examples, the other model right: the interval still has a width."""
    found = pooled_mean(np.ones((3, 2)), proportion=True)
    assert found.value == 1.0
    assert found.of_both is not None
    assert found.of_both.low < 0 < found.of_both.high == 1.0
    same = pooled_mean(np.zeros((3, 50)), proportion=True)
    assert same.of_both is not None
    assert same.of_both.low < 0 < same.of_both.high
    assert same.ahead == 0


def test_one_example_gives_no_interval() -> None:
    found = pooled_mean(np.array([[0.5], [0.7]]))
    assert found.of_both is not None
    assert (found.of_data.low, found.of_both.high) == (-math.inf, math.inf)
    assert pooled_mean(np.zeros((2, 3))).of_both is not None  # no division by zero


def test_a_statistic_is_pooled_from_its_resamples() -> None:
    resampled = np.random.default_rng(1).normal([[0.1, 0.3]], 0.02, (500, 2))
    found = pooled_statistic(np.array([0.1, 0.3]), resampled)
    assert pooled_statistic(np.array([0.1, 0.3]), resampled, count=3).of_data.high == math.inf
    assert found.of_data.high - 0.2 == pytest.approx(1.96 * resampled.mean(1).std(ddof=1), rel=1e-3)
    assert found.of_both is not None
    assert found.of_both.high == pytest.approx(1.0)  # two draws that differ so much say next to nothing


def test_evaluations_are_pooled_as_they_are_compared() -> None:
    model, rows = model_of("bert"), examples_of("bert", 20)
    whole, *draws = (evaluate(model, rows, Mask.parse_heads(h)) for h in ("", "0:0", "0:1,1:2", "1:0,1:1,1:2"))
    found = pooled_differences(draws, [whole] * 3)
    for name, pooled in found.items():
        plain = [compare(draw, whole).differences[name].value for draw in draws]
        assert pooled.single == pytest.approx(plain), name
        assert pooled.value == pytest.approx(np.mean(plain)), name
    hits = np.stack([whole.outcome.hits - draw.outcome.hits for draw in draws])
    assert found["accuracy"] == pooled_mean(hits, proportion=True)
    with pytest.raises(PruningError, match="same examples"):
        pooled_differences(draws[:1], [evaluate(model, examples_of("bert", 8))])


def test_the_order_of_the_examples_does_not_matter() -> None:
    """To rounding alone; the resampled metrics are drawn by lot, and still draw the same examples."""
    model, rows = model_of("bert"), examples_of("bert", 60)
    whole, *draws = (evaluate(model, rows, Mask.parse_heads(h)) for h in ("", "0:0", "0:1,1:2"))
    order = np.random.default_rng(3).permutation(60)

    def moved(one: Evaluation) -> Evaluation:
        arrays = (getattr(one.outcome, name)[order] for name in ("losses", "predicted", "confidences", "hits"))
        return replace(one, outcome=Outcome(*arrays), targets=one.targets[order])

    found = pooled_differences(draws, [whole] * 2)
    others = pooled_differences([moved(draw) for draw in draws], [moved(whole) for _ in draws])
    for name, pooled in found.items():
        for ours, theirs in ((pooled.of_data, others[name].of_data), (pooled.of_both, others[name].of_both)):
            assert ours is not None
            assert theirs is not None
            assert (theirs.low, theirs.high) == pytest.approx((ours.low, ours.high), abs=1e-12), name


def test_a_language_model_has_no_classes_to_pool() -> None:
    model, rows = model_of("gpt2-lm"), examples_of("gpt2-lm", 6)
    whole, draw = evaluate(model, rows), evaluate(model, rows, Mask.parse_heads("0:0"))
    assert set(pooled_differences([draw], [whole])) == {"accuracy", "loss", "confidence"}


# Masks -------------------------------------------------------------------------------------------------------------


def test_the_first_draw_is_that_of_the_criterion(demo: LoadedModel) -> None:
    found = lots(Mask.parse_heads("0:0-9"), demo.anatomy, 4)
    assert found[0] == kept_maps()["random"].lowest(10)
    assert [len(one.heads) for one in found] == [10] * 4
    assert len(set(found)) == 4
    assert found == lots(found[0], demo.anatomy, 4)  # a draw asks for what it was asked for


def test_as_much_of_every_kind_is_drawn_and_nothing_twice() -> None:
    anatomy = model_of("bert").anatomy
    like = Mask.parse_heads("0:1,1:0,1:2") | Mask.from_json({"neurons": {"1": [0, 1, 2]}, "layers": [0]})
    for seed in range(6):
        mask = lot(like, anatomy, seed)
        assert (len(mask.layers), len(mask.heads), len(mask.neurons)) == (1, 2, 3)  # 0:1 is inside the removed layer
        inside = anatomy.layers[next(iter(mask.layers))]
        assert not {head.site for head in mask.heads} & set(inside.sites)
        assert not {neuron.block for neuron in mask.neurons} & set(inside.blocks)
    every = [head for seed in range(300) for head in lot(Mask.parse_heads("0:0,0:1"), anatomy, seed).heads]
    counts = np.unique([4 * site + head for site, head in every], return_counts=True)[1]
    assert stats.chisquare(counts).pvalue > 0.001  # equal chances


def test_every_draw_stands_beside_the_other_side() -> None:
    masks = tuple(Mask.parse_heads(f"0:{head}") for head in range(3))
    drawn, fixed = Side("a", masks[1], draws=masks), Side("b", Mask.parse_heads("1:1"))
    assert [(a.mask, b.mask) for a, b in couples(drawn, fixed)] == [(mask, fixed.mask) for mask in masks]
    assert couples(fixed, replace(fixed, label="c")) == [(fixed, replace(fixed, label="c"))]
    assert drawn.one.identity == Side("x", masks[1]).identity != drawn.identity


# Words -------------------------------------------------------------------------------------------------------------


def of(value: float, half: float, single: tuple[float, ...]) -> Pooled:
    found = Estimate(value, value - half, value + half)
    return Pooled(found, found if len(single) > 1 else None, single)


def test_one_draw_gets_no_verdict_and_several_get_that_of_both() -> None:
    assert said.lots_headline(of(0.1, 0.02, (0.1,)), "accuracy") == (
        "B against A, one draw so far: +10.0 points (8.0 to 12.0) in accuracy"
    )
    clear = of(0.1, 0.02, (0.05, 0.15))
    assert said.lots_headline(clear, "accuracy").endswith("in accuracy, B is better")
    assert said.lots_title(replace(clear, of_both=Estimate(0.1, -0.1, 0.3)), "accuracy").startswith("No clear")
    assert "B is worse" in said.lots_headline(clear, "loss")
    assert "nothing of other draws" in said.explained(of(0.1, 0.02, (0.1,)), "accuracy", 50)[0]


@pytest.mark.parametrize(
    ("single", "metric", "side", "expected"),
    [
        ((0.05, 0.15), "accuracy", "B", "B is ahead of 2 of 2 draws"),
        ((0.05, 0.15), "accuracy", "A", "A is ahead of 0 of 2 draws"),
        ((-0.5, 0.0, 0.1), "loss", "B", "B is ahead of 1 of 3 draws"),
        ((-0.5, 0.0, 0.1), "loss", "A", "A is ahead of 1 of 3 draws"),
    ],
)
def test_who_is_ahead(single: tuple[float, ...], metric: str, side: str, expected: str) -> None:
    told = said.ranking(of(0.1, 0.1, single), metric, side, True)
    assert told[0].startswith(expected)
    assert ("by luck about once in 3" in " ".join(told)) == ("of 2 draws" in expected and "ahead of 2" in expected)
    assert len(said.ranking(of(0.1, 0.1, single), metric, side, False)) == 1


def test_the_ends_have_one_unit_in_every_language() -> None:
    found = of(0.1, 0.1, (-0.05, 0.0, 0.15))
    assert said.ranking(found, "accuracy", "B", False)[0].endswith("go from −5.0 to +15.0 points.")
    assert "−0.0500 to +0.150." in said.ranking(found, "loss", "B", False)[0]
    with speaking("zh"):
        assert said.ranking(found, "accuracy", "B", False)[0].count("个百分点") <= 1


def test_the_spread_is_of_the_draws() -> None:
    found = [Estimate(value, 0, 9) for value in (1.0, 4.0, 2.0)]
    assert (spread(found, "loss").low, spread(found, "loss").high) == (1.0, 4.0)
    assert spread(found, "perplexity").value == pytest.approx(2.0)  # the loss is its logarithm


# The page ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def tiny(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoadedModel]:
    with served(model_of(request.param), examples_of(request.param, 24), monkeypatch) as model:
        yield model


def titles(script: AppTest) -> list[str]:
    specs = [json.loads(chart.proto.spec) for chart in script.get("plotly_chart")]
    return [spec["layout"]["title"]["text"] for spec in specs]


@pytest.mark.parametrize("tiny", ["bert", "gpt2-lm"], indirect=True)
def test_the_same_number_by_lot_is_measured_several_times(tiny: LoadedModel) -> None:
    mask = Mask.parse_heads("0:0,1:1")
    script = page_of(mask)
    fine(picker(script, "A").select("by-random").run())
    script = ended(script)
    first = lot(mask, tiny.anatomy, 0)
    assert link_of(script)["a"] == Pick("by-random", first).code
    text, rows = words(script), examples_of(tiny.spec.name, 24)
    ours = evaluate(tiny, rows, mask)
    draws = [evaluate(tiny, rows, one) for one in lots(mask, tiny.anatomy, 5)]
    metric = "accuracy" if rows.class_names else "loss"
    found = pooled_differences(draws, [ours] * 5)[metric]
    assert said.lots_headline(found, metric) in text
    assert "mean of 5 draws" in text
    assert "over draws and examples both" in text
    assert any(said.lots_title(found, metric) in title for title in titles(script))
    fine(script.switch_page("pages/prune.py").run())
    assert "A: 2 heads removed · 5 draws" in words(fine(script.switch_page("pages/compare.py").run()))


@pytest.mark.parametrize("tiny", ["bert"], indirect=True)
def test_the_number_of_draws_is_in_the_link_and_one_is_a_plain_comparison(tiny: LoadedModel) -> None:
    mask = Mask.parse_heads("0:0,1:1")
    script = ended(page_of(mask, a=Pick("by-random", mask, "none", 1).code))
    assert "A single draw by lot may be a lucky" in words(script)
    assert headers(script)[-1] == "On other data"
    three = ended(page_of(mask, a=Pick("by-random", mask, "none", 3).code))
    assert "A: 2 heads removed · 3 draws" in words(three)
    assert link_of(three)["a"] == Pick("by-random", lot(mask, tiny.anatomy, 0), "none", 3).code
    shown = next(box for box in three.selectbox if box.label == "Draw that is shown")
    fine(shown.select(2).run())
    assert "B against A, mean of 3 draws" in words(three)
    assert headers(three)[-1] == "On other data"
    with pytest.raises(Exception, match="draws"):
        Pick.read("by-random~99.none.")
