"""The question bank in a browser: opened by keyboard, accessible in both themes, and by a link."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.e2e.driver import Dashboard

pytestmark = pytest.mark.e2e

Visit = Callable[..., Dashboard]
TELEPHONE = {"width": 390, "height": 844}


def violations(dashboard: Dashboard) -> list[str]:
    found = Axe().run(dashboard.settled().page).response["violations"]
    return [f"{rule['id']}: {node['html'][:200]}" for rule in found for node in rule["nodes"]]


def test_by_keyboard_from_the_search_to_the_program(visit: Visit) -> None:
    dashboard = visit("/questions?lang=en")
    page = dashboard.settled().page
    page.get_by_role("textbox", name="Search").fill("2:4 compressed")
    page.keyboard.press("Enter")
    expect(page.get_by_text("1 of 72 questions")).to_be_visible()
    page.locator("summary").filter(has_text="Implement 2:4 sparsity").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("Short answer")).to_be_visible()
    dashboard.settled().button("Full answer and program").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("bits for four weights: 64 before, 36 after (56%)")).to_be_visible()
    dashboard.press("Copy link to this question")
    expect(page.get_by_text("question=two-of-four")).to_be_visible()
    page.keyboard.press("Escape")
    dashboard.press("Lesson: ")
    expect(page.get_by_role("heading", name="Learn", level=1)).to_be_visible()
    dashboard.until(lambda: dashboard.parameters.get("lesson", ""), "kinds")


@pytest.mark.parametrize(("scheme", "language"), [("light", "en"), ("dark", "zh")])
def test_axe_finds_nothing_and_nothing_scrolls_sideways(visit: Visit, scheme: str, language: str) -> None:
    path = f"/questions?topic=failure&lang={language}"
    dashboard = visit(path, color_scheme=scheme, viewport=TELEPHONE, has_touch=True)
    dashboard.settled().page.locator("summary").first.click()
    expect(dashboard.page.get_by_text("Short answer" if language == "en" else "简短答案")).to_be_visible()
    assert violations(dashboard) == []
    assert dashboard.page.evaluate("document.documentElement.scrollWidth") <= TELEPHONE["width"]

    dashboard.page.goto(f"{dashboard.url}/questions?question=taylor-head-gates&lang={language}")
    dashboard.button("Full answer" if language == "en" else "完整答案").click()
    expect(dashboard.page.get_by_text("agrees with finite differences: True")).to_be_visible()
    assert violations(dashboard) == []
    assert dashboard.page.evaluate("document.documentElement.scrollWidth") <= TELEPHONE["width"]
