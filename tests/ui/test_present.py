"""The presentation without a browser: the choice, the jobs behind it, what each step says, and the file."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from pruning import LoadedModel
from pruning.language import speaking
from pruning.masks import Mask
from pruning.presenting.figures import Fact, Pair, figures
from pruning.presenting.keeping import measured_key
from pruning.presenting.prices import PriceError, Prices
from tests.families import examples_of, model_of, tokenizer_of
from tests.ui.conftest import ROOT, served
from tests.ui.test_pages import fine, link_of
from ui.export.subject import Decision
from ui.present.charts import bars_of, before_after, room_for_text
from ui.present.choice import COMPENSATION, PERCENTS, Choice, Kind, nearest
from ui.present.handout import Handout, handout
from ui.present.stage import STEPS, Scene, stage_html
from ui.present.words import change, sentences, split, table, write
from ui.store import store

NUMBER = re.compile(r"\d[\d,.]*\d|\d")
MASK = Mask.parse_heads("0:1,1:2")


@pytest.fixture(params=["bert"])
def model(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoadedModel]:
    bare = model_of(request.param)
    model = LoadedModel(bare.spec, bare.module, tokenizer_of(request.param), bare.fingerprint)
    model.__dict__["anatomy"] = bare.anatomy
    monkeypatch.setattr("pruning.presenting.measuring.RUNS", 12)
    with served(model, examples_of(request.param, 12), monkeypatch):
        yield model


def opened(**parameters: str) -> AppTest:
    script = AppTest.from_file(str(ROOT / "app.py"), default_timeout=120)
    script.query_params.update(parameters)
    script.run()
    while store().request_model("demo").state == "loading":
        time.sleep(0.01)
    return fine(script.switch_page("pages/present.py").run())


def finished(script: AppTest) -> AppTest:
    """Wait for the measurement that the page has begun, and draw what came of it."""
    job = store().presentations.job(script.session_state["session_id"])
    assert job is not None
    assert job.finished.wait(120)
    assert job.error is None
    return fine(script.run())


def stage(script: AppTest) -> str:
    return " ".join(html.proto.body for html in script.get("html") if 'class="present"' in html.proto.body)


def test_a_choice_is_measured_by_itself_and_every_number_of_its_story_is_in_the_table(model: LoadedModel) -> None:
    script = finished(opened(share="mask", mask=MASK.to_code(), step="7"))
    told = stage(script)
    assert "2 of 8 attention heads are removed." in told
    assert "Really cut, the model has" in told
    (shown,) = [frame.value for frame in script.dataframe]
    cells = set(NUMBER.findall(" ".join(shown.astype(str).to_numpy().ravel())))
    lines = re.findall(r"<li>(.*?)</li>", told)
    assert 3 <= len(lines) <= 6
    assert all(number in cells for line in lines for number in NUMBER.findall(line))
    assert script.get("plotly_chart")


def test_the_steps_say_what_was_measured_and_another_session_has_it_at_once(model: LoadedModel) -> None:
    finished(opened(share="mask", mask=MASK.to_code()))
    for step in ("2", "3", "4"):
        script = opened(share="mask", mask=MASK.to_code(), step=step)
        assert store().presentations.job(script.session_state["session_id"]) is None  # nothing had to be measured
        assert "class='number'" in stage(script)
        assert "not measured" not in stage(script).lower()
    found = store().presentations.found(model, "demo", MASK, "none", 128)
    assert found is not None
    assert found.complete
    assert found.timing is not None
    assert found.timing.runs >= 12


@pytest.fixture
def on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("ui.measuring.RESULTS_MB", 4)


def test_a_second_start_searches_fits_and_times_nothing_again(
    on_disk: None, model: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def whole() -> tuple[object, ...]:
        script = finished(opened(data="demo"))
        steps = store().presentations.steps(model, "demo", Choice())
        mask = store().presentations.mask(model, "demo", Choice(), Mask())
        found = store().presentations.found(model, "demo", mask, COMPENSATION, 128)
        assert found is not None
        assert found.complete
        assert found.change is not None
        told = found.mask, found.removed, found.compensation, found.whole, found.cut, found.timing
        return *told, found.change.differences, steps, stage(script)

    first = whole()
    store.clear()
    names = (
        "findings.searched", "recovery.reconstruction.reconstruct", "surgery.prune", "evaluation.evaluate_in_steps",
        "presenting.measuring.measure_size", "presenting.measuring.time_in_turns",
    )  # fmt: skip
    for name in names:
        monkeypatch.setattr(f"pruning.{name}", lambda *_, **__: pytest.fail("this was known already"))
    assert whole() == first


def test_another_length_or_replacement_is_not_what_is_on_disk(model: LoadedModel) -> None:
    keys = [
        measured_key(model, *asked)
        for asked in (
            ("rows", MASK, "mean", 128), ("rows", MASK, "mean", 16), ("rows", MASK, "reconstruct", 128),
            ("other rows", MASK, "mean", 128), ("rows", Mask(), "mean", 128),
        )
    ]  # fmt: skip
    keys.append(measured_key(model_of("roberta"), "rows", MASK, "mean", 128))
    assert len(set(keys)) == len(keys)


def test_the_default_step_is_planned_and_the_slider_moves_the_link(model: LoadedModel) -> None:
    script = finished(opened(data="demo", step="2"))
    choice = Choice()
    steps = store().presentations.steps(model, "demo", choice)
    assert steps is not None
    assert [len(mask.heads) for mask in steps.values()] == sorted({len(mask.heads) for mask in steps.values()})
    (slider,) = script.select_slider
    percent = list(steps)[1]
    slider.set_value(percent).run()
    fine(script)
    assert link_of(script)["share"] == f"heads.{percent}"
    finished(script)


def test_a_price_goes_into_the_link_and_changes_only_what_follows_from_it(model: LoadedModel) -> None:
    script = finished(opened(share="mask", mask=MASK.to_code(), step="3"))
    (hour,) = [box for box in script.number_input if box.label == "Price of an hour"]
    hour.set_value(2.0).run()
    fine(script)
    assert link_of(script)["prices"] == Prices(hour=2.0).to_code()
    found = store().presentations.found(model, "demo", MASK, "none", 128)
    assert found is not None
    cheap, dear = (figures(found, Prices(hour=hour)).pairs for hour in (0.2, 2.0))
    assert dear["cost"].after.value == pytest.approx(10 * cheap["cost"].after.value)
    assert dear["energy"] == cheap["energy"]
    assert dear["latency"] == cheap["latency"]


@pytest.mark.parametrize("parameters", [{"share": "heads.45"}, {"share": "x"}, {"prices": "1_XXX"}, {"step": "99"}])
def test_a_link_that_fits_nothing_shows_the_default(model: LoadedModel, parameters: dict[str, str]) -> None:
    script = opened(**parameters)
    assert script.header[0].value == "The question"


@pytest.mark.parametrize("code", ["heads.45", "macs", "layers.40", "", "heads.-10"])
def test_only_choices_that_exist_are_read(code: str) -> None:
    with pytest.raises(PriceError):
        Choice.from_code(code)


@pytest.mark.parametrize("kind", ["heads", "macs"])
def test_a_link_brings_a_choice_back(kind: Kind) -> None:
    assert all(Choice.from_code(Choice(kind, percent).to_code()) == Choice(kind, percent) for percent in PERCENTS)


def test_the_nearest_step_never_removes_more() -> None:
    assert [nearest(40, (0, 30, 50)), nearest(20, (0, 30)), nearest(90, (0, 90))] == [30, 0, 90]


# Words, picture and file -------------------------------------------------------------------------------------------


def pair(name: str, before: float, after: float, verdict: str) -> Pair:
    sides = Fact("a", before, "bytes", "counted"), Fact("b", after, "bytes", "counted")
    return Pair(name, *sides, verdict, Fact("c", before / after, "times", "counted"))  # type: ignore[arg-type]


def test_bars_are_to_scale_and_words_follow_the_verdict() -> None:
    smaller, unclear = pair("disk", 4e6, 1e6, "better"), pair("cost", 4e6, 3.9e6, "unclear")
    bar, _ = bars_of([smaller, unclear])
    assert (bar.before, bar.after, bar.change) == (100, 25, "4.00× smaller")
    assert change(unclear) == "no measurable change"
    assert change(pair("disk", 1e6, 2e6, "worse")) == "2.00× as large"
    figure = before_after([smaller, unclear], theme="dark")
    assert [list(trace.x) for trace in figure.data] == [[100], [25], [100], [97.5]]


def test_a_number_and_its_unit_come_apart_in_both_languages() -> None:
    for language in ("en", "zh"):
        with speaking(language):
            number, unit = split(Fact("x", 20_941_312, "parameters", "counted"))
            assert number == "20.9"
            assert unit.startswith("M")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_file_tells_the_same_and_asks_nobody(model: LoadedModel, language: str) -> None:
    finished(opened(share="mask", mask=MASK.to_code()))
    found = store().presentations.found(model, "demo", MASK, "none", 128)
    assert found is not None
    scene = Scene(Choice("mask", 0), "<b>Model</b>", "Data", "", Prices(carbon=400), found)
    with speaking(language):
        page = handout(Handout(scene, model, Decision("demo", "demo", MASK), "http://x/present"))
        for line in sentences(found, scene.prices):
            assert line in page
        for row in table(figures(found, scene.prices)):
            assert row["after"] in page
    assert "<script" not in page
    assert "<b>Model" not in page
    assert not re.search(r"(src|href)=['\"]?https?:", page)
    assert "--heads 0:1,1:2" in page
    assert write(figures(found, scene.prices).others["carbon factor"]) == "400"


def test_the_first_number_answers_what_was_asked() -> None:
    """Compute where compute goes, and perplexity for what writes text, before they are measured, too."""
    scene = Scene(Choice("macs", 30), "Model", "Data", "language-modeling", Prices())
    assert "Compute for a request" in stage_html("size", scene)
    assert "Perplexity" in stage_html("quality", scene)
    assert "Parameters" in stage_html("size", Scene(Choice(), "Model", "Data", "", Prices()))


def test_what_stands_beside_a_bar_has_room() -> None:
    """A long change needs more of the picture than a short one, and a bar stays."""
    short, long = (bars_of([pair("disk", 4e6, 1e6, verdict)]) for verdict in ("better", "unclear"))
    assert 110 <= room_for_text(short, 18) < room_for_text(long, 18) < 250


def test_measuring_every_step_begins_with_the_one_on_the_screen_and_says_when_it_is_done(model: LoadedModel) -> None:
    script = finished(opened(data="demo", share="heads.50"))
    every = next(button for button in script.button if button.label == "Measure every step")
    fine(every.click().run())
    script = finished(script)
    (done,) = [button for button in script.button if button.key == "present_every"]
    assert (done.label, done.disabled) == ("Every step is measured", True)


@pytest.mark.parametrize("step", STEPS)
def test_a_step_without_measurements_says_so(step: str) -> None:
    scene = Scene(Choice(), "Model", "Data", "", Prices(), None, "Being measured …")
    assert "Being measured" in stage_html(step, scene) or step == "try"
