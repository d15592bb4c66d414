"""Every way to edit the mask. The tweets are the data here: a third of the rows, so that old evaluations end soon."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from pruning.masks import Mask
from tests.e2e.driver import Dashboard
from ui.store import kept_maps

pytestmark = pytest.mark.e2e

Visit = Callable[..., Dashboard]
EVERY = Mask.parse_heads(",".join(f"{site}:0-11" for site in range(6)))


def prune(visit: Visit, heads: str = "") -> Dashboard:
    code = Mask.parse_heads(heads).to_code()
    return visit(f"/prune?data=tweets{code and '&mask=' + code}").removes(heads)


# The picture ------------------------------------------------------------------------------------------------------


def test_clicks_remove_and_restore_exactly_that_head(visit: Visit) -> None:
    dashboard = prune(visit)
    dashboard.click_cell("0:0").removes("0:0")
    dashboard.click_cell("5:11").removes("0:0,5:11")
    dashboard.click_cell("2:7").removes("0:0,2:7,5:11")
    dashboard.click_cell("5:11").removes("0:0,2:7")
    dashboard.click_cell("5:11").removes("0:0,2:7,5:11")


def test_a_box_removes_and_restores_what_it_holds(visit: Visit) -> None:
    dashboard = prune(visit, "1:2").tool("Box")
    dashboard.drag_cells("1:2", "3:4").removes("1:2-4,2:2-4,3:2-4")
    dashboard.drag_cells("2:2", "3:3").removes("1:2-4,2:4,3:4")
    dashboard.drag_cells("1:2", "1:4").removes("2:4,3:4")


# The grid ---------------------------------------------------------------------------------------------------------


def test_the_grid_works_by_keyboard(visit: Visit) -> None:
    dashboard = prune(visit).tool("Grid")
    keyboard = dashboard.page.keyboard
    dashboard.cell("0:0").focus()
    keyboard.press("ArrowRight")
    keyboard.press("ArrowDown")
    expect(dashboard.cell("1:1")).to_be_focused()
    keyboard.press("Space")
    dashboard.removes("1:1")
    keyboard.press("End")
    keyboard.press("ArrowDown")
    keyboard.press("Space")
    dashboard.removes("1:1,2:11")
    keyboard.press("Space")
    dashboard.removes("1:1")


def test_the_grid_keeps_quick_keys(visit: Visit) -> None:
    dashboard = prune(visit).tool("Grid")
    dashboard.cell("4:0").focus()
    for _ in range(8):
        dashboard.page.keyboard.press("Space")
        dashboard.page.keyboard.press("ArrowRight")
    dashboard.removes("4:0-7")


def test_a_drag_over_the_grid_removes_a_block(visit: Visit) -> None:
    dashboard = prune(visit).tool("Grid")
    dashboard.cell("1:2").hover()
    dashboard.page.mouse.down()
    dashboard.cell("2:3").hover()
    dashboard.cell("3:5").hover()
    dashboard.page.mouse.up()
    dashboard.removes("1:2-5,2:2-5,3:2-5")
    dashboard.cell("2:3").click()
    dashboard.removes("1:2-5,2:2,2:4-5,3:2-5")


def test_a_row_button_removes_the_row(visit: Visit) -> None:
    dashboard = prune(visit, "2:4").tool("Grid")
    row = dashboard.page.get_by_role("button", name="Layer 2, all heads")
    row.click()
    dashboard.removes("2:0-11")
    row.click()
    dashboard.removes("")


# Sliders, layers, and the mask as a whole -------------------------------------------------------------------------


def test_the_slider_removes_the_lowest_heads(visit: Visit) -> None:
    dashboard, importance = prune(visit), kept_maps()["gradient"]
    dashboard.slide("Remove the lowest heads", *["ArrowRight"] * 3).removes(importance.lowest(3).format_heads())
    dashboard.slide("Remove the lowest heads", "End").removes(EVERY.format_heads())
    dashboard.slide("Remove the lowest heads", "Home").removes("")


def test_the_threshold_removes_what_is_below_it(visit: Visit) -> None:
    dashboard, importance = prune(visit), kept_maps()["gradient"]
    label = "Remove heads below a threshold"
    dashboard.slide(label, *["ArrowRight"] * 12)
    shown = dashboard.page.get_by_role("group", name=label).get_by_test_id("stSliderThumbValue")
    expect(shown).to_have_text("0.01576")  # twelve of two hundred steps between a little below and above the values
    dashboard.removes(importance.below(0.01576).format_heads())
    dashboard.slide(label, "End").removes(EVERY.format_heads())
    dashboard.slide(label, "Home").removes("")


def test_a_whole_layer_goes_and_comes_back(visit: Visit) -> None:
    dashboard = prune(visit, "0:0,3:1").choose("Whole layer", "Layer 3")
    dashboard.press("Remove the layer's heads").removes("0:0,3:0-11")
    dashboard.press("Restore the layer's heads").removes("0:0")


def test_invert_reset_undo_and_redo(visit: Visit) -> None:
    dashboard = prune(visit).ready().click_cell("0:1").removes("0:1")
    rest = (EVERY - Mask.parse_heads("0:1")).format_heads()
    dashboard.press("Invert").removes(rest)
    dashboard.press("Reset").removes("")
    dashboard.press("Undo").removes(rest)
    dashboard.press("Undo").removes("0:1")
    dashboard.press("Redo").removes(rest)
    dashboard.page.keyboard.press("Control+z")
    dashboard.removes("0:1")
    dashboard.page.keyboard.press("Control+Shift+Z")
    dashboard.removes(rest)
    dashboard.press("Undo").removes("0:1")
    dashboard.press("Undo").removes("")
    expect(dashboard.button("Undo")).to_be_disabled()
    dashboard.click_cell("3:3").removes("3:3")
    expect(dashboard.button("Redo")).to_be_disabled()
