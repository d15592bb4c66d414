"""The pickers: a built-in model comes with data that fits it, and one that is not installed says so."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from pruning import LoadedModel
from pruning.builtin import BUILT_IN
from pruning.data import BUILT_IN_DATA
from ui import details, state
from ui.store import Loading, Store, calibration_data, store


def page() -> None:
    """The sidebar alone: nothing is measured."""
    from ui.sidebar import sidebar

    sidebar()


def sentence_page() -> None:
    from ui.sentence import sentence_box

    sentence_box()


@pytest.fixture
def app(demo: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> Iterator[AppTest]:
    """The sidebar over a store of its own, in which all models but the demo really load."""
    load = Store._load

    def load_others(this: Store, loading: Loading) -> None:
        if loading.name == "demo":
            loading.model, loading.state = demo, "ready"
        else:
            load(this, loading)

    monkeypatch.setattr(Store, "_load", load_others)
    store.clear()
    yield AppTest.from_function(page, default_timeout=60)
    store.clear()


def box(app: AppTest, label: str) -> Any:
    return next(box for box in app.selectbox if box.label == label)


def until(app: AppTest, done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    app.run()


def test_a_link_to_a_built_in_model_brings_its_data(app: AppTest) -> None:
    app.query_params["model"] = "digits"
    app.run()
    until(app, lambda: store().request_model("digits").state != "loading")
    assert not app.exception
    assert (box(app, "Model").value, box(app, "Data").value) == ("digits", "digits")
    assert box(app, "Data").options == [BUILT_IN_DATA["digits"].label]
    assert app.caption[0].value == "Ready · 24 heads in 4 attention layers"


def test_what_is_not_installed_says_so_and_the_demo_is_there_instead(
    app: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(BUILT_IN, "smollm2", replace(BUILT_IN["smollm2"], needs=("no_such_reader",)))
    app.query_params["model"] = "smollm2"
    app.run()
    until(app, lambda: store().request_model("smollm2").state == "failed")
    until(app, lambda: store().request_model("demo").state == "ready")
    assert "SmolLM2-135M, language model (not installed)" in box(app, "Model").options
    assert box(app, "Model").value == "demo"
    assert str(app.session_state["model_problem"]).startswith("smollm2 is not installed: install it with: make smollm2")
    (error,) = app.error
    assert error.value == "The model smollm2 could not be loaded. The reason is at the top of the page."


@pytest.mark.usefixtures("app")
@pytest.mark.parametrize(("name", "boxes"), [("demo", 1), ("digits", 0)])
def test_a_model_of_images_is_given_no_sentence(name: str, boxes: int) -> None:
    script = AppTest.from_function(sentence_page, default_timeout=60)
    script.query_params["model"] = name
    script.run()
    assert (len(script.text_input), len(script.header)) == (boxes, boxes)
    until(script, lambda: store().request_model(name).state == "ready")
    assert not script.exception
    assert (len(script.text_input), len(script.header)) == (boxes, boxes)


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_link_needs_no_data_that_the_model_brings(name: str) -> None:
    session = state.Session(name, BUILT_IN[name].data)
    assert state.url_parameters(session) == ({} if name == "demo" else {"model": name})


def test_data_stays_unless_it_is_of_another_kind() -> None:
    assert state.fits("tweets", "language-modeling")
    assert state.fits("rows.csv", "image-classification")
    assert not state.fits("tweets", "image-classification")
    assert not state.fits("digits", "text-classification")
    assert state.fits("digits", None), "nothing is known of a model before it is there"


def test_each_built_in_set_is_calibrated_where_it_says() -> None:
    found = {name: calibration_data(name) for name in BUILT_IN_DATA}
    assert found == {"demo": "demo", "tweets": "demo", "amazon": "demo", "digits": "digits"}
    assert calibration_data("rows.csv") == "rows.csv"


def test_an_image_is_drawn_and_a_text_is_not_taken_for_html() -> None:
    assert details._example("a < b") == "a &lt; b"
    drawn = details._example("data:image/png;base64,AA'onerror='x")
    assert drawn.startswith("<img src='data:image/png;base64,AA&#x27;onerror=&#x27;x' ")
