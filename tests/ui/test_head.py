"""The Head page without a browser: its words, its charts, what is sent to the picture, and the page itself."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from pruning import LoadedModel
from pruning.importance.scoring import score
from pruning.looking import STATISTICS, AttentionMap, HeadPattern, Patterns, attention_map, measure_patterns
from pruning.looking.maps import patch_side
from pruning.masks import HeadId, Mask
from tests.families import examples_of, features_of, model_of, tokenizer_of
from tests.ui.conftest import ROOT, Pages, served
from tests.ui.test_pages import fine, press, words
from ui.head import charts, picture
from ui.head.picture import MOST_TOKENS, chosen_patch, picture_data
from ui.head.words import SHARES, finding, importance_row, nearest, neighbours, parse_head, rank_sentence
from ui.jobs import Job
from ui.store import Loading, Store, store

ROWS = 12


def pattern(**given: float) -> HeadPattern:
    """A head with these statistics, everything else 0.01, and a standard error of 0.01."""
    means = np.array([[given.get(name, 0.01) for name in STATISTICS]])
    found = Patterns((1,), means, np.full_like(means, 0.01), {}, 20).of(HeadId(0, 0))
    assert found is not None
    return found


# Words ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "head", "why"),
    [
        ("1.3", HeadId(1, 3), ""),
        ("1.4", HeadId(0, 0), "layer 1 has the heads 0 to 3"),
        ("2.0", HeadId(0, 0), "its layers are 0 to 1"),
        ("1", HeadId(0, 0), "named like 3.7"),
        ("-1.2", HeadId(0, 0), "named like 3.7"),
        ("²." + "1" * 400, HeadId(0, 0), "named like 3.7"),
    ],
)
def test_a_link_names_a_head_or_says_why_not(text: str, head: HeadId, why: str) -> None:
    found, problem = parse_head(text, (6, 4))
    assert found == head
    assert why in problem
    assert bool(why) == bool(problem)


def test_the_title_is_the_finding() -> None:
    assert finding(pattern(**{"-1": 0.624}), "text") == "Mostly looks at the previous token (62%)"
    assert finding(pattern(first=0.5), "crossed") == "Mostly looks at the first token (50%)"
    assert finding(pattern(broad=0.7, effective=18.2), "text").startswith("Looks broadly: at 18 tokens at a time, 70%")
    assert finding(pattern(**{"+1": 0.3}), "image").startswith("No single habit: most on the patch after (30%)")
    assert all(names.keys() == pattern().shares.keys() for names in SHARES.values())


def test_the_nearest_heads_come_first_and_the_head_itself_never() -> None:
    found = nearest([[0.0, 0.3], [float("nan"), 0.1]], HeadId(0, 0), 5)
    assert found == [(HeadId(1, 1), 0.1), (HeadId(0, 1), 0.3)]


def test_heads_have_neighbours_through_all_layers() -> None:
    anatomy = model_of("swin").anatomy
    assert neighbours(anatomy, HeadId(0, 1)) == (HeadId(0, 0), HeadId(1, 0))
    assert neighbours(anatomy, HeadId(0, 0))[0] is None
    assert neighbours(anatomy, HeadId(1, 3))[1] is None


def test_a_criterion_gives_value_rank_and_interval() -> None:
    found = score(model_of("bert"), "gradient", examples_of("bert", 6))
    least, most = found.ranked()[0], found.ranked()[-1]
    row = importance_row(found, HeadId(*most))
    assert row["rank from the least"] == 8
    assert float(str(row["low"])) <= float(str(row["importance"])) <= float(str(row["high"]))
    assert rank_sentence(found, HeadId(*least)) == "1st of 8 from the least important, by Absolute gradient"
    assert importance_row(score(model_of("bert"), "magnitude", None), HeadId(0, 0))["low"] is None


# Charts and the picture -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_charts_hold_every_share_with_its_interval(theme: str) -> None:
    one = pattern(**{"-1": 0.62, "further back": 0.2})
    bars = json.loads(charts.share_bars(one, "text", "title", theme).to_json())["data"][0]  # type: ignore[arg-type]
    assert bars["x"] == pytest.approx([62, 1, 1, 1, 1])
    assert bars["error_x"]["array"] == pytest.approx([1.96] * 5, abs=0.01)
    assert len(set(bars["marker"]["color"])) == 2
    profile = json.loads(charts.profile_bars(one, theme).to_json())["data"][0]  # type: ignore[arg-type]
    assert len(profile["y"]) == 19
    assert profile["y"][:2] == pytest.approx([20, 1])
    assert "looks back" in charts.profile_finding(one)
    table = charts.pattern_table(one, "text")
    assert len(table) == 5 + 2 + 19 + 2
    assert table.set_index("what").loc["previous token", "value"] == pytest.approx(62)


def test_what_goes_to_the_picture() -> None:
    found = attention_map(model_of("gpt2-lm"), features_of("gpt2-lm", 0, 6), 1)
    data = picture_data(found, 2, 0, "Layer 1, head 2")
    assert np.abs(np.array(data["weights"]) / 1e4 - found.weights[2]).max() <= 5e-5
    assert data["hidden"][0] == [0, 1, 1, 1, 1, 1]
    assert data["grid"] is None
    assert data["file"] == "layer-1-head-2"
    json.dumps(data)


def test_a_long_text_is_cut_and_an_image_is_not() -> None:
    long = attention_map(model_of("bert"), features_of("bert", 0, 90), 0)
    data = picture_data(long, 0, 0, "one")
    assert np.shape(data["weights"]) == (MOST_TOKENS, MOST_TOKENS)
    assert len(data["queries"]) == len(data["keys"]) == MOST_TOKENS
    seen = attention_map(model_of("vit"), features_of("vit", 0, 0), 0)
    data = picture_data(seen, 0, 0, "one", np.zeros((32, 32, 3), np.uint8))
    assert data["grid"] == [4, 4]
    assert data["image"].startswith("data:image/png;base64,")
    assert data["hidden"] is None


def windowed_map(row: int = 0) -> AttentionMap:
    """The first layer of a Swin on 8 × 8 patches in four windows."""
    return attention_map(model_of("swin"), features_of("swin", row, 0), 0)


def test_outside_its_window_a_patch_gets_nothing() -> None:
    found = windowed_map()
    data = picture_data(found, 1, 0, "one", np.zeros((32, 32, 3), np.uint8))
    assert np.abs(np.array(data["weights"]) / 1e4 - found.matrix(1)).max() <= 5e-5
    windows = np.array(data["windows"]).reshape(8, 8)
    assert windows[:4, :4].tolist() == [[0] * 4] * 4
    assert sorted(set(windows.ravel().tolist())) == [0, 4, 32, 36]
    apart = windows.ravel()[:, None] != windows.ravel()
    assert (np.array(data["weights"])[apart] == 0).all()
    assert data["beyond"] is None


def test_of_a_large_image_one_row_is_sent() -> None:
    """A thousand patches and a few more: kilobytes, whatever a full matrix would be."""
    rng = np.random.default_rng(0)
    weights = rng.dirichlet(np.ones(1025), (2, 1025)).astype(np.float32)
    found = AttentionMap(0, (weights,), patch_side(1025, (32, 32)), patch_side(1025, (32, 32)))
    data = picture_data(found, 1, 0, "one", np.zeros((32, 32, 3), np.uint8), 700)
    assert data["weights"] is None
    assert data["chosen"] == 700
    row = np.zeros(1025)
    for key, share in data["row"]:
        row[key] = share / 1e4
    np.testing.assert_allclose(row, weights[1, 700], atol=1e-6)
    assert len(json.dumps(data)) < 100_000
    assert chosen_patch(found.queries) == 0
    assert chosen_patch(patch_side(1024, (32, 32))) == 16 * 32 + 16


def test_a_row_within_windows_says_what_is_padding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture, "MOST_PATCHES", 10)
    small = {"pixel_values": features_of("swin", 0, 0)["pixel_values"][:, :28, :28]}  # 7 × 7 patches
    found = attention_map(model_of("swin"), small, 0)
    data = picture_data(found, 0, 0, "one", np.zeros((28, 28, 3), np.uint8), 48)
    assert data["window"] == [row * 7 + column for row in (4, 5, 6) for column in (4, 5, 6)]
    assert {key for key, _ in data["row"]} == set(data["window"])
    assert data["beyond"] + sum(share for _, share in data["row"]) == pytest.approx(1e4, abs=0.2)
    assert data["beyond"] > 100


# The page ---------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["bert"])
def tiny(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoadedModel]:
    bare = model_of(request.param)
    model = LoadedModel(bare.spec, bare.module, tokenizer_of(request.param), bare.fingerprint)
    model.__dict__["anatomy"] = bare.anatomy
    with served(model, examples_of(request.param, ROWS), monkeypatch):
        yield model


def opened(**parameters: str) -> AppTest:
    script = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    script.query_params.update(parameters)
    script.session_state["head_text"] = "w1 w2 w3"
    script.run()
    while store().request_model("demo").state == "loading":
        time.sleep(0.01)
    return fine(script.switch_page("pages/head.py").run())


def finished(script: AppTest) -> AppTest:
    """Wait for everything that the page has begun, and draw what came of it."""
    looks, session = store().looks, script.session_state["session_id"]
    for worker, kind in ((looks.worker, "patterns"), (looks.worker, "alike"), (looks.evaluator, "without")):
        job = worker.latest((session, f"head {kind}"))
        assert isinstance(job, Job), kind
        assert job.finished.wait(60)
    return fine(script.run())


def name(script: AppTest) -> str:
    return script.header[0].value


def test_the_page_waits_for_the_model(pages: Pages) -> None:
    script = fine(pages.open("head", head="3.7"))
    assert script.title[0].value == "Head"
    assert "Head 3.7 appears here" in script.info[0].value
    pages.load()
    fine(script.run())
    assert name(script) == "Layer 3, head 7"
    assert "by Absolute gradient" in words(script)


@pytest.mark.usefixtures("tiny")
def test_everything_about_a_head_arrives() -> None:
    script = finished(opened(head="1.2"))
    assert [one.value for one in script.header] == [
        "Layer 1, head 2", "On one input", "On average", "Importance", "Heads that attend most alike",
        "What the task loses without it",
    ]  # fmt: skip
    assert "One of 8 heads · **kept**" in words(script)
    assert len(script.get("plotly_chart")) == 2
    assert "Accuracy" in words(script)
    assert "without:" in words(script)
    (similar, *_), others = [b for b in script.button if "alike" in str(b.key)], [b.key for b in script.button]
    assert sum("alike" in str(key) for key in others) == 5
    fine(similar.click().run())
    assert name(script) == similar.label


@pytest.mark.usefixtures("tiny")
def test_a_link_that_does_not_fit_says_why_and_shows_the_first() -> None:
    script = opened(head="9.1")
    assert name(script) == "Layer 0, head 0"
    assert (
        "there is no head 9.1 in this model: its layers are 0 to 1. This is Layer 0, head 0." in script.warning[0].value
    )
    press(script, "Next")
    assert not script.warning
    assert script.query_params["head"] == "0.1"


@pytest.mark.usefixtures("tiny")
def test_steps_go_through_all_layers_and_stop_at_the_ends() -> None:
    script = opened(head="0.3")
    press(script, "Next")
    assert name(script) == "Layer 1, head 0"
    press(script, "Previous")
    assert name(script) == "Layer 0, head 3"
    fine(next(b for b in script.selectbox if b.label == "Layer").set_value(1).run())
    fine(next(b for b in script.selectbox if b.label == "Head").set_value(2).run())
    assert script.query_params["head"] == "1.2"
    fine(next(b for b in script.selectbox if b.label == "Head").set_value(3).run())
    assert next(b for b in script.button if b.label == "Next").disabled


@pytest.mark.usefixtures("tiny")
def test_the_head_can_be_removed_and_undo_brings_it_back() -> None:
    script = opened(head="0.1")
    press(script, "Remove")
    assert script.session_state["session"].mask == Mask.parse_heads("0:1")
    assert "**removed**" in words(script)
    press(script, "Undo")
    assert not script.session_state["session"].mask
    press(script, "Remove")
    press(script, "Restore")
    assert not script.session_state["session"].mask


@pytest.mark.usefixtures("tiny")
def test_a_removed_layer_is_restored_elsewhere() -> None:
    script = opened(mask=Mask(layers=frozenset({0})).to_code())
    button = next(b for b in script.button if b.label == "Restore")
    assert button.disabled
    assert "restore the layer on Prune" in button.help


@pytest.mark.usefixtures("tiny")
def test_an_empty_sentence_asks_for_one() -> None:
    script = opened()
    fine(script.text_input[0].set_value(" ").run())
    assert any("Type a sentence first" in one.value for one in script.info)


@pytest.mark.usefixtures("tiny")
def test_a_row_of_the_data_can_be_looked_at() -> None:
    script = opened()
    script.session_state["head_source"] = "A row of the data"
    fine(script.run())
    job = store().looks.worker.latest((script.session_state["session_id"], "head rows"))
    assert job is None or job.finished.wait(60)
    fine(script.run())
    assert any(box.label == "Row" for box in script.selectbox)
    assert "text 0" in next(box for box in script.selectbox if box.label == "Row").options[0]


@pytest.mark.usefixtures("tiny")
def test_a_criterion_can_be_scored_here() -> None:
    script = opened()
    fine(next(b for b in script.selectbox if b.label == "Criterion").set_value("magnitude").run())
    press(script, "Score")
    job = store().scorer.latest((script.session_state["session_id"], "head score"))
    assert job is not None
    assert job.finished.wait(60)
    fine(script.run())
    table = next(frame.value for frame in script.dataframe if "criterion" in frame.value)
    assert "Weight magnitude" in list(table["criterion"])
    assert "magnitude" not in next(b for b in script.selectbox if b.label == "Criterion").options


@pytest.mark.usefixtures("tiny")
def test_work_can_be_stopped_and_taken_up_again(monkeypatch: pytest.MonkeyPatch) -> None:
    from ui.head.looks import Looks

    ended = Looks.measure_patterns

    def slow(looks: Looks, session: str, model: LoadedModel, data: str) -> Job:
        def work(job: Job) -> None:
            while True:
                job.report(0, 1, "Watching all heads")
                time.sleep(0.005)

        return looks.worker.submit(Job((session, "head patterns"), ("slow",), work))

    monkeypatch.setattr(Looks, "measure_patterns", slow)
    script = opened()
    fine(next(b for b in script.button if b.key == "cancel head patterns").click().run())
    assert "Stopped before there was a result." in words(script)
    monkeypatch.setattr(Looks, "measure_patterns", ended)
    press(script, "Go on")
    finished(script)
    assert len(script.get("plotly_chart")) == 2


@pytest.mark.parametrize("tiny", ["deberta-v2", "bloom-lm", "vit", "swin"], indirect=True)
def test_other_families(tiny: LoadedModel) -> None:
    sees = "vision" in tiny.anatomy.sites[0].kind
    script = finished(opened(data="digits" if sees else "demo"))
    assert not script.info
    assert len(script.get("plotly_chart")) == 2
    if sees:
        assert next(box for box in script.selectbox if box.label == "Image").options[0].startswith("Image 1, labelled")
        assert not script.text_input
    assert ("windows of 16 patches" in words(script)) == (tiny.module.config.model_type == "swin")


def test_a_model_that_fails_leaves_nothing_to_look_into(tiny: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Store, loading: Loading) -> None:
        loading.error, loading.state = "demo cannot be used", "failed"

    monkeypatch.setattr(Store, "_load", fail)
    store.clear()
    assert [info.value for info in opened().info] == ["There is no model to look into. Pick one in the sidebar."]


def test_explore_leads_here(pages: Pages) -> None:
    pages.load()
    script = fine(pages.open("explore"))
    picker = next(box for box in script.selectbox if box.label == "Look into a head")
    assert picker.options[0] == "Layer 3, head 9"  # the most important one
    press(script, "Open this head")
    assert script.title[0].value == "Head"
    assert name(script) == "Layer 3, head 9"


def test_patterns_are_those_of_the_engine(tiny: LoadedModel) -> None:
    finished(opened())
    kept = store().looks.patterns(tiny, "demo")
    assert kept is not None
    np.testing.assert_allclose(kept.means, measure_patterns(tiny, examples_of("bert", ROWS)).means)
