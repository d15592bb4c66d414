"""The page that measures many plans: start, watch, pick a point with the mouse, open it in Prune."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.e2e.driver import MEASURE_MS, Dashboard
from tests.e2e.test_history import tick

pytestmark = pytest.mark.e2e

POINT = """(figure, i) => {
    const { xaxis, yaxis } = figure._fullLayout, { x, y } = figure.getBoundingClientRect();
    const plans = figure.data.find(trace => trace.customdata?.length);
    return [x + xaxis._offset + xaxis.d2p(plans.x[i]), y + yaxis._offset + yaxis.d2p(plans.y[i])];
}"""


def test_a_point_that_was_measured_opens_in_prune(
    visit: Callable[..., Dashboard], small_reviews: Path, bert_folder: Path, tmp_path: Path
) -> None:
    data = shutil.copy(small_reviews, tmp_path / "reviews.csv")  # of this try alone: what was measured once is kept
    dashboard = visit(f"/tradeoff?model={bert_folder}&data={data}")
    page = dashboard.ready().page
    expect(page.get_by_text("Nothing has been measured yet")).to_be_visible()
    dashboard.press("Start the sweep")
    expect(dashboard.button("Download the table")).to_be_visible(timeout=MEASURE_MS)
    dashboard.settled().figure.wait_for()
    expect(page.get_by_text("Click a point of the chart")).to_be_visible()
    assert Axe().run(page).response["violations"] == []
    dashboard.figure.scroll_into_view_if_needed()
    page.wait_for_timeout(500)  # the picture rests
    page.mouse.click(*dashboard.figure.evaluate(POINT, 2))
    removed = page.get_by_text(re.compile(r"^Removes \d+ heads?:"))
    expect(removed).to_be_visible()
    count = re.findall(r"\d+", removed.inner_text())[0]
    dashboard.press("Open in Prune")
    expect(page.get_by_role("heading", name="Prune", level=1)).to_be_visible()
    expect(page.get_by_text(re.compile(rf"^Removed {count} of \d+ heads"))).to_be_visible()
    for _ in range(3):  # the navigation leaves the page's bare address in the history, too
        page.go_back()
        page.wait_for_timeout(1500)
        if "/tradeoff" in page.url:
            break
    expect(dashboard.button("Download the table")).to_be_visible()
    kept_in_the_history(dashboard, int(count))


def kept_in_the_history(dashboard: Dashboard, heads: int) -> None:
    """The same points are in the history, and the same plan opens from there beside the whole model."""
    page = dashboard.open("/history").page
    page.get_by_role("button", name="Sweep", exact=True).click()
    expect(page.get_by_text("1 to 1 of 1 records")).to_be_visible()
    tick(page, 0)
    expect(page.get_by_role("heading", name="All points")).to_be_visible()
    chart = dashboard.settled().page.locator(".js-plotly-plot").filter(has_text="left, % of the whole model")
    chart.scroll_into_view_if_needed()
    page.wait_for_timeout(500)
    page.mouse.click(*chart.evaluate(POINT, 2))
    expect(page.get_by_text(re.compile(rf"^Removes {heads} heads?:"))).to_be_visible()
    assert Axe().run(dashboard.settled().page).response["violations"] == []
    dashboard.press("Open in Compare")
    expect(page.get_by_role("heading", name="Compare", level=1)).to_be_visible()
    expect(page.get_by_text(re.compile(rf"{heads} heads? removed")).first).to_be_visible()
