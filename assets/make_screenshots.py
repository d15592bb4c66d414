"""Take the screenshots of the README: each page, light and dark, on the built-in model and data.

python assets/make_screenshots.py [NAME …]        # needs requirements-dev.txt and a Chromium
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "assets" / "screenshots"
WIDTH, MOST_HEIGHT, PATIENCE_MS, SETTLE_MS = 1440, 1500, 900_000, 2500
REMOVED = 29  # of 72 heads
MAIN, PICTURE = "[data-testid=stMain] h1", "[data-testid=stMain] .js-plotly-plot"
PRIMARY = "[data-testid=stMain] [data-testid=stBaseButton-primary]"
DONE = "[data-testid=stMain]:not(:has([data-testid=stProgress]))"
CHROMIUM = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]


@contextmanager
def served() -> Iterator[str]:
    """The dashboard on a free port, until the end of the ``with``."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "streamlit",
        "run",
        "app.py",
        "--server.port",
        str(port),
        "--server.headless",
        "true",
    ]
    kept = tempfile.mkdtemp()  # a history of its own: nobody's is written into
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HEADROOM_DATABASE": f"sqlite:///{kept}/history.sqlite"}
    server = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    try:
        address = f"http://localhost:{port}"
        for _ in range(120):
            try:
                urllib.request.urlopen(f"{address}/_stcore/health", timeout=1)
                break
            except (urllib.error.URLError, OSError):
                time.sleep(0.5)
        yield address
    finally:
        server.terminate()
        server.wait()
        shutil.rmtree(kept, ignore_errors=True)


def lowest_mask() -> str:
    """The mask code that removes the least important heads under the default criterion."""
    sys.path.insert(0, str(ROOT))
    from ui.store import kept_maps

    return kept_maps()["gradient"].lowest(REMOVED).to_code()


@dataclass(frozen=True)
class Shot:
    """One page as it is shown.

    Attributes:
        path: With the link's parameters.
        ready: A selector of what is there when all is measured.
        press: Of a button that starts it.
        both: Take the dark one in Chinese.
    """

    name: str
    path: str
    ready: str
    press: str = ""
    both: bool = False


def shots(mask: str) -> list[Shot]:
    """Every page, the quick ones first: what one has measured the next need not measure."""
    return [
        Shot("home", "/", "text=Ready ·"),
        Shot("data", "/data", "text=Up to 25 MB"),
        Shot("explore", "/explore", "text=Ready ·"),
        Shot("prune", f"/prune?mask={mask}", "text=Measured on all"),
        Shot("compare", f"/compare?mask={mask}", "text=B is "),
        Shot("head", "/head?head=3.9", "text=Accuracy 87"),
        Shot("tradeoff", "/tradeoff?data=tweets", "text=Download the table", "button:has-text('Start the sweep')"),
        Shot("recover", f"/recover?mask={mask}", "text=Ready ·"),
        Shot("export", f"/export?mask={mask}", "text=Make the checkpoint"),
        Shot("history", "/history", "text=All records"),
        Shot("questions", "/questions?question=mask-or-cut", MAIN, both=True),
        Shot("class", "/classroom", MAIN, both=True),
        *(Shot(f"present-{step}", f"/present?step={step}", DONE, both=True) for step in (2, 3, 4, 7)),
        *(Shot(f"lesson-{one}", f"/learn?lesson={one}", PICTURE, PRIMARY, both=True) for one in lesson_names()),
        Shot("learn", "/learn", MAIN, both=True),
    ]


def lesson_names() -> list[str]:
    from ui.learn.content import outline

    return [row["slug"] for row in outline()]


def shoot(browser: Browser, address: str, chosen: Sequence[Shot]) -> None:
    """All in one theme by one visitor, then all in the other: the history shows what a visitor has done."""
    for scheme in ("light", "dark"):
        context = browser.new_context(color_scheme=scheme, viewport={"width": WIDTH, "height": 1000})
        for shot in chosen:
            own = (
                f"{shot.path}{'&' if '?' in shot.path else '?'}lang=zh" if shot.both and scheme == "dark" else shot.path
            )
            take(context.new_page(), address, replace(shot, path=own), OUT / f"{shot.name}-{scheme}.png")
        context.close()


def take(page: Page, address: str, shot: Shot, path: Path) -> None:
    """Open a page, wait until all is there, and keep the picture."""
    page.goto(address + shot.path)
    page.get_by_text(re.compile("(Ready|就绪) ·")).first.wait_for(timeout=PATIENCE_MS)
    page.wait_for_timeout(SETTLE_MS)
    if shot.press:
        page.locator(shot.press).first.click()
    page.locator(shot.ready).first.wait_for(timeout=PATIENCE_MS)
    page.wait_for_timeout(SETTLE_MS)
    fit(page)
    page.screenshot(path=path)
    page.close()


def fit(page: Page) -> None:
    """Make the window as tall as the page, so that nothing is cut off in the middle."""
    height = page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
    page.set_viewport_size({"width": WIDTH, "height": min(MOST_HEIGHT, height)})
    page.wait_for_timeout(2500)  # figures redraw at the new size


def main(names: Sequence[str]) -> None:
    OUT.mkdir(exist_ok=True)
    binary = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    with served() as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=binary, args=CHROMIUM)
        shoot(browser, address, [shot for shot in shots(lowest_mask()) if not names or shot.name in names])
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1:])
