"""Compare: what its links and words say, its charts, and the page over the built-in and over tiny models."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from pruning import LoadedModel
from pruning.calibration import reliability
from pruning.errors import MaskError
from pruning.evaluation import Flip, compare, evaluate
from pruning.masks import HeadId, Mask
from pruning.plan import Figures, Plan
from pruning.recovery.settings import Training
from pruning.statistics import Estimate
from pruning.tasks import Examples
from tests.families import examples_of, model_of
from tests.ui.conftest import ROOT, Pages, served
from tests.ui.test_pages import fine, link_of, press, words
from ui.compare import words as said
from ui.compare.charts import (
    DataRow,
    confidence_chart,
    domain_chart,
    histogram_table,
    loss_chart,
    reliability_chart,
)
from ui.compare.distributions import bins_table, flips_table
from ui.compare.domains import family
from ui.compare.maps import KINDS, Grid, difference_map, kinds, side_map, swatch
from ui.compare.pairs import Side
from ui.compare.picks import Pick
from ui.jobs import Job, Worker
from ui.recovery_values import Asked
from ui.scenarios import Scenario
from ui.store import kept_maps, store

TWO, THREE = Mask.parse_heads("0:3,2:5"), Mask.parse_heads("0:3,1:1,4:2")
RAGGED = Grid((2, 3), ["Layer 0", "Layer 1"], ((0.1, 0.2), (0.3, 0.4, 0.5)), (0.1, 0.5))


def drawn(figure: Any) -> dict[str, Any]:
    return json.loads(figure.to_json())


# Picks -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pick",
    [
        Pick("whole"), Pick("now"), Pick("mask", TWO, "mean"), Pick("mask"), Pick("recovered", TWO),
        Pick("by-random", TWO), Pick("mask", Mask(layers=frozenset({1})), "reconstruct"),
        Pick("by-weight-taylor", THREE, "mean"),
    ],
)  # fmt: skip
def test_a_link_says_a_side_and_is_read_again(pick: Pick) -> None:
    assert Pick.read(pick.code) == pick


@pytest.mark.parametrize(
    "code", ["", "nothing", "whole.none", "random.none.", "by-luck.none.", "mask", "mask.some.AA", "mask.none.!"]
)
def test_a_code_that_is_none_is_refused(code: str) -> None:
    with pytest.raises(MaskError):
        Pick.read(code)


def test_equal_sides_are_known_by_what_they_are() -> None:
    assert Side("a", TWO).identity == Side("b", TWO).identity
    assert Side("a", TWO).identity != Side("a", TWO, "mean").identity
    assert Side("a", Mask(), "mean").identity == Side("b").identity


# Words -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "ends", "expected"),
    [
        ("accuracy", (-0.1, 0.1), "no clear difference"),
        ("accuracy", (0.1, 0.2), "B is better"),
        ("calibration_error", (0.1, 0.2), "B is worse"),
        ("confidence", (0.1, 0.2), "B is surer"),
    ],
)
def test_verdicts(name: str, ends: tuple[float, float], expected: str) -> None:
    assert said.verdict(name, Estimate(sum(ends) / 2, *ends)) == expected
    assert said.verdict(name, None) == "not measured"


def test_perplexity_differs_by_a_ratio() -> None:
    found = said.perplexity_ratio(Estimate(0.0, -0.1, 0.1))
    assert (found.value, found.low, found.high) == pytest.approx((1.0, np.exp(-0.1), np.exp(0.1)))


def test_heads_of_removed_layers_count_and_other_parts_are_said() -> None:
    anatomy = model_of("bert").anatomy
    first, second = Mask.parse_heads("0:0"), Mask(layers=frozenset({0}))
    heads = anatomy.sites[0].heads
    counts = said.shares(first, second, "heads", anatomy)
    assert counts == {"a": 0, "b": heads - 1, "both": 1, "neither": anatomy.total_heads - heads}
    sentences = said.other_parts(first, second, anatomy)
    assert sentences[0].startswith(f"Neurons: A removes 0 and B {anatomy.blocks[0].neurons:,}")
    assert sentences[1] == "Layers: A removes 0 and B 1 of 2, of which 0 are the same."
    assert said.other_parts(first, TWO, anatomy) == []


def test_the_title_names_the_data_that_stands_out() -> None:
    home, same, worse = (Estimate(v, v - 0.01, v + 0.01) for v in (0.0, 0.005, -0.1))
    assert "about the same" in said.domain_title(home, [("Tweets", same)], False)
    title = said.domain_title(home, [("Tweets", same), ("Reviews", worse)], False)
    assert title == "Reviews: B fares worse against A than at home"
    assert "better" in said.domain_title(home, [("Reviews", worse)], True)


def test_the_table_lists_heads_by_site() -> None:
    table = said.table(frozenset({HeadId(0, 1), HeadId(1, 2)}), frozenset({HeadId(1, 2)}), RAGGED.names, (2, 3))
    assert table["only A removes"].tolist() == ["1", ""]
    assert table["both remove"].tolist() == ["", "2"]


def test_data_sets_of_one_home_belong_together() -> None:
    assert family("tweets", "text-classification") == ("demo", "tweets", "amazon")
    assert family("digits", "image-classification") == ("digits",)
    assert family("my.csv", "text-classification") == ()


# Charts ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_difference_is_told_apart_by_its_strokes(theme: Any) -> None:
    a, b = frozenset({HeadId(0, 0), HeadId(1, 2)}), frozenset({HeadId(1, 2), HeadId(1, 0)})
    assert list(kinds(RAGGED, a, b).values()) == ["a", "neither", "b", "neither", "both"]
    cells, only_a, only_b, both = drawn(difference_map(RAGGED, a, b, title="t", theme=theme))["data"]
    assert cells["z"] == [[0, 3, None], [1, 3, 2]]
    assert only_a["y"][0] < only_a["y"][1]  # falls, since rows go down
    assert only_b["y"][0] > only_b["y"][1]  # rises
    assert len(both["x"]) == 6
    assert len({swatch(kind, theme) for kind in KINDS}) == 4


def test_a_map_crosses_out_what_goes_and_says_it() -> None:
    cells, veil, crosses = drawn(side_map(RAGGED, frozenset({HeadId(1, 1)}), title="t"))["data"]
    assert cells["z"][1] == [0.3, 0.4, 0.5]
    assert "Layer 1, head 1 · importance 0.400 · removed" in cells["text"][1][1]
    assert veil["z"][1] == [None, 0, None]
    assert len(crosses["x"]) == 6
    plain = drawn(side_map(Grid((2, 3), RAGGED.names), frozenset(), title="t"))["data"][0]
    assert "Layer 0, head 1 · kept" in plain["text"][0][1]


def test_every_example_is_in_the_histogram() -> None:
    a, b = np.array([0.5, 0.55, 1.0]), np.array([0.71, 0.999, 1.0])
    table = histogram_table(a, b)
    assert (table["A"].sum(), table["B"].sum()) == (3, 3)
    assert table["from"].iloc[0] == pytest.approx(0.5)
    figure = drawn(confidence_chart(table, title="t", subtitle="s", unit="confidence"))
    assert figure["data"][0]["y"] == table["A"].tolist()
    assert histogram_table(np.array([1.0]), np.array([1.0]))["A"].tolist() == [1]


def test_losses_are_drawn_where_they_are_and_flips_are_marked() -> None:
    losses = np.array([0.0, 0.5, 2.0]), np.array([0.1, 1.0, 0.2])
    figure = drawn(loss_chart(losses, ["", "worse", "better"], title="t", subtitle="s"))
    line, same, worse, better = figure["data"]
    assert same["x"] == [1e-4]  # no logarithm of nothing
    assert (worse["x"], worse["y"], worse["marker"]["symbol"]) == ([0.5], [1.0], "triangle-up")
    assert better["marker"]["symbol"] == "triangle-down"
    assert line["x"] == line["y"]


def test_reliability_is_drawn_with_intervals_and_counts() -> None:
    confidences, hits = np.array([0.6, 0.65, 0.95, 0.97]), np.array([0.0, 1.0, 1.0, 1.0])
    bins = reliability(confidences, hits, 10)
    figure = drawn(reliability_chart(bins, bins, title="t", subtitle="s"))
    lines = [trace for trace in figure["data"] if "error_y" in trace]
    bars = [trace for trace in figure["data"] if trace["type"] == "bar"]
    assert [line["marker"]["symbol"] for line in lines] == ["square", "circle"]
    assert bars[0]["y"] == [1, 1, 2]
    assert bins_table(bins, bins)["examples"].sum() == 8


def test_data_sets_are_rows_and_home_is_a_square() -> None:
    rows = [
        DataRow("Home", Estimate(0.0, -1.0, 1.0), "0.0 points", True, None),
        DataRow("Tweets", Estimate(-3.0, -5.0, -1.0), "−3.0 points", False, False),
    ]
    figure = drawn(domain_chart(rows, title="t", subtitle="s", unit="points"))
    dots = [trace for trace in figure["data"] if trace["mode"] == "markers"]
    assert [dot["marker"]["symbol"] for dot in dots] == ["square", "circle"]
    assert figure["layout"]["xaxis"]["range"] == pytest.approx([-5.5, 5.5])


def test_flips_are_a_table() -> None:
    table = flips_table([Flip(4, "a, b", "yes", "yes", "no", 0.7, 0.6, "worse")])
    assert table.iloc[0].tolist() == [4, "a, b", "yes", "yes", 0.7, "no", 0.6, "A right, B wrong"]
    assert isinstance(table, pd.DataFrame)


# The page --------------------------------------------------------------------------------------------------------


def ended(script: AppTest, kind: str = "compare") -> AppTest:
    job = store().evaluator.latest((script.session_state["session_id"], kind))
    assert job is not None
    assert job.finished.wait(60)
    assert job.state == "done", job.error
    return fine(script.run())


def opened(pages: Pages, mask: Mask = TWO, **link: str) -> AppTest:
    script = pages.open("compare", **({"mask": mask.to_code()} if mask else {}), **link)
    pages.load()
    return fine(script.run())


def picker(script: AppTest, name: str) -> Any:
    return next(box for box in script.selectbox if box.label == name)


def headers(script: AppTest) -> list[str]:
    return [header.value for header in script.header]


def test_the_page_waits_for_the_model(pages: Pages) -> None:
    script = fine(pages.open("compare"))
    assert "is loading" in script.info[0].value


def test_nothing_removed_leads_to_prune(pages: Pages) -> None:
    script = opened(pages, Mask())
    assert "nothing is removed yet" in script.info[0].value
    assert headers(script) == ["What is removed"]
    press(script, "Open Prune")


def test_both_sides_are_measured_and_compared(pages: Pages, demo: LoadedModel, calibration: Examples) -> None:
    script = ended(opened(pages, Mask.parse_heads(",".join(f"{layer}:0-9" for layer in range(6)))))
    assert headers(script) == [
        "What is removed", "What that does", "Cost", "Answers that changed", "Confidence and loss", "Calibration",
        "On other data",
    ]  # fmt: skip
    mask = Mask.from_code(link_of(script)["mask"])
    found = compare(evaluate(demo, calibration), evaluate(demo, calibration, mask))
    assert f"**{len(found.flips)} of 64 answers differ:** {found.count('worse')} became wrong" in words(script)
    assert "McNemar" in words(script)
    assert script.metric[0].label == "A · Unpruned model"
    assert [box.value for box in script.subheader][:2] == [
        f"A right, B wrong: {found.count('worse')}", f"A wrong, B right: {found.count('better')}",
    ]  # fmt: skip


def test_the_maps_show_both_masks(pages: Pages) -> None:
    script = opened(pages, a=Pick("mask", THREE).code)
    figures = [json.loads(chart.proto.spec) for chart in script.get("plotly_chart")]
    titles = [figure["layout"]["title"]["text"] for figure in figures[:3]]
    assert ["A: 3 of 72" in titles[0], "B: 2 of 72" in titles[1], "3 heads differ" in titles[2]] == [True] * 3
    assert picker(script, "A").options[picker(script, "A").index] == "Mask without a name, 3 heads removed"


def test_swapping_is_in_the_link(pages: Pages) -> None:
    script = press(opened(pages), "Swap")
    assert link_of(script) == {"mask": TWO.to_code(), "a": "now", "b": "whole"}
    assert picker(script, "A").value == "now"
    fine(script.switch_page("pages/prune.py").run())
    assert link_of(script) == {"mask": TWO.to_code()}
    assert "removed" in words(fine(script.switch_page("pages/compare.py").run()))
    assert link_of(script)["a"] == "now"


def test_as_many_by_lot_follows_the_other_side(pages: Pages) -> None:
    script = opened(pages)
    fine(picker(script, "A").select("by-random").run())
    random = kept_maps()["random"]
    assert link_of(script)["a"] == Pick("by-random", random.lowest(2)).code
    assert "A: 2 heads removed" in words(script)
    fine(picker(script, "B").select("whole").run())  # then the number is that of what is removed now
    assert link_of(script)["a"] == Pick("by-random", random.lowest(2)).code
    three = opened(pages, THREE, a=link_of(script)["a"])
    assert link_of(three)["a"] == Pick("by-random", random.lowest(3)).code


def test_scenarios_of_this_model_are_offered_and_others_counted(pages: Pages) -> None:
    script = opened(pages)
    made = datetime.now(UTC)
    script.session_state["scenarios"] = [
        Scenario("Mine", "demo", "demo", "gradient", THREE, made=made),
        Scenario("Same as mine", "demo", "demo", "gradient", THREE, made=made),
        Scenario("Other", "digits", "digits", "gradient", TWO, made=made),
    ]
    fine(script.run())
    assert "1 scenario is of another model" in words(script)
    assert "Scenario: Same as mine = Scenario: Mine" in picker(script, "A").options
    fine(picker(script, "A").select(Pick("mask", THREE).code).run())
    assert link_of(script)["a"] == Pick("mask", THREE).code


def test_plans_are_offered_by_how_they_were_made(pages: Pages, demo: LoadedModel) -> None:
    script = opened(pages)
    predicted = Figures(69, 0, 6, 1, 1, 128)
    plan = Plan(
        THREE, None, "one-shot", "gradient", ("heads",), predicted, demo.fingerprint, "", 64, 0, 0.1, "2026-01-01",
        compensation="mean",
    )  # fmt: skip
    script.session_state["plans"] = {(demo.fingerprint, THREE): plan, ("another model", TWO): plan}
    fine(script.run())
    assert [one for one in picker(script, "A").options if one.startswith("Plan:")] == [
        "Plan: One shot by absolute gradient, 3 heads"
    ]
    fine(picker(script, "A").select(Pick("mask", THREE, "mean").code).run())
    assert "A: 3 heads removed · mean replacement" in words(script)


@pytest.mark.parametrize("code", ["mask.none.!", Pick("mask", Mask.parse_heads("9:9")).code])
def test_what_a_link_cannot_have_is_said(pages: Pages, code: str) -> None:
    script = opened(pages, a=code)
    assert any("A cannot be had" in warning.value for warning in script.warning)
    assert picker(script, "A").value == "whole"


def test_a_recovered_model_does_not_travel(pages: Pages) -> None:
    script = opened(pages, a=Pick("recovered", THREE).code)
    assert any("does not travel" in warning.value for warning in script.warning)
    assert "A: 3 heads removed" in words(script)


def test_measuring_can_be_stopped_and_asked_for_again(pages: Pages, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Worker, "_loop", lambda _: None)  # the queue stands still
    store.clear()
    script = opened(pages)
    press(script, "Cancel")
    assert "Measuring was stopped." in words(script)
    press(script, "Measure again")
    assert "Measuring was stopped." not in words(script)
    job = store().evaluator.latest((script.session_state["session_id"], "compare"))
    assert job is not None
    assert job.active
    job.cancel()


def test_other_data_is_measured_when_asked(pages: Pages) -> None:
    script = press(ended(opened(pages)), "Measure on Tweets and Amazon review sentences")
    script = ended(script, "compare elsewhere")
    charts = [json.loads(chart.proto.spec) for chart in script.get("plotly_chart")]
    assert "B against A is about the same" in charts[-1]["layout"]["title"]["text"]
    assert "Against home" in words(script)


# Tiny models -----------------------------------------------------------------------------------------------------


@pytest.fixture
def tiny(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoadedModel]:
    with served(model_of(request.param), examples_of(request.param, 24), monkeypatch) as model:
        yield model


def page_of(mask: Mask, **link: str) -> AppTest:
    script = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    script.query_params.update({"mask": mask.to_code(), **link})
    script.run()
    while store().request_model("demo").state == "loading":
        time.sleep(0.01)
    return fine(script.switch_page("pages/compare.py").run())


@pytest.mark.parametrize("tiny", ["gpt2-lm", "swin"], indirect=True)
def test_other_families_show_what_applies(tiny: LoadedModel) -> None:
    script = ended(page_of(Mask.parse_heads("0:0,1:1")))
    text, is_language_model = words(script), "LMHead" in type(tiny.module).__name__
    assert ("gives no single answer" in text) == is_language_model
    assert "Cost: not measured" in text
    assert headers(script)[-1] == "On other data"


@pytest.mark.parametrize("tiny", ["bert"], indirect=True)
def test_a_recovered_model_is_a_side(tiny: LoadedModel) -> None:
    mask = Mask.parse_heads("0:0,1:1")
    script = page_of(mask)
    session = script.session_state["session_id"]
    asked = Asked(mask, "none", "finetune", Training(epochs=1))
    job: Job = store().recoveries.train(session, tiny, "demo", asked)
    assert job.finished.wait(60)
    assert job.state == "done", job.error
    fine(script.run())
    fine(picker(script, "A").select("recovered").run())
    script = ended(script)
    assert "then trained" in words(script)
    assert "does not travel with a link" in words(script)
    assert "B against A" in words(script)
    fine(picker(script, "B").select("by-random").run())
    script = ended(script)
    assert "B against A, mean of 5 draws" in words(script)
    assert "A was trained and B was not" in words(script)
    assert "would be ahead of all" not in words(script)  # training has a merit of its own
