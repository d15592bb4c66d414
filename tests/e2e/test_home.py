"""The first page, the way from it to a pruned head, and masks under a name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from pruning.masks import Mask
from tests.e2e.driver import LOAD_MS, Dashboard
from tests.families import save

pytestmark = pytest.mark.e2e

Visit = Callable[..., Dashboard]
HEADS, OTHERS = "0:3,2:5", "2:5,4:1"


def test_two_clicks_from_the_first_page_to_a_pruned_head(visit: Visit) -> None:
    dashboard = visit("/?data=tweets")
    dashboard.sidebar.get_by_role("link", name="Prune").click()
    dashboard.removes("").click_cell("1:4").removes("1:4")


def test_hints_are_shown_once(visit: Visit) -> None:
    dashboard = visit("/?data=tweets").settled()
    page, hint = dashboard.page, dashboard.page.get_by_text("as far back as you like")
    expect(hint).to_be_visible()
    dashboard.press("Got it")
    expect(hint).to_be_hidden()
    page.reload()
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    dashboard.settled()
    expect(hint).to_be_hidden()


def test_home_shows_what_is_removed(visit: Visit) -> None:
    dashboard = visit(f"/?data=tweets&mask={Mask.parse_heads(HEADS).to_code()}")
    expect(dashboard.page.get_by_text("Removed 2 of 72 heads.")).to_be_visible(timeout=LOAD_MS)
    dashboard.until(dashboard.shown, Mask.parse_heads(HEADS).heads)


def test_a_mask_is_kept_under_a_name_opened_again_and_combined(visit: Visit) -> None:
    dashboard = visit(f"/prune?data=tweets&mask={Mask.parse_heads(HEADS).to_code()}").ready().removes(HEADS)
    page = dashboard.page
    dashboard.press("Scenarios")
    page.get_by_role("textbox", name="Name").fill("two heads")
    page.get_by_role("button", name="Keep this mask").click()
    expect(page.get_by_text("Kept as two heads.")).to_be_visible()
    page.keyboard.press("Escape")
    dashboard.press("Reset").removes("").click_cell("2:5").removes("2:5").click_cell("4:1").removes(OTHERS)
    for name, wanted in [("Union", f"{HEADS},4:1"), ("Intersection", "2:5"), ("Minus", "4:1"), ("Reopen", HEADS)]:
        dashboard.press("Scenarios")
        page.get_by_role("button", name=name, exact=True).click()
        page.keyboard.press("Escape")
        dashboard.removes(wanted)
        if name != "Reopen":
            dashboard.press("Undo").removes(OTHERS)
    page.keyboard.press("Control+Alt+z")
    dashboard.removes("")


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of 48 × 64 heads, each of two dimensions."""
    folder = tmp_path_factory.mktemp("large")
    sizes = {"hidden_size": 128, "num_attention_heads": 64, "num_hidden_layers": 48, "intermediate_size": 32}
    return save("bert", folder, **sizes)


def test_three_thousand_heads_are_edited_in_the_grid(visit: Visit, large: Path, small_reviews: Path) -> None:
    dashboard = visit(f"/prune?model={large}&data={small_reviews}")
    cell = dashboard.cell("47:63")
    expect(cell).to_be_visible(timeout=LOAD_MS)
    cell.click()
    expect(dashboard.page.get_by_text("Removed 1 of 3,072 heads")).to_be_visible()
    dashboard.until(lambda: dashboard.parameters.get("mask"), Mask.parse_heads("47:63").to_code())
    dashboard.press("Undo")
    expect(dashboard.page.get_by_text("Removed 0 of 3,072 heads")).to_be_visible()
    assert dashboard.page.evaluate("document.documentElement.scrollWidth") <= 1440
