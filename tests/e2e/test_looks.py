"""Accessible in both themes, and usable on a telephone."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.e2e.driver import Dashboard

pytestmark = pytest.mark.e2e

Visit = Callable[..., Dashboard]
PATHS = ["/?data=tweets", "/explore?data=tweets", "/prune?data=tweets&mask=AAQC"]
OTHERS = ["/data", "/compare?data=tweets&mask=AAQC", "/tradeoff", "/recover?mask=AAQC", "/export?mask=AAQC", "/history"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", PATHS)
def test_axe_finds_nothing(visit: Visit, path: str, scheme: str) -> None:
    dashboard = visit(path, color_scheme=scheme).ready()
    dashboard.figure.wait_for()
    if path.startswith("/prune"):
        dashboard.measured("Measured on all 500 examples")
    assert violations(dashboard) == []
    if path.startswith("/prune"):
        dashboard.tool("Grid").cell("0:0").wait_for()
        assert violations(dashboard) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", OTHERS)
def test_axe_finds_nothing_on_a_telephone(visit: Visit, path: str, scheme: str) -> None:
    dashboard = visit(path, color_scheme=scheme, viewport={"width": 390, "height": 844}, has_touch=True)
    dashboard.settled().page.wait_for_timeout(1500)  # what is drawn late belongs to it
    assert violations(dashboard) == []
    assert dashboard.page.evaluate("document.documentElement.scrollWidth") <= 390


def violations(dashboard: Dashboard) -> list[str]:
    found = Axe().run(dashboard.settled().page).response["violations"]
    return [f"{rule['id']}: {node['html'][:200]}" for rule in found for node in rule["nodes"]]


@pytest.mark.parametrize("path", PATHS)
def test_nothing_scrolls_sideways_on_a_telephone(visit: Visit, path: str) -> None:
    dashboard = visit(path, viewport={"width": 390, "height": 844}, has_touch=True).ready()
    dashboard.figure.wait_for()
    if path.startswith("/prune"):
        dashboard.measured("Measured on all 500 examples")
    wide = "elements => elements.filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.outerHTML.slice(0, 200))"
    areas = "[data-testid=stApp], [data-testid=stMain], [data-testid=stMainBlockContainer]"
    assert dashboard.page.locator(areas).evaluate_all(wide) == []
    assert dashboard.page.evaluate("document.documentElement.scrollWidth") <= 390
    assert violations(dashboard) == []


def test_figures_follow_a_switch_of_theme(visit: Visit) -> None:
    """Streamlit changes its own colours by itself; the figures are made on the server, in the colours of one theme."""
    dashboard = visit("/explore?data=tweets", color_scheme="light").ready()
    dashboard.figure.wait_for()
    title = dashboard.figure.locator(".gtitle")

    def colour() -> str:
        return title.evaluate("text => getComputedStyle(text).fill")

    light = colour()
    for scheme, same in (("dark", False), ("light", True)):
        dashboard.settled().page.emulate_media(color_scheme=scheme)
        dashboard.until(lambda: colour() == light, same)
    assert violations(dashboard) == []
