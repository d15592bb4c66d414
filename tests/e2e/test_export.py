"""The page that gives everything away: from the first paint to a checkpoint that another process loads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.e2e.driver import LOAD_MS, MEASURE_MS, Dashboard

pytestmark = pytest.mark.e2e

MOST_CLICKS = 7
RELOAD = """
import json, sys
from transformers import AutoModelForSequenceClassification, AutoTokenizer
model = AutoModelForSequenceClassification.from_pretrained(sys.argv[1], trust_remote_code=True)
inputs = AutoTokenizer.from_pretrained(sys.argv[1])("What a lovely film.", return_tensors="pt")
print(json.dumps([sum(p.numel() for p in model.parameters()), model(**inputs).logits.softmax(-1)[0].tolist()]))
"""


def test_a_newcomer_has_a_checkpoint_in_seven_clicks(visit: Callable[..., Dashboard], tmp_path: Path) -> None:
    """Explore, Remove these heads, Export, Make, Download: the file is reloaded without Headroom."""
    dashboard = visit()
    page, clicks = dashboard.page, 0

    def click(name: str, role: str = "button") -> None:
        nonlocal clicks
        clicks += 1
        button = page.get_by_role(role, name=name).first  # type: ignore[arg-type]
        expect(button).to_be_enabled(timeout=LOAD_MS)
        dashboard.settled()
        button.click()

    click("Explore", "link")
    click("Remove these 14 heads and see what happens")
    expect(page.get_by_text("Removed 14 of 72 heads")).to_be_visible()
    click("Export", "link")
    click("Make the checkpoint")
    expect(page.get_by_role("button", name="Download the checkpoint")).to_be_visible(timeout=MEASURE_MS)
    with page.expect_download() as waiting:
        click("Download the checkpoint")
    assert clicks <= MOST_CLICKS
    assert waiting.value.suggested_filename == "demo-smaller.zip"
    waiting.value.save_as(tmp_path / "smaller.zip")
    zipfile.ZipFile(tmp_path / "smaller.zip").extractall(tmp_path)
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_MODULES_CACHE": str(tmp_path / "modules")}
    command = [sys.executable, "-c", RELOAD, str(tmp_path / "smaller")]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    parameters, probabilities = json.loads(done.stdout.splitlines()[-1])
    assert parameters < 22_713_986
    assert probabilities[1] > 0.9


def test_the_page_is_accessible_and_fits_a_telephone(visit: Callable[..., Dashboard]) -> None:
    for scheme in ("light", "dark"):
        dashboard = visit(
            "/export?data=tweets&mask=AAQC", color_scheme=scheme, viewport={"width": 390, "height": 844}
        ).ready()
        expect(dashboard.button("Make the checkpoint")).to_be_visible()
        found = Axe().run(dashboard.settled().page).response["violations"]
        assert [f"{rule['id']}: {node['html'][:200]}" for rule in found for node in rule["nodes"]] == []
        assert dashboard.page.evaluate("document.documentElement.scrollWidth") <= 390


def test_the_report_opens_offline_in_both_themes(visit: Callable[..., Dashboard], tmp_path: Path) -> None:
    dashboard = visit("/export?data=tweets&mask=AAQC").ready()
    with dashboard.page.expect_download() as waiting:
        dashboard.page.get_by_role("button", name="Download the report").click()
    waiting.value.save_as(tmp_path / "report.html")
    for scheme in ("light", "dark"):
        context = dashboard.page.context.browser.new_context(color_scheme=scheme, offline=True)
        page, asked, said = context.new_page(), [], []
        page.on("request", lambda request, to=asked: to.append(request.url))
        page.on("console", lambda message, to=said: to.append(message.text))
        page.on("pageerror", lambda error, to=said: to.append(str(error)))
        page.goto((tmp_path / "report.html").as_uri())
        page.locator(".js-plotly-plot .main-svg").first.wait_for()
        assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
        assert said == []
        assert Axe().run(page).response["violations"] == []
        context.close()
