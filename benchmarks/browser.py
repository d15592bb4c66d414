"""Speed in a browser: the dashboard against a Streamlit app with next to nothing in it, in Chromium.

python -m benchmarks.browser --rounds 5 --json browser.json
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from benchmarks import common
from benchmarks.timing import HEADER, line, ratio, row
from pruning import PruningError

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = {**os.environ, "HF_HUB_OFFLINE": "1", "HEADROOM_THREADS": "1", "HEADROOM_RESULTS_MB": "0"}
ARGUMENTS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
WIDE = {"width": 1440, "height": 1100}
WAIT_SECONDS, MEASURE_MS = 120, 600_000  # only until a failure is certain, on a busy machine, too
REST_MS, STEADY_MS = 300, 700  # a part that refreshes itself does so more often than the second
PAINT_TARGET, CLICK_TARGET = 1.3, 2.0
CLICKS = 8  # in each round: they take far less time than a start
PACKAGES = ("streamlit", "plotly", "playwright")

EMPTY = 'import streamlit as st\n\nst.title("Empty")\n'
COUNTER = """import streamlit as st

def count():
    st.session_state["count"] = st.session_state.get("count", 0) + 1

st.title("Counter")
st.button("Count", on_click=count)
st.metric("Presses", st.session_state.get("count", 0))
"""

# Milliseconds since the browser was sent to the address; looked for in every frame.
HEADING = """() => {
    const heading = document.querySelector("h1");
    return heading?.checkVisibility() && heading.innerText && performance.now();
}"""
# From the event that a person causes, until a condition holds in a frame.
WATCH = """([event, condition]) => {
    window.took = null;
    const done = new Function(`return ${condition}`);
    addEventListener(event, () => {
        const since = performance.now();
        const look = () => { if (done()) window.took = performance.now() - since; else requestAnimationFrame(look); };
        requestAnimationFrame(look);
    }, { capture: true, once: true });
}"""
FIGURES = '[...document.querySelectorAll("[data-testid=stMetricValue]")].map(value => value.innerText).join()'
SCRIPT = 'document.querySelector("[data-testid=stApp]")?.dataset.testScriptState'

Part = Callable[["Browser", int], Iterator[common.Row]]


# Servers and pages ---------------------------------------------------------------------------------------------------


def chromium() -> str:
    """The Chromium that the variable names, or the first one on the path.

    Raises:
        PruningError: There is none, or nothing to drive it with.
    """
    if find_spec("playwright") is None:
        raise PruningError("playwright is not installed: .venv/bin/pip install -r requirements-dev.txt")
    names = ("chromium", "chromium-browser", "google-chrome")
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if found is None:
        raise PruningError("no Chromium here: install it, or name one in the environment variable CHROMIUM")
    return found


@contextmanager
def serving(script: Path) -> Iterator[str]:
    """The address of a fresh server of a script, with the dashboard's settings, once it says that it is healthy."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        url = f"http://localhost:{free.getsockname()[1]}"
    command = [sys.executable, "-m", "streamlit", "run", str(script), "--server.headless", "true"]
    command += ["--server.port", url.rpartition(":")[2]]
    with tempfile.TemporaryFile("w+") as log, tempfile.TemporaryDirectory() as kept:  # nobody's history is written into
        own = {**ENVIRONMENT, "XDG_CACHE_HOME": kept}
        process = subprocess.Popen(command, cwd=ROOT, env=own, stdout=log, stderr=subprocess.STDOUT)
        try:
            if not _healthy(url, process):
                log.seek(0)
                raise PruningError(f"the server of {script.name} has not started: {log.read().strip()}")
            yield url
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _healthy(url: str, process: subprocess.Popen[bytes]) -> bool:
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/_stcore/health", timeout=1) as answer:
                if answer.status == 200:
                    return True
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    return False


@contextmanager
def visiting(browser: Browser, url: str) -> Iterator[Page]:
    """A page of a browser that has seen nothing yet, on its way to an address."""
    with browser.new_context(viewport=WIDE, reduced_motion="reduce") as context:
        context.set_default_timeout(WAIT_SECONDS * 1000)
        page = context.new_page()
        page.goto(url, wait_until="commit")
        yield page


