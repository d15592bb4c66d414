"""The page that shows importance: picture, table, histogram, and the way to Prune."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.e2e.driver import Dashboard
from ui.store import kept_maps

pytestmark = pytest.mark.e2e


def values(dashboard: Dashboard) -> list[list[float]]:
    hero = dashboard.page.locator(".st-key-explore_heatmap .js-plotly-plot")  # others may be drawn before it
    return hero.evaluate("figure => figure.data[0].z.map(row => [...row])")


def test_the_criterion_changes_the_picture(visit: Callable[..., Dashboard]) -> None:
    dashboard = visit("/explore").settled()
    assert values(dashboard) == [list(row) for row in kept_maps()["gradient"].values]
    dashboard.choose("Criterion", "Leave one out")
    expect(dashboard.page.get_by_text("the loss falls")).to_be_visible()
    dashboard.settled()
    assert values(dashboard) == [list(row) for row in kept_maps()["ablation"].values]
    assert dashboard.parameters == {"criterion": "ablation"}


def test_the_table_lists_every_head(visit: Callable[..., Dashboard]) -> None:
    table = visit("/explore").settled().page.get_by_test_id("stDataFrame").locator("[role=grid]")
    least = kept_maps()["gradient"].ranked()[0]
    expect(table).to_have_attribute("aria-rowcount", "73")  # with the headings
    cells = table.locator("[role=row]").nth(1).locator("[role=gridcell]")
    expect(cells.nth(1)).to_have_text(f"Layer {least.site}")
    expect(cells.nth(2)).to_have_text(str(least.head))


def test_the_line_decides_how_many_heads_go_to_prune(visit: Callable[..., Dashboard]) -> None:
    dashboard = visit("/explore?data=tweets")
    dashboard.slide("Lowest heads", "Home", *["ArrowRight"] * 9)
    dashboard.press("Remove these 9 heads")
    expect(dashboard.page.get_by_role("heading", name="Prune", level=1)).to_be_visible()
    dashboard.removes(kept_maps()["gradient"].lowest(9).format_heads())
