"""The page of one head: from a cell of Explore to its attention, with the pointer and with the keyboard alone."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from pruning.masks import Mask
from tests.e2e.driver import MEASURE_MS, Dashboard

pytestmark = pytest.mark.e2e

Visit = Callable[..., Dashboard]


def shows(page: Page, head: str) -> None:
    expect(page.get_by_role("heading", name=head, level=2)).to_be_visible()


def violations(page: Page) -> list[str]:
    found = Axe().run(page).response["violations"]
    return [f"{rule['id']}: {node['html'][:200]}" for rule in found for node in rule["nodes"]]


def test_a_click_on_explore_opens_a_head_and_keys_lead_on(visit: Visit) -> None:
    dashboard = visit("/explore?data=tweets").ready()
    page = dashboard.page
    dashboard.click_cell("3:5")
    shows(page, "Layer 3, head 5")
    dashboard.settled().until(lambda: dashboard.parameters.get("head"), "3.5")
    page.keyboard.press("Alt+k")
    shows(page, "Layer 3, head 6")
    dashboard.settled().press("Remove")
    expect(page.get_by_text("removed", exact=True)).to_be_visible()
    dashboard.settled().until(
        lambda: dashboard.parameters, {"data": "tweets", "head": "3.6", "mask": Mask.parse_heads("3:6").to_code()}
    )
    dashboard.press("Undo")
    expect(page.get_by_text("kept", exact=True)).to_be_visible()


def test_tokens_answer_to_pointer_and_keys(visit: Visit) -> None:
    page = visit("/head?head=0.2").ready().page
    sentence = page.get_by_role("textbox", name="Your own sentence")
    sentence.fill("not bad at all")
    sentence.press("Enter")
    token = page.get_by_role("button", name="Token 3: bad looks at not")  # head 2 looks at the token before
    expect(token).to_be_visible()
    status, pressed = page.locator(".attention .status"), page.locator(".token[aria-pressed=true]")
    token.hover()
    expect(status).to_contain_text("bad looks at not")
    page.get_by_role("button", name="Token 2: not looks at").focus()
    page.keyboard.press("ArrowDown")
    expect(token).to_be_focused()
    page.keyboard.press("Enter")
    expect(token).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("ArrowRight")
    expect(status).to_contain_text("bad is looked at by at")
    expect(pressed).to_have_count(1)
    page.keyboard.press("Escape")
    expect(pressed).to_have_count(0)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download SVG").click()
    assert download.value.suggested_filename == "layer-0-head-2.svg"
    drawn = Path(download.value.path()).read_text(encoding="utf-8")
    assert drawn.startswith("<svg")
    assert ">bad</text>" in drawn


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["/head?model=digits&head=1.0", "/head?data=tweets&head=0.2"])
def test_axe_finds_nothing_and_a_telephone_is_wide_enough(visit: Visit, path: str, scheme: str) -> None:
    dashboard = visit(path, color_scheme=scheme, viewport={"width": 390, "height": 844}).ready()
    page = dashboard.page
    page.locator(".token").first.wait_for(state="attached")
    expect(page.get_by_text("McNemar").or_(page.get_by_text("No prediction flips"))).to_be_visible(timeout=MEASURE_MS)
    expect(page.get_by_text("Jensen")).to_be_visible(timeout=MEASURE_MS)
    assert violations(dashboard.settled().page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    wide = "elements => elements.filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.outerHTML.slice(0, 200))"
    areas = "[data-testid=stApp], [data-testid=stMain], [data-testid=stMainBlockContainer]"
    assert page.locator(areas).evaluate_all(wide) == []


@pytest.fixture(scope="module")
def swin_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """28 × 28 patches in windows of 7 × 7, then 14 × 14: too many for the browser at once, and few enough."""
    import transformers as tf

    names = {"id2label": dict(enumerate("0123456789")), "label2id": {name: int(name) for name in "0123456789"}}
    sizes = {"image_size": 112, "window_size": 7, "embed_dim": 24, "depths": [1, 1], "num_heads": [1, 2]}
    folder = tmp_path_factory.mktemp("swin")
    tf.SwinForImageClassification(tf.SwinConfig(patch_size=4, **sizes, **names)).save_pretrained(folder)
    tf.ViTImageProcessorPil(size={"height": 112, "width": 112}).save_pretrained(folder)
    return folder


def test_a_large_image_shows_one_patch_at_a_time(visit: Visit, swin_folder: Path) -> None:
    page = visit(f"/head?model={swin_folder}&data=digits&head=0.0").ready().page
    cursor = page.get_by_role("slider", name="Chosen patch")
    said = "aria-valuetext"
    expect(cursor).to_have_attribute(said, re.compile("^row 15, column 15 looks at row"))
    expect(page.get_by_text("attends within windows of 49 patches")).to_be_visible()
    cursor.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    expect(cursor).to_have_attribute(said, re.compile("^row 16, column 16 looks at row"))
    page.locator(".mosaic .photo").click(position={"x": 3, "y": 3})
    expect(cursor).to_have_attribute(said, re.compile("^row 1, column 1 looks at row"))
    assert violations(page) == []
    page.keyboard.press("Alt+k")
    shows(page, "Layer 1, head 0")
    expect(page.locator(".outside[data-level]")).to_have_count(14 * 14 - 49)
