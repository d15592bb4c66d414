"""A class on one server: so many students, each in a browser session of their own, answer one lesson at once.

python -m benchmarks.classroom --students 30 --json classroom.json
"""

from __future__ import annotations

import json
import re
import statistics
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benchmarks import common
from benchmarks.browser import ARGUMENTS, MEASURE_MS, PACKAGES, WAIT_SECONDS, chromium, serving, visiting
from pruning import PruningError

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

ROOT = Path(__file__).resolve().parents[1]
LESSON, SETTINGS = "why", 3  # the lesson, and among how many settings the students are divided
SAID = re.compile(r"You said (-?[\d.]+) points; it is (\S+) points")
PRIMARY = "[data-testid=stMain] [data-testid=stBaseButton-primary]"


def open_class(page: Page) -> str:
    """Open a class and return the students' link, without the server."""
    page.get_by_text("Ready ·").wait_for(timeout=MEASURE_MS)
    rest(page)
    page.get_by_role("button", name="Open a class").click()
    link = page.get_by_test_id("stMain").locator("code").first
    link.wait_for()
    return f"/learn?{link.inner_text().partition('?')[2]}&lesson={LESSON}"


def prepare(page: Page, number: int) -> float:
    """Choose a setting and a guess of one's own by keyboard, as far as the button; the guess in points."""
    slider = page.get_by_role("slider", name=re.compile("^Your guess"))
    slider.wait_for(timeout=MEASURE_MS)
    rest(page)
    press(page, "Heads to remove", number % SETTINGS)
    press(page, "Your guess", number % 7)
    return float((slider.get_attribute("aria-valuetext") or "nan").split()[0])


def press(page: Page, label: str, times: int) -> None:
    """Move a slider so many steps, waiting for each to be taken."""
    slider = page.get_by_role("slider", name=re.compile(f"^{label}"))
    for _ in range(times):
        before = shown(slider)
        slider.press("ArrowRight")
        deadline = time.monotonic() + WAIT_SECONDS
        while shown(slider) == before:
            if time.monotonic() > deadline:
                raise PruningError(f"the slider {label} does not move")
            page.wait_for_timeout(20)
    rest(page)


def shown(slider: Locator) -> tuple[str | None, str | None]:
    """Where a slider stands: a number, or for one of words its text."""
    return slider.get_attribute("aria-valuenow"), slider.get_attribute("aria-valuetext")


def rest(page: Page) -> None:
    """Wait until no script of the page runs."""
    page.wait_for_function("document.querySelector('[data-test-script-state=notRunning]')")


def answered(page: Page) -> tuple[float, str]:
    """The guess and the truth that a student is shown, once they are there."""
    figure = page.locator(".st-key-verdict .js-plotly-plot")
    figure.wait_for(timeout=MEASURE_MS)
    page.wait_for_function("document.querySelector('.st-key-verdict .js-plotly-plot').layout?.title?.text")
    title = re.sub("<[^>]*>", " ", figure.evaluate("one => one.layout.title.text")).replace("\u2212", "-")
    found = SAID.search(" ".join(title.split()))
    if found is None:
        raise PruningError("a student is shown no guess and no truth")
    return float(found[1]), found[2]


def run_class(students: int) -> dict[str, Any]:
    """Let all answer at once; seconds from the first press to each student's truth, and what each was shown."""
    from playwright.sync_api import sync_playwright

    with serving(ROOT / "app.py") as url, sync_playwright() as playwright, ExitStack() as stack:
        browser = playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
        teacher = stack.enter_context(visiting(browser, f"{url}/classroom"))
        link = open_class(teacher)
        pages = [stack.enter_context(visiting(browser, url + link)) for _ in range(students)]
        guesses = [prepare(page, number) for number, page in enumerate(pages)]
        started = time.perf_counter()
        for page in pages:
            page.locator(PRIMARY).first.click()
        seconds: list[float] = []
        answers: list[tuple[float, str]] = []
        for page in pages:
            answers.append(answered(page))
            seconds.append(time.perf_counter() - started)
        joined = teacher.get_by_test_id("stMetric").filter(has_text="Joined")
        joined.get_by_text(str(students), exact=True).wait_for(timeout=MEASURE_MS)
        truths = {number: {truth for _, truth in answers[number::SETTINGS]} for number in range(SETTINGS)}
    return {
        "students": students, "settings": SETTINGS, "seconds": seconds,
        "own_guess": sum(said == guess for (said, _), guess in zip(answers, guesses, strict=True)),
        "truths": {number: sorted(found) for number, found in truths.items()},
    }  # fmt: skip


@click.command(help="A class of students on one server, each with a browser session of their own.")
@click.option("--students", default=30, show_default=True, type=click.IntRange(1, 200))
@click.option("--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), help="Write all here.")
def main(students: int, json_file: Path | None) -> None:
    found = run_class(students) | common.surroundings(PACKAGES)
    print(
        f"{found['own_guess']} of {students} students are shown their own guess; truths by setting: {found['truths']}"
    )
    middle, last = statistics.median(found["seconds"]), max(found["seconds"])
    print(f"seconds from the first press to the truth: median {middle:.1f}, last {last:.1f}")
    if json_file is not None:
        json_file.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
