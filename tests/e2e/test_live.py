"""The evaluation that runs behind the page: overtaken, stopped, taken up again."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from pruning.masks import Mask
from tests.e2e.driver import Dashboard

pytestmark = pytest.mark.e2e

Visit = Callable[..., Dashboard]
MEASURING = re.compile("^(Starting|Reading|Measuring|Waiting)")


def prune(visit: Visit, heads: str) -> Dashboard:
    return visit(f"/prune?mask={Mask.parse_heads(heads).to_code()}").ready().removes(heads)


def at_work(dashboard: Dashboard) -> None:
    """The present mask is being measured, and no older figure is shown as its own."""
    expect(dashboard.page.get_by_test_id("stProgress").get_by_text(MEASURING)).to_be_visible()
    dashboard.settled()
    expect(dashboard.page.get_by_text("Measured on all")).to_be_hidden()
    headings = dashboard.rows().get("", [])
    assert not any(heading.startswith("Pruned, n = 1,500") for heading in headings)


def test_a_newer_click_overtakes_the_older_evaluation(visit: Visit) -> None:
    dashboard = prune(visit, "3:0-6")
    at_work(dashboard)
    dashboard.click_cell("0:0").removes("0:0,3:0-6")
    at_work(dashboard)
    dashboard.press("Undo").removes("3:0-6")
    at_work(dashboard)  # had the first one gone on, its result would be there now
    dashboard.press("Cancel")


def test_an_evaluation_can_be_stopped_and_taken_up_again(visit: Visit) -> None:
    dashboard = prune(visit, "1:0-8")
    at_work(dashboard)
    dashboard.press("Cancel")
    expect(dashboard.page.get_by_text(re.compile(r"^Stopped (after [\d,]+ of 1,500|before)"))).to_be_visible()
    expect(dashboard.page.get_by_test_id("stProgress").get_by_text(MEASURING)).to_be_hidden()
    dashboard.press("Measure again")
    at_work(dashboard)
    dashboard.click_cell("5:5").removes("1:0-8,5:5")  # another mask is measured, although one was stopped
    at_work(dashboard)
    dashboard.press("Cancel")
