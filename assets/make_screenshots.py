"""Take the screenshots of the README: each page, light and dark, on the built-in model and data.

python assets/make_screenshots.py        # needs requirements-dev.txt and a Chromium
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "assets" / "screenshots"
WIDTH, MOST_HEIGHT, PATIENCE_MS = 1440, 1500, 300_000
REMOVED = 29  # of 72 heads
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
    server = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "HF_HUB_OFFLINE": "1"}, stdout=subprocess.DEVNULL)
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


def lowest_mask() -> str:
    """The mask code that removes the least important heads under the default criterion."""
    sys.path.insert(0, str(ROOT))
    from ui.store import kept_maps

    return kept_maps()["gradient"].lowest(REMOVED).to_code()


def shoot(browser: Browser, address: str, path: str, name: str, ready: str) -> None:
    for scheme in ("light", "dark"):
        page = browser.new_page(color_scheme=scheme, viewport={"width": WIDTH, "height": 1000})
        page.goto(address + path)
        page.get_by_text(ready).first.wait_for(timeout=PATIENCE_MS)
        fit(page)
        page.screenshot(path=OUT / f"{name}-{scheme}.png")
        page.close()


def fit(page: Page) -> None:
    """Make the window as tall as the page, so that nothing is cut off in the middle."""
    height = page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
    page.set_viewport_size({"width": WIDTH, "height": min(MOST_HEIGHT, height)})
    page.wait_for_timeout(2500)  # figures redraw at the new size


def main() -> None:
    OUT.mkdir(exist_ok=True)
    binary = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    with served() as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=binary, args=CHROMIUM)
        shoot(browser, address, f"/prune?mask={lowest_mask()}", "prune", "Measured on all")
        shoot(browser, address, "/", "explore", "Ready ·")
        browser.close()


if __name__ == "__main__":
    main()
