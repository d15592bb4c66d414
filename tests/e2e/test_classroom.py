"""A class in real browsers: a teacher and two students, each in a browser of their own."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from tests.e2e.driver import Dashboard
from tests.e2e.test_learn import LESSONS, revealed
from tests.e2e.test_looks import violations

pytestmark = pytest.mark.e2e


def test_a_teacher_and_two_students(visit: Callable[..., Dashboard]) -> None:
    teacher = visit("/classroom").ready().press("Open a class")
    link = teacher.page.get_by_test_id("stMain").locator("code").first
    expect(link).to_contain_text("/learn?group=")
    address = urlsplit(link.inner_text())
    path = f"{address.path}?{address.query}&lesson={LESSONS[0][1]}"

    first, second = visit(path), visit(path)
    expect(first.page.get_by_text("you are")).to_be_visible()
    first.settled().press("Take a nickname")
    first.page.get_by_role("textbox", name="Nickname").fill("Ada")
    first.page.keyboard.press("Enter")
    expect(first.page.get_by_text("you are Ada")).to_be_visible()
    first.page.keyboard.press("Escape")
    for student in (first, second):
        revealed(student)

    page = teacher.page  # it follows by itself
    expect(page.get_by_text(re.compile(r"Done: (Ada, Student 2|Student 1, Ada)"))).to_be_visible()
    expect(page.get_by_test_id("stMetric").filter(has_text="Joined")).to_contain_text("2")
    dots = "figure => figure.data[0].x.length"
    teacher.until(lambda: teacher.figure.evaluate(dots), 2)
    assert "It is" not in teacher.figure.inner_text()
    page.get_by_role("button", name="Reveal the truth").click()
    expect(page.get_by_role("figure", name="were spot on")).to_be_visible()
    page.wait_for_timeout(500)  # drawn
    assert violations(teacher) == []

    stranger = visit("/classroom")
    expect(stranger.page.get_by_role("button", name="Open a class")).to_be_visible()
    page.get_by_role("button", name="Close the class").click()
    page.get_by_role("button", name="Close it now").click()
    expect(page.get_by_role("button", name="Open a class")).to_be_visible()
    expect(second.page.get_by_text("You are in no class")).to_be_visible()
