"""The history in a browser: it is this browser's own, it outlives the server, and it can be worked with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from pruning.masks import Mask
from tests.e2e.driver import Dashboard, Server

pytestmark = pytest.mark.e2e

Visit = Callable[..., Dashboard]
ROW, BOX = 35, 16  # pixels: a row of the table, and where its box is
MASK = "0:1,1:0"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Of a server with a history of its own: a second one with the same log has the same history."""
    return tmp_path / "log.txt"


def tick(page: Page, row: int) -> None:
    """Select a row of the table, which is a canvas."""
    table = page.get_by_test_id("stDataFrame").first
    table.scroll_into_view_if_needed()
    page.wait_for_timeout(500)  # drawn
    box = table.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + BOX, box["y"] + ROW * (row + 1) + ROW / 2)


def test_a_browser_finds_its_own_after_a_restart(
    visit: Visit, bert_folder: Path, small_reviews: Path, log: Path
) -> None:
    first = Server(log)
    try:
        code = Mask.parse_heads(MASK).to_code()
        path = f"/prune?model={bert_folder}&data={small_reviews}&mask={code}"
        dashboard = visit(path, at=first).ready().measured("Measured on all 12 examples")
        context = dashboard.page.context
        (cookie,) = [one for one in context.cookies() if one["name"] == "headroom_browser"]
        assert cookie["sameSite"] == "Strict"
        stranger = visit("/history", at=first)
        expect(stranger.page.get_by_text("Nothing has been recorded yet")).to_be_visible()
    finally:
        first.stop()

    second = Server(log)
    try:
        page = context.new_page()
        dashboard = Dashboard(page, second.url).open("/history")
        expect(page.get_by_text("1 to 1 of 1 records")).to_be_visible()
        dashboard.settled().figure.wait_for()
        tick(page, 0)
        expect(page.get_by_role("heading", name="Evaluation of")).to_be_visible()
        assert Axe().run(dashboard.settled().page).response["violations"] == []

        dashboard.press("Rename")
        page.get_by_role("textbox", name="Name").fill("half of it")
        page.get_by_role("textbox", name="Name").press("Enter")
        expect(page.get_by_role("heading", name="half of it")).to_be_visible()
        dashboard.press("Delete").settled()
        expect(page.get_by_text("Deleted: half of it.")).to_be_visible()
        expect(page.get_by_text("Nothing has been recorded yet")).to_be_visible()
        dashboard.press("Undo")
        expect(page.get_by_role("heading", name="half of it")).to_be_visible()

        dashboard.press("Reopen in Prune").ready()
        expect(page.get_by_role("heading", name="Prune", level=1)).to_be_visible()
        dashboard.until(lambda: dashboard.parameters.get("mask", ""), code)
        assert dashboard.parameters["model"] == str(bert_folder)
    finally:
        second.stop()


def test_storage_tells_where_cookies_are_gone(visit: Visit) -> None:
    """Its records appear although the first run could not know the browser."""
    page = visit("/history").settled().page
    page.wait_for_function("localStorage.getItem('headroom_browser')")
    kept = page.evaluate("localStorage.getItem('headroom_browser')")
    page.context.clear_cookies()
    page.reload()
    page.wait_for_function("document.cookie.includes('headroom_browser')")
    assert f"headroom_browser={kept}" in page.evaluate("document.cookie")
