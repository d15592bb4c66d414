"""A dashboard that runs, and what a person does with its pages: look, click, drag, type, wait."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import Error as PlaywrightError
from playwright.sync_api import Locator, Page, expect

from pruning.masks import HeadId, Mask

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {**os.environ, "HF_HUB_OFFLINE": "1", "HEADROOM_THREADS": "1", "HEADROOM_RESULTS_MB": "0"}
# Only until a failure is certain, on a machine that is busy with other work, too.
START_SECONDS, LOAD_MS, MEASURE_MS, LOOK_SECONDS = 60, 120_000, 240_000, 30
ALL_MEASURED = "Measured on all 1,500 examples"

POINT_OF_CELL = """(figure, [site, head]) => {
    if (!figure._fullLayout?.xaxis?._length) return null; // not drawn yet
    figure.since ??= performance.now();
    if (performance.now() - figure.since < 250) return null; // an edit replaces the picture: wait until it rests
    const { xaxis, yaxis } = figure._fullLayout, { x, y } = figure.getBoundingClientRect();
    return [x + xaxis._offset + xaxis.d2p(head), y + yaxis._offset + yaxis.d2p(site)];
}"""
CROSSES = """(figure) => {
    const { x, y } = figure.data?.at(-1) ?? { x: [] }, found = [];
    for (let i = 0; i < x.length; i += 6) found.push([Math.round(y[i] + 0.32), Math.round(x[i] + 0.32)]);
    return found;
}"""


class Server:
    """`streamlit run app.py`, on a free port by default."""

    def __init__(self, log: Path, port: int | None = None) -> None:
        self.url, self._log = f"http://localhost:{port or _free_port()}", log
        command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.headless", "true"]
        command += ["--server.port", self.url.rpartition(":")[2]]
        home = {"XDG_CACHE_HOME": str(log.parent), "HEADROOM_DATABASE": f"sqlite:///{log.with_name('history.sqlite')}"}
        own = {**ENVIRONMENT, **home}
        with log.open("w") as file:
            self._process = subprocess.Popen(command, cwd=ROOT, env=own, stdout=file, stderr=subprocess.STDOUT)
        self._wait()

    @property
    def log(self) -> str:
        return self._log.read_text()

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _wait(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.url}/_stcore/health", timeout=1) as answer:
                    if answer.status == 200:
                        return
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        self.stop()
        raise RuntimeError(f"the dashboard has not started:\n{self.log}")


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("localhost", 0))
        return one.getsockname()[1]


class Dashboard:
    """One browser page and what can be done with it. Every step waits for its own effect."""

    def __init__(self, page: Page, url: str) -> None:
        self.page, self.url = page, url

    # Going and waiting -------------------------------------------------------------------------------------------

    def open(self, path: str = "/") -> Dashboard:
        self.page.goto(self.url + path)
        self.page.get_by_role("heading", level=1).wait_for()
        return self

    def ready(self) -> Dashboard:
        """The model is in memory and the script at rest."""
        expect(self.sidebar.get_by_text("Ready ·")).to_be_visible(timeout=LOAD_MS)
        return self.settled()

    def settled(self) -> Dashboard:
        """No script runs: what is on the page belongs together."""
        expect(self.page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")
        return self

    def measured(self, text: str = ALL_MEASURED) -> Dashboard:
        """The evaluation of what is on the page is complete."""
        self.settled()
        expect(self.page.get_by_text(text)).to_be_visible(timeout=MEASURE_MS)
        return self.settled()

    def until(self, found: Callable[[], object], wanted: object, seconds: float = LOOK_SECONDS) -> Dashboard:
        """Look again and again until something is as it should be."""
        deadline = time.monotonic() + seconds
        while (last := found()) != wanted:
            assert time.monotonic() < deadline, f"{last} is still not {wanted}"
            self.page.wait_for_timeout(40)
        return self

    @property
    def sidebar(self) -> Locator:
        return self.page.get_by_test_id("stSidebar")

    def button(self, name: str) -> Locator:
        """A button by how its name begins: shortcuts are part of it."""
        return self.page.get_by_role("button", name=re.compile(rf"^{re.escape(name)}"))

    def press(self, name: str) -> Dashboard:
        self.settled().button(name).click()
        return self

    # The mask ----------------------------------------------------------------------------------------------------

    @property
    def parameters(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(urlsplit(self.page.url).query).items()}

    def removes(self, heads: str, total: int = 72) -> Dashboard:
        """Wait until exactly these heads (``"0:3,2:5"``) are removed: in the count, the link and the picture."""
        wanted = Mask.parse_heads(heads)
        expect(self.page.get_by_text(f"Removed {len(wanted.heads)} of {total} heads")).to_be_visible()
        self.settled()
        self.until(lambda: self.parameters.get("mask", ""), wanted.to_code())
        return self.until(self.shown, wanted.heads)

    def shown(self) -> frozenset[HeadId]:
        """The heads that are crossed out in the picture, or pressed in the grid."""
        if self.page.locator(".js-plotly-plot").count():
            return frozenset(HeadId(*pair) for pair in self.figure.evaluate(CROSSES))
        pressed = self.page.locator("button.cell[aria-pressed=true]")
        names = pressed.evaluate_all("cells => cells.map(cell => cell.getAttribute('aria-label'))")
        return frozenset(HeadId(*map(int, re.match(r"Layer (\d+), head (\d+)", name).groups())) for name in names)

    # The picture -------------------------------------------------------------------------------------------------

    @property
    def figure(self) -> Locator:
        return self.page.locator(".js-plotly-plot").first

    def point(self, head: str) -> tuple[float, float]:
        """Where the middle of a cell (``"2:5"``) is on the screen, by the picture's own axes."""
        place = [*map(int, head.split(":"))]
        found: list[list[float]] = []

        def look() -> bool:
            try:
                self.figure.scroll_into_view_if_needed()
                found[:] = [at] if (at := self.figure.evaluate(POINT_OF_CELL, place)) else []
            except PlaywrightError:  # drawn anew while we looked
                found.clear()
            return bool(found)

        self.until(look, True)
        return found[0][0], found[0][1]

    def click_cell(self, head: str) -> Dashboard:
        self.settled().page.mouse.click(*self.point(head))
        return self

    def drag_cells(self, first: str, last: str) -> Dashboard:
        """Drag a box from the middle of one cell to the middle of another, and a little further."""
        self.settled()
        (x, y), (to_x, to_y) = self.point(first), self.point(last)
        self.page.mouse.move(x - 8, y - 8)
        self.page.mouse.down()
        self.page.mouse.move((x + to_x) / 2, (y + to_y) / 2, steps=4)
        self.page.mouse.move(to_x + 8, to_y + 8, steps=4)
        self.page.mouse.up()
        return self

    # Widgets -----------------------------------------------------------------------------------------------------

    def tool(self, name: str) -> Dashboard:
        self.settled().page.get_by_role("radio", name=name).click()
        expect(self.page.get_by_role("radio", name=name)).to_be_checked()
        return self.settled()

    def cell(self, head: str) -> Locator:
        """The button of a head in the grid."""
        site, index = head.split(":")
        return self.page.locator(f"button.cell[aria-label^='Layer {site}, head {index},']")

    def box(self, label: str) -> Locator:
        # While a busy browser replaces a picker, both are there for a moment; the new one comes first.
        return self.page.get_by_role("combobox", name=label, exact=True).first

    def choose(self, label: str, option: str) -> Dashboard:
        wanted = self.page.get_by_role("option", name=option, exact=True)

        def opened() -> bool:
            if not wanted.is_visible():  # a list closes when the page moves below it
                self.settled().box(label).click()
            return wanted.is_visible()

        self.until(opened, True)
        wanted.click()
        return self

    def enter(self, label: str, text: str) -> Dashboard:
        """Type something into a box that takes new entries."""
        self.settled().box(label).click()
        self.box(label).fill(text)
        self.box(label).press("Enter")
        return self

    def slider(self, label: str) -> Locator:
        return self.page.get_by_role("slider", name=re.compile(f"^{label}"))

    def slide(self, label: str, *keys: str) -> Dashboard:
        self.settled()
        for key in keys:
            self.slider(label).press(key)
        return self

    def rows(self) -> dict[str, list[str]]:
        """The table of metrics: the cells after each name, and the headings under the empty name."""
        lines = self.page.get_by_test_id("stMain").locator("table tr")
        cells = lines.evaluate_all("rows => rows.map(row => [...row.cells].map(cell => cell.innerText.trim()))")
        return {name: rest for name, *rest in cells}
