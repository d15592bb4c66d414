"""Other models and data: what cannot be used is one sentence, and what worked before stays."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, expect

from pruning.data import is_source
from tests.e2e.driver import LOAD_MS, MEASURE_MS, Dashboard, Server

pytestmark = pytest.mark.e2e

Visit = Callable[..., Dashboard]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders that are no model."""
    empty, bare = tmp_path_factory.mktemp("empty"), tmp_path_factory.mktemp("bare")
    (bare / "config.json").write_text('{"model_type": "bert", "architectures": ["BertForSequenceClassification"]}')
    (bare / "pytorch_model.bin").write_bytes(b"not opened")
    return {"empty": empty, "without safetensors": bare}


ODD = ["no/such-model", "empty", "without safetensors", "two words", "x" * 3000, "../../etc/passwd", "💥/🤖", "/"]


@pytest.fixture(scope="module")
def steady(browser: Browser, server: Server) -> Iterator[Dashboard]:
    """One session for all odd wishes: after each of them it must be as it was before."""
    with browser.new_context() as context:
        yield Dashboard(context.new_page(), server.url).open("/explore?data=tweets").ready()


def refused(dashboard: Dashboard, problem: Locator) -> None:
    """The wish is answered by a sentence or two, and what worked before is still there."""
    expect(problem).to_be_visible(timeout=LOAD_MS)
    text = problem.inner_text().strip()
    assert re.fullmatch(r"[^\n]{10,500}[.]", text), text
    assert "Traceback" not in text
    expect(dashboard.sidebar.get_by_text("Ready · 72 heads")).to_be_visible()
    expect(dashboard.box("Model")).to_have_value("MiniLM, movie-review sentiment")
    expect(dashboard.box("Data")).to_have_value("Tweets (out of domain)")
    assert dashboard.parameters == {"data": "tweets"}
    assert dashboard.page.get_by_test_id("stException").count() == 0
    dashboard.press("Dismiss")
    expect(problem).to_be_hidden()
    expect(dashboard.sidebar.get_by_test_id("stAlert")).to_be_hidden()


@pytest.mark.parametrize("name", ODD, ids=lambda name: name[:20])
def test_an_odd_model_is_answered_in_a_sentence_and_the_old_one_stays(
    steady: Dashboard, folders: dict[str, Path], name: str
) -> None:
    """The sidebar, where the name was typed, says that; the page says why, since a telephone shows one of the two."""
    steady.enter("Model", str(folders.get(name, name)))
    said = steady.sidebar.get_by_test_id("stAlert")
    expect(said).to_contain_text("could not be loaded. The reason is at the top of the page.", timeout=LOAD_MS)
    why = steady.page.get_by_test_id("stMain").get_by_test_id("stAlert").filter(has_text="The reason: ")
    refused(steady, why)


@pytest.mark.parametrize("name", ["no/such-data", "/no/such file.csv", "two words"])
def test_odd_data_is_one_sentence_and_the_old_stays(steady: Dashboard, name: str) -> None:
    refused(steady.enter("Data", name), steady.sidebar.get_by_test_id("stAlert"))


def test_ones_own_folder_and_file(visit: Visit, bert_folder: Path, small_reviews: Path) -> None:
    dashboard = visit("/prune").ready()
    dashboard.enter("Model", str(bert_folder))
    expect(dashboard.sidebar.get_by_text("Ready · 8 heads in 2 attention layers")).to_be_visible(timeout=LOAD_MS)
    dashboard.enter("Data", str(small_reviews))
    expect(dashboard.box("Data")).to_have_value(small_reviews.name, timeout=LOAD_MS)
    dashboard.until(lambda: dashboard.parameters.get("model"), str(bert_folder))
    dashboard.until(lambda: is_source(dashboard.parameters.get("data", "")), True)  # it is divided
    dashboard.figure.wait_for(timeout=MEASURE_MS)  # scored by now
    dashboard.removes("", total=8).click_cell("1:2").removes("1:2", total=8)
    dashboard.measured("Measured on all 12 examples")
    assert dashboard.rows()[""][:2] == ["Unpruned, n = 12", "Pruned, n = 12"]
    dashboard.page.get_by_role("link", name="Explore").click()
    expect(dashboard.page.get_by_text("n = 12 calibration rows")).to_be_visible()
