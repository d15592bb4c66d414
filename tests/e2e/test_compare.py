"""Two masks side by side in a browser: measured, swapped with the keyboard, opened again from the link."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from pruning.masks import Mask
from tests.e2e.driver import MEASURE_MS, Dashboard

pytestmark = pytest.mark.e2e

CODE = f"mask.mean.{Mask.parse_heads('0:1,1:0').to_code()}"


def compared(dashboard: Dashboard) -> Dashboard:
    """All is measured and drawn."""
    other = dashboard.page.get_by_role("heading", name="On other data")
    expect(other).to_be_visible(timeout=MEASURE_MS)
    return dashboard.settled()


def test_two_masks_side_by_side(
    visit: Callable[..., Dashboard], small_reviews: Path, bert_folder: Path, tmp_path: Path
) -> None:
    data = shutil.copy(small_reviews, tmp_path / "reviews.csv")
    link = f"/compare?model={bert_folder}&data={data}&mask={Mask.parse_heads('0:0').to_code()}&a={CODE}"
    dashboard = compared(visit(link, viewport={"width": 390, "height": 844}, has_touch=True))
    page = dashboard.page
    expect(page.get_by_text("A: 2 heads removed · mean replacement")).to_be_visible()
    expect(page.get_by_text("B: 1 head removed")).to_be_visible()
    expect(page.get_by_text("only A removes it: 2")).to_be_visible()
    assert page.locator(".headroom-figures img").evaluate_all("all => all.every(one => one.naturalWidth > 0)")
    assert Axe().run(page).response["violations"] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    dashboard.button("Swap").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("B: 2 heads removed · mean replacement")).to_be_visible()
    dashboard.until(lambda: (dashboard.parameters.get("a"), dashboard.parameters.get("b")), ("now", CODE))
    again = compared(visit(page.url.removeprefix(dashboard.url), color_scheme="dark"))
    assert Axe().run(again.page).response["violations"] == []
    expect(again.page.get_by_text("B: 2 heads removed · mean replacement")).to_be_visible()
    again.choose("A", "Unpruned model")
    expect(again.page.get_by_text("A: nothing removed")).to_be_visible()
    assert again.parameters["b"] == CODE
    again.choose("A", "Same number: Random")
    expect(again.page.get_by_text("B against A, mean of 5 draws")).to_be_visible(timeout=MEASURE_MS)
    compared(again)
    again.button("Measure the time of both").focus()
    again.page.keyboard.press("Enter")
    expect(again.page.get_by_text("runs of each, really cut, in turns")).to_be_visible(timeout=MEASURE_MS)
    again.settled()
    assert Axe().run(again.page).response["violations"] == []
