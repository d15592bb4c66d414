"""The link holds what is on the screen: reload, back, forward, and links that are wrong."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from pruning.masks import Mask
from tests.e2e.driver import LOAD_MS, Dashboard, Server

pytestmark = pytest.mark.e2e

Visit = Callable[..., Dashboard]
HEADS = "0:3,2:5"
CODE = Mask.parse_heads(HEADS).to_code()


def test_a_reload_keeps_mask_and_criterion(visit: Visit) -> None:
    dashboard = visit("/prune?data=tweets").removes("").choose("Criterion", "Weight magnitude")
    dashboard.until(lambda: dashboard.parameters.get("criterion"), "magnitude")
    dashboard.click_cell("0:3").removes("0:3").click_cell("2:5").removes(HEADS)
    dashboard.page.reload()
    dashboard.removes(HEADS)
    expect(dashboard.box("Criterion")).to_have_value("Weight magnitude")
    expect(dashboard.box("Data")).to_have_value("Tweets (out of domain)")


def test_back_and_forward_between_masks(visit: Visit) -> None:
    dashboard = visit(f"/prune?data=tweets&mask={CODE}").removes(HEADS)
    dashboard.click_cell("4:4").removes(f"{HEADS},4:4").click_cell("5:5").removes(f"{HEADS},4:4,5:5")
    dashboard.measured("Measured on all 500 examples")  # by then the browser has been seen with the last link
    for step, heads in [("back", f"{HEADS},4:4"), ("back", HEADS), ("forward", f"{HEADS},4:4")]:
        dashboard.measured("Measured on all 500 examples")  # until then the app may still wait for its own link
        getattr(dashboard.page, f"go_{step}")()
        dashboard.removes(heads)


def test_back_and_forward_between_pages(visit: Visit) -> None:
    dashboard = visit(f"/prune?data=tweets&mask={CODE}").removes(HEADS)
    dashboard.page.get_by_role("link", name="Explore").click()
    expect(dashboard.page.get_by_role("heading", name="Explore", level=1)).to_be_visible()
    dashboard.until(lambda: dashboard.parameters.get("mask"), CODE)
    for _ in range(3):  # the navigation leaves the page's bare address in the history, too
        dashboard.page.go_back()
        dashboard.page.wait_for_timeout(1500)
        if "/prune" in dashboard.page.url:
            break
    expect(dashboard.page.get_by_role("heading", name="Prune", level=1)).to_be_visible()
    dashboard.removes(HEADS)
    dashboard.page.go_forward()
    expect(dashboard.page.get_by_role("heading", name="Explore", level=1)).to_be_visible()


def test_a_server_that_comes_back_finds_what_was_on_the_screen(visit: Visit, tmp_path: Path) -> None:
    first = Server(tmp_path / "first.txt")
    dashboard = visit("/prune?data=tweets", at=first).removes("").click_cell("0:3").removes("0:3")
    dashboard.click_cell("2:5").removes(HEADS)
    first.stop()
    expect(dashboard.page.get_by_text("Connecting")).to_be_visible()
    second = Server(tmp_path / "second.txt", int(first.url.rpartition(":")[2]))
    try:  # the page stays open: it must connect again by itself
        expect(dashboard.page.get_by_text("Connecting")).to_be_hidden(timeout=LOAD_MS)
        dashboard.removes(HEADS)
        dashboard.click_cell("4:4").removes(f"{HEADS},4:4")
    finally:
        dashboard.page.close()
        second.stop()


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("mask=%21%21", "The link does not fit: the mask code in the link is damaged, because '!' cannot be in one ("),
        ("mask=_____w", "The link does not fit: the mask code in the link is cut short (a code looks like BgMF,"),
        ("criterion=fame", "The link does not fit: there is no criterion 'fame'."),
        (f"mask={Mask.parse_heads('9:9').to_code()}", "The mask does not fit this model: the model has no head 9:9."),
        (f"mask={Mask(layers=frozenset({9})).to_code()}", "layer 9 does not exist: the model has 6 layers"),
    ],
)
def test_a_wrong_link_is_one_clear_sentence(visit: Visit, query: str, sentence: str) -> None:
    dashboard = visit(f"/prune?data=tweets&{query}").removes("")
    notice = dashboard.page.get_by_test_id("stAlert").filter(has_text=re.compile("fit"))
    expect(notice).to_have_count(1)
    expect(notice).to_contain_text(sentence)
    dashboard.click_cell("1:1").removes("1:1")
    expect(notice).to_be_hidden()
