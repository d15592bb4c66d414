"""The presentation in a browser: opened at a step, keys, the slider, full screen, its file, and nothing for axe."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.e2e.driver import MEASURE_MS, Dashboard
from ui.present.stage import STEPS

pytestmark = pytest.mark.e2e

Visit = Callable[..., Dashboard]
ROOM = re.compile(r"\bheadroom-room\b")


def shows(page: Page, name: str) -> None:
    expect(page.get_by_role("heading", name=name, level=2)).to_be_visible()


def test_keys_and_buttons_step_and_a_text_box_keeps_its_keys(visit: Visit) -> None:
    dashboard = visit("/present?model=digits&step=3").ready()
    page = dashboard.page
    shows(page, "Speed and cost")
    page.get_by_role("button", name="Next").wait_for()
    page.keyboard.press("ArrowRight")
    shows(page, "Quality")
    page.keyboard.press("PageDown")
    shows(page, "Examples")
    dashboard.settled().until(lambda: dashboard.parameters.get("step"), "5")
    dashboard.press("Next")
    box = page.get_by_role("spinbutton", name="Which image")
    expect(box).to_be_visible(timeout=MEASURE_MS)
    box.focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("f")
    dashboard.settled()
    shows(page, "Try it")
    expect(page.locator("html")).not_to_have_class(ROOM)
    box.blur()
    page.keyboard.press("Home")
    shows(page, "The question")
    page.keyboard.press("End")
    shows(page, "The story")


def test_full_screen_clears_the_page_and_slider_and_keys_answer(visit: Visit) -> None:
    dashboard = visit("/present?model=digits&step=2").ready()
    page = dashboard.page
    expect(page.locator(".present .number").first).to_be_visible(timeout=MEASURE_MS)
    dashboard.press("Full screen")
    expect(page.locator("html")).to_have_class(ROOM)
    expect(dashboard.sidebar).to_be_hidden()
    expect(page.get_by_role("heading", level=1)).to_be_hidden()
    expect(page.get_by_role("button", name="Prices")).to_be_hidden()
    expect(page.get_by_role("slider")).to_be_visible()
    page.get_by_role("slider").press("ArrowLeft")
    dashboard.until(lambda: dashboard.parameters.get("share"), "heads.30")
    shows(page, "Size and compute")
    page.evaluate("document.activeElement.blur()")
    for step, name in enumerate(STEPS.values(), 1):
        page.keyboard.press(str(step))
        shows(page, name)
    black = page.get_by_role("status", name="The screen is black")
    page.keyboard.press("b")
    expect(black).to_be_visible()
    page.keyboard.press("1")  # brings the page back, and no more
    expect(black).to_have_count(0)
    shows(page, list(STEPS.values())[-1])
    dashboard.button("Leave full screen").click()
    expect(dashboard.sidebar).to_be_visible()


def test_the_file_holds_the_story_and_no_request(visit: Visit, tmp_path: Path) -> None:
    dashboard = visit("/present?model=digits&step=7").ready()
    page = dashboard.page
    expect(page.get_by_role("button", name="Download HTML")).to_be_enabled(timeout=MEASURE_MS)
    dashboard.settled()
    lines = page.locator(".present .story li").all_inner_texts()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download HTML").click()
    file = tmp_path / "presentation.html"
    download.value.save_as(file)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(file.as_uri())
    assert page.locator(".story li").all_inner_texts() == lines
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []


@pytest.mark.parametrize(("scheme", "step"), [("light", 3), ("dark", 7)])
def test_axe_finds_nothing_and_a_telephone_is_wide_enough(visit: Visit, scheme: str, step: int) -> None:
    dashboard = visit(
        f"/present?model=digits&step={step}", color_scheme=scheme, viewport={"width": 390, "height": 844}
    ).ready()
    page = dashboard.page
    expect(page.get_by_role("button", name="Download HTML")).to_be_enabled(timeout=MEASURE_MS)
    dashboard.settled()
    found = Axe().run(page).response["violations"]
    assert [f"{rule['id']}: {node['html'][:200]}" for rule in found for node in rule["nodes"]] == []
    assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") <= 390
