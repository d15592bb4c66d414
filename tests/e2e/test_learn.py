"""Every lesson in a browser, in both languages: read, guess by keyboard, run, and see what comes of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from pruning.language import LANGUAGES
from tests.e2e.driver import MEASURE_MS, Dashboard
from tests.e2e.test_looks import violations
from ui.learn.content import lessons

pytestmark = pytest.mark.e2e

Visit = Callable[..., Dashboard]
WORDS = {"en": ("Your guess", "Lock in and run", "What to notice"), "zh": ("你的猜测", "锁定猜测并运行", "值得注意")}
LESSONS = [(language, lesson.slug) for language in LANGUAGES for lesson in lessons(language)]


def revealed(dashboard: Dashboard, language: str = "en") -> Dashboard:
    """Guess, by keyboard alone, and wait for the truth."""
    guess, run, notice = WORDS[language]
    slider = dashboard.slider(guess)
    slider.wait_for(timeout=MEASURE_MS)  # as soon as the model is there
    dashboard.settled()
    before = slider.get_attribute("aria-valuetext")
    assert before
    slider.focus()
    dashboard.page.keyboard.press("ArrowRight")
    expect(slider).not_to_have_attribute("aria-valuetext", before)
    dashboard.settled().button(run).focus()
    dashboard.page.keyboard.press("Enter")
    dashboard.page.locator(".st-key-verdict").wait_for(timeout=MEASURE_MS)
    expect(dashboard.page.get_by_role("heading", name=notice)).to_be_visible()
    return dashboard.settled()


@pytest.mark.parametrize(("language", "slug"), LESSONS, ids=["-".join(one) for one in LESSONS])
def test_a_lesson(visit: Visit, language: str, slug: str) -> None:
    dashboard = visit(f"/learn?lesson={slug}&lang={language}")
    lesson = next(one for one in lessons(language) if one.slug == slug)
    expect(dashboard.page.get_by_role("heading", name=f"{lesson.number}. {lesson.title}")).to_be_visible()
    revealed(dashboard, language)
    figures = dashboard.page.get_by_test_id("stMain").locator(".js-plotly-plot")
    dashboard.until(lambda: figures.count() >= 2, True)  # the guess on its scale, and what was found
    expect(dashboard.page.locator(".st-key-verdict .js-plotly-plot")).to_be_visible()
    assert dashboard.page.get_by_test_id("stAlertContentError").count() == 0
    assert dashboard.parameters["lesson"] == slug


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_in_a_lesson(visit: Visit, scheme: str) -> None:
    dashboard = visit(f"/learn?lesson={LESSONS[0][1]}", color_scheme=scheme)
    assert violations(revealed(dashboard)) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["/learn", "/classroom"])
def test_axe_finds_nothing_on_a_telephone(visit: Visit, path: str, scheme: str) -> None:
    dashboard = visit(path, color_scheme=scheme, viewport={"width": 390, "height": 844}, has_touch=True).settled()
    dashboard.page.wait_for_timeout(1000)
    assert violations(dashboard) == []
    assert dashboard.page.evaluate("document.documentElement.scrollWidth") <= 390


def test_progress_outlives_the_page_and_leads_on(visit: Visit) -> None:
    """On a telephone the truth comes after the guess, and what to notice after both."""
    first, second = (slug for _, slug in LESSONS[:2])
    dashboard = visit(f"/learn?lesson={first}", viewport={"width": 390, "height": 844}, has_touch=True)
    revealed(dashboard)
    places = [dashboard.page.get_by_role("heading", name="What to notice"), dashboard.page.locator(".st-key-verdict")]
    below, above = (place.bounding_box() for place in places)
    assert below is not None
    assert above is not None
    assert below["y"] > above["y"]
    assert dashboard.page.evaluate("document.documentElement.scrollWidth") <= 390
    dashboard.open("/learn").settled()
    expect(dashboard.page.get_by_text("of 100")).to_be_visible()
    dashboard.press("Continue")
    dashboard.until(lambda: dashboard.parameters.get("lesson"), second)
