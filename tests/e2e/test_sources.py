"""Data and model: a table of one's own with odd labels, from the upload to a measurement; and a link to nothing."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.e2e.driver import LOAD_MS, Dashboard

pytestmark = pytest.mark.e2e

Visit = Callable[..., Dashboard]


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """A table as Excel writes it in some countries, with labels of its own."""
    path = tmp_path / "Meine Filme.csv"
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.writer(file, delimiter=";")
        writer.writerow(["Kritik", "Urteil"])
        writer.writerows(
            [f"a {'wonderful' if i % 2 else 'terrible'} film, {i}", ("schlecht ", "gut")[i % 2]] for i in range(24)
        )
        writer.writerows([["", "gut"], ["no verdict", ""], ["so so", "naja"]])
    return path


def test_a_table_from_upload_to_measurement(visit: Visit, films: Path) -> None:
    dashboard = visit("/data").ready()
    dashboard.page.locator("input[type=file]").set_input_files(films)
    expect(dashboard.page.get_by_role("heading", name="Meine Filme.csv")).to_be_visible()
    expect(dashboard.page.get_by_text("0 of 27")).to_be_visible()
    dashboard.choose("gut (13 rows)", "positive").choose("schlecht (12 rows)", "negative")
    expect(dashboard.page.get_by_text("24 of 27")).to_be_visible()
    expect(dashboard.page.get_by_text("1 × empty text, 1 × empty label, 1 × label left out")).to_be_visible()
    expect(dashboard.page.get_by_text("All texts are within the 512 tokens")).to_be_visible(timeout=LOAD_MS)
    assert Axe().run(dashboard.settled().page).response["violations"] == []
    dashboard.press("Use this data")
    expect(dashboard.box("Data")).to_have_value("Meine Filme.csv", timeout=LOAD_MS)
    dashboard.until(lambda: dashboard.parameters.get("data", "")[:4], "own-")
    dashboard.settled().page.get_by_role("link", name="Prune", exact=True).click()
    dashboard.measured("Measured on all 12 examples of Meine Filme.csv")


def test_a_link_to_data_that_is_not_here_says_why(visit: Visit) -> None:
    dashboard = visit("/explore?data=own-0123456789abcdef").ready()
    expect(dashboard.page.get_by_text("there is no data own-0123456789abcdef on this computer")).to_be_visible(
        timeout=LOAD_MS
    )
    hostile = visit("/data?data=own-../../../etc/passwd").ready()
    assert "root:" not in hostile.page.content()