@contextmanager
def script_of(text: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "other.py"
        path.write_text(text, encoding="utf-8")
        yield path


# First paint ---------------------------------------------------------------------------------------------------------


def first_paint(browser: Browser, script: Path) -> float:
    """Seconds to the heading, for the first visitor of a fresh server."""
    with serving(script) as url, visiting(browser, url) as page:
        return page.wait_for_function(HEADING).json_value() / 1000


def paint(browser: Browser, rounds: int) -> Iterator[common.Row]:
    """The first page of a fresh server, up to its heading."""
    with script_of(EMPTY) as other:
        scripts, seconds = {"ours": ROOT / "app.py", "empty": other}, {"ours": [], "empty": []}
        for number in range(rounds):
            for name in list(scripts) if number % 2 == 0 else list(reversed(scripts)):
                seconds[name].append(first_paint(browser, scripts[name]))
    found = ratio(seconds["ours"], seconds["empty"])
    met = found.value <= PAINT_TARGET
    yield row("first paint of a fresh server against an empty page", f"<= {PAINT_TARGET}", met, found, seconds=seconds)


# A click -------------------------------------------------------------------------------------------------------------


def timed(page: Page, event: str, condition: str, act: Callable[[], None]) -> float:
    """Seconds from an event in the page to the first frame in which a condition holds."""
    settle(page)
    page.evaluate(WATCH, [event, condition])
    act()
    return page.wait_for_function("window.took").json_value() / 1000


def settle(page: Page, condition: str = "true", rest_ms: int = REST_MS) -> None:
    """Wait until nothing has run for a moment and a condition holds."""
    page.wait_for_function(
        f"""() => {{
            if ({SCRIPT} !== "notRunning" || !({condition})) window.rested = null;
            else window.rested ??= performance.now();
            return window.rested && performance.now() - window.rested > {rest_ms};
        }}""",
        timeout=MEASURE_MS,
    )


def count_up(page: Page) -> float:
    """An empty callback and the figure that it changes."""
    settle(page)
    wanted = int(page.evaluate(FIGURES)) + 1
    return timed(page, "click", f'{FIGURES} === "{wanted}"', page.get_by_role("button", name="Count").click)


def two_masks(page: Page) -> dict[str, str]:
    """What Undo and Redo lead to, as the figures on the page; both masks have been measured when this returns."""
    figures = {"Undo": measured(page)}
    page.get_by_role("button", name="Remove the layer's heads").click()
    page.wait_for_function(f'{FIGURES} !== "{figures["Undo"]}"')
    figures["Redo"] = measured(page)
    if figures["Undo"] == figures["Redo"]:
        raise PruningError(f"both masks have the figures {figures['Undo']}: nothing would be seen to change")
    return figures


def measured(page: Page) -> str:
    """The figures on the page, once they are those of all rows."""
    settle(page, 'document.querySelector("[data-testid=stMain]")?.innerText.includes("Measured on all")', STEADY_MS)
    return page.evaluate(FIGURES)


def click_to_figures(browser: Browser, rounds: int) -> Iterator[common.Row]:
    """A click that brings back a mask whose figures are known, against a callback that does nothing."""
    with ExitStack() as stack:
        other = stack.enter_context(script_of(COUNTER))
        ours, theirs = (stack.enter_context(serving(script)) for script in (ROOT / "app.py", other))
        page = stack.enter_context(visiting(browser, f"{ours}/prune"))
        figures = two_masks(page)
        counter = stack.enter_context(visiting(browser, theirs))
        counter.get_by_role("button", name="Count").wait_for()

        def press(name: str) -> float:
            button = page.get_by_role("button", name=name)
            return timed(page, "click", f"{FIGURES} === {json.dumps(figures[name])}", button.click)

        seconds: dict[str, list[float]] = {"mask": [], "callback": []}
        for _ in range(rounds * CLICKS // 2):
            for name in figures:  # back, and forth again
                seconds["mask"].append(press(name))
                seconds["callback"].append(count_up(counter))
    found = ratio(seconds["mask"], seconds["callback"])
    met = found.value < CLICK_TARGET
    name = "click to redrawn figures, cached mask, against an empty callback"
    yield row(name, f"< {CLICK_TARGET:g}", met, found, seconds=seconds)


PARTS: dict[str, Part] = {"paint": paint, "click": click_to_figures}


# The command ---------------------------------------------------------------------------------------------------------


@click.command(help="Speed in Chromium; every figure is a ratio of ways timed in turns.")
@click.option("--parts", default="all", show_default=True, help=f"Of {', '.join(PARTS)}; or all.")
@click.option(
    "--rounds", default=5, show_default=True, type=click.IntRange(min=1), help=f"Of starts, or of {CLICKS} clicks."
)
@click.option("--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), help="Write all here.")
def main(parts: str, rounds: int, json_file: Path | None) -> None:
    common.check_file(json_file, resume=False)
    chosen, path, found = common.names(parts, list(PARTS), "part"), chromium(), []
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        for name in chosen:
            for one in PARTS[name](browser, rounds):
                found.append(one)
                click.echo(" | ".join(line(one)), err=True)
                if json_file:
                    where = {**common.surroundings(PACKAGES), "chromium": browser.version}
                    value = {"provenance": where, "rows": found}
                    json_file.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
        browser.close()
    click.echo(common.table(HEADER, [line(one) for one in found]))


if __name__ == "__main__":
    common.run(main)
