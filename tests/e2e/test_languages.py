"""Pages in Chinese: by the link, by the browser, by the switch; nothing on them is left in English."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from pruning.masks import Mask
from tests.e2e.driver import Dashboard
from ui.sentence import PLACEHOLDER
from ui.streamlits_words import PLACES

pytestmark = pytest.mark.e2e

Visit = Callable[..., Dashboard]
PATHS = (
    "/", "/data", "/explore", "/head", "/prune", "/compare", "/present", "/tradeoff", "/recover", "/export", "/learn",
    "/questions", "/classroom", "/history",
)  # fmt: skip
# Four words of Latin letters in a row are a sentence; programs, commands, papers and somebody's data are not ours.
SENTENCE = re.compile(r"[A-Za-z][a-z']+(?: [a-z][a-z']+){3,}")
STREAMLITS = {text for texts in PLACES.values() for text in texts}
BEGINNINGS = ("Help for ", "Remove ", "Shortcut ")  # of those with a name in them
NAMES = "[...document.querySelectorAll('[aria-label], [placeholder]')].flatMap(e => [e.ariaLabel, e.placeholder])"
TEXT_OF_OURS = """(main) => {
    const copy = main.cloneNode(true);
    for (const one of copy.querySelectorAll("code, pre, a[href^='http'], style, .headroom-figures p")) one.remove();
    return copy.innerText;
}"""


@pytest.mark.parametrize("path", PATHS)
def test_nothing_is_left_in_english(visit: Visit, path: str) -> None:
    dashboard = visit(f"{path}?lang=zh&data=tweets")
    expect(dashboard.sidebar.get_by_text("就绪 ·")).to_be_visible(timeout=120_000)
    dashboard.settled()
    expect(dashboard.page.locator("html")).to_have_attribute("lang", "zh-CN")
    for part in (dashboard.page.get_by_test_id("stMain"), dashboard.sidebar):
        assert SENTENCE.findall(part.evaluate(TEXT_OF_OURS)) == []
    names = {name for name in dashboard.page.evaluate(NAMES) if name} - {PLACEHOLDER}
    assert [name for name in names if name in STREAMLITS or name.startswith(BEGINNINGS)] == []
    assert SENTENCE.findall("\n".join(names)) == []


def test_streamlits_own_words_follow_the_reader(visit: Visit) -> None:
    dashboard = visit("/tradeoff?lang=zh&data=tweets")
    menu = dashboard.page.get_by_test_id("stMainMenuButton")
    expect(menu).to_have_attribute("aria-label", "主菜单")
    box = dashboard.settled().page.get_by_test_id("stMain").get_by_role("combobox").first
    box.fill("nothing of this name")
    expect(dashboard.page.get_by_text("没有结果")).to_be_visible()
    for _ in range(2):  # what was typed, and the list, which hides the page from others
        box.press("Escape")
    dashboard.sidebar.get_by_role("radio", name="English").click()
    expect(menu).to_have_attribute("aria-label", "Main menu")
    expect(dashboard.box("Model")).to_have_value("MiniLM, movie-review sentiment")
    expect(dashboard.page.get_by_test_id("stMultiSelectTagsContainer").first).to_contain_text("Absolute gradient")


def test_the_browsers_language_is_spoken_and_the_switch_is_kept_in_the_link(visit: Visit) -> None:
    dashboard = visit("/prune?data=tweets", locale="zh-CN")
    expect(dashboard.page.get_by_role("heading", level=1)).to_have_text("剪枝")
    dashboard.settled().sidebar.get_by_role("radio", name="English").click()
    expect(dashboard.page.get_by_role("heading", level=1)).to_have_text("Prune")
    dashboard.until(lambda: dashboard.parameters.get("lang"), "en")


def test_nothing_is_lost_with_the_language(visit: Visit) -> None:
    heads = "0:3,2:5"
    dashboard = visit(f"/prune?data=tweets&mask={Mask.parse_heads(heads).to_code()}").ready().removes(heads)
    dashboard.sidebar.get_by_role("radio", name="简体中文").click()
    expect(dashboard.page.get_by_text("已移除2/72个头")).to_be_visible()
    dashboard.settled().until(dashboard.shown, Mask.parse_heads(heads).heads)
    dashboard.page.get_by_role("button", name=re.compile("^撤销")).wait_for()
    assert dashboard.parameters["mask"] == Mask.parse_heads(heads).to_code()


def test_two_readers_of_one_server_read_their_own_language(visit: Visit) -> None:
    one, other = visit("/explore?lang=zh"), visit("/explore?lang=en")
    expect(one.page.get_by_role("heading", level=1)).to_have_text("探索")
    expect(other.page.get_by_role("heading", level=1)).to_have_text("Explore")
    one.page.reload()
    expect(one.page.get_by_role("heading", level=1)).to_have_text("探索")
    expect(other.page.get_by_role("heading", level=1)).to_have_text("Explore")
