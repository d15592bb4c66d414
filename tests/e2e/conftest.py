"""A running dashboard and a browser for every test in this folder; without a Chromium they are skipped."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, expect, sync_playwright

from tests.e2e.driver import ENVIRONMENT, ROOT, Dashboard, Server

ARGUMENTS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
WIDE = {"width": 1440, "height": 1100}
TIMEOUT_MS = 30_000


def chromium() -> str | None:
    """The Chromium that the variable names, or the first one on the path."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)


# Packages, not sessions: Playwright's event loop must be gone before other tests run. A browser for each file, so that
# one that dies takes no other file with it.


@pytest.fixture(scope="package")
def playwright() -> Iterator[Playwright]:
    if chromium() is None:
        pytest.skip("no Chromium here: install it, or name one in the environment variable CHROMIUM")
    expect.set_options(timeout=TIMEOUT_MS)
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    browser = playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
    yield browser
    browser.close()


@pytest.fixture(scope="package")
def start_server(playwright: Playwright, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Server]]:
    """Start a fresh dashboard whenever called; whatever still runs at the end is stopped."""
    servers: list[Server] = []

    def start() -> Server:
        servers.append(Server(tmp_path_factory.mktemp("server") / "log.txt"))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture(scope="package")
def server(start_server: Callable[[], Server]) -> Server:
    """The dashboard that most tests share: what they do to it stays in their own sessions."""
    return start_server()


@pytest.fixture
def visit(browser: Browser, server: Server) -> Iterator[Callable[..., Dashboard]]:
    """Open a page in a browser of its own (a new session); every page must end without an exception on it."""
    contexts: list[BrowserContext] = []

    def open_page(path: str = "/", at: Server | None = None, **settings: Any) -> Dashboard:
        context = browser.new_context(**{"viewport": WIDE, "reduced_motion": "reduce", **settings})
        context.set_default_timeout(TIMEOUT_MS)
        contexts.append(context)
        return Dashboard(context.new_page(), (at or server).url).open(path)

    yield open_page
    pages = [page for context in contexts for page in context.pages]
    exceptions = [text for page in pages for text in _exceptions(page)]
    for context in contexts:
        context.close()
    assert exceptions == []


def _exceptions(page: Page) -> list[str]:
    return page.get_by_test_id("stException").all_inner_texts()


@pytest.fixture(scope="package")
def reference() -> Iterator[Callable[[str], dict[str, Any]]]:
    """What the command line says about the built-in model without some heads; it measures while the browser works."""
    started: dict[str, Future] = {}
    with ThreadPoolExecutor(1) as pool:

        def result(heads: str, wait: bool = True) -> dict[str, Any]:
            if heads not in started:
                started[heads] = pool.submit(evaluate_by_command, heads)
            return started[heads].result() if wait else {}

        yield result


def evaluate_by_command(heads: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "pruning", "evaluate", "demo", "--data", "demo", "--threads", "1", "--json", "-"]
    if heads:
        command += ["--heads", heads]
    done = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.fixture(scope="package")
def small_reviews(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CSV file of 24 rows in words that the tiny model knows, half for calibration and half for evaluation."""
    from tests.families import texts_of

    path = tmp_path_factory.mktemp("data") / "small reviews.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label", "split"])
        for row, text in enumerate(texts_of(24)):
            writer.writerow([text, row // 2 % 2, ("calibration", "evaluation")[row % 2]])
    return path
