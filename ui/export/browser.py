"""Figures as SVG, PNG or PDF, drawn by the Chromium of this computer. Nothing is fetched from anywhere.

Kaleido (https://github.com/plotly/Kaleido) lets plotly draw an SVG in a page of that browser. The font of the screen is
part of that page, and of every SVG: so the letters are measured with it, and the file shows it everywhere. PNG and PDF
are pictures of that SVG in the same browser, because a browser gives an image file none of its page's fonts.
"""

from __future__ import annotations

import asyncio
import base64
import os
import shutil
from collections.abc import Callable, Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import plotly.graph_objects as go

from pruning.errors import UnsupportedError, first_line
from pruning.language import Later, later

Format = Literal["svg", "png", "pdf"]
FORMATS: tuple[Format, ...] = ("svg", "png", "pdf")
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
VARIABLE = "BROWSER_PATH"
SECONDS = 60.0  # for one figure
SCALE = 2  # pixels of a PNG for each of the figure
PX_PER_INCH = 96  # of CSS
FONT_FILE = "SourceSansVF-Upright*.woff2"


def find_browser() -> str | None:
    """The browser that `BROWSER_PATH` names, or the first one on the path."""
    named = os.environ.get(VARIABLE)
    if named:
        return named if os.access(named, os.X_OK) and Path(named).is_file() else None
    return next(filter(None, map(shutil.which, NAMES)), None)


def missing() -> Later | None:
    """Why figures cannot be converted here; nothing where they can."""
    if find_spec("kaleido") is None:
        return later("the package kaleido is not installed (pip install kaleido==1.5.0)")
    if find_browser() is not None:
        return None
    if named := os.environ.get(VARIABLE):
        return later("{variable} names {program}, and there is no program there", variable=VARIABLE, program=named)
    return later(
        "there is no Chromium or Chrome on this computer (install one, or name it in {variable})", variable=VARIABLE
    )


def convert(
    figures: Sequence[go.Figure], kind: Format, progress: Callable[[int, int], None] = lambda done, total: None
) -> list[bytes]:
    """Draw figures that have a width and a height.

    Args:
        progress: Called with how many are done, and how many there are; it may raise `Cancelled`.

    Raises:
        UnsupportedError: There is no browser, or it does not draw them.
    """
    if why := missing():
        raise UnsupportedError("figures cannot be made into {kind}: {why}", kind=kind.upper(), why=why)
    try:
        return asyncio.run(_convert(figures, kind, progress))
    except (TimeoutError, OSError, RuntimeError) as error:
        raise UnsupportedError("the browser has not drawn the figure: {error}", error=first_line(error)) from error


async def _convert(figures: Sequence[go.Figure], kind: Format, progress: Callable[[int, int], None]) -> list[bytes]:
    from kaleido import Kaleido, PageGenerator

    class Page(PageGenerator):
        header = PageGenerator.header + f"<style>{font_face()}</style>"
        footer = PageGenerator.footer.replace("<img", '<p style="position:absolute;opacity:0">.<b>.</b></p><img')

    found: list[bytes] = []
    page = Page(mathjax=False)  # which would come from the network
    async with Kaleido(path=find_browser(), page_generator=page, timeout=SECONDS) as browser:
        for done, figure in enumerate(figures):
            progress(done, len(figures))
            drawn = await browser.calc_fig(figure, opts={"format": "svg"})
            svg = with_font(drawn.decode("utf-8"))
            size = figure.layout.width, figure.layout.height
            found.append(svg.encode() if kind == "svg" else await _picture(browser, svg, *size, kind))
        progress(len(figures), len(figures))
    return found


async def _picture(browser: Any, svg: str, width: float, height: float, kind: Format) -> bytes:
    """What a page that holds nothing but the SVG looks like, as pixels or on paper of its size."""
    tab = await browser.create_tab(url="", window=True)
    try:
        tree = (await tab.send_command("Page.getFrameTree"))["result"]["frameTree"]["frame"]["id"]
        page = f"<style>@page {{ margin: 0 }} body {{ margin: 0 }} svg {{ display: block }}</style>{svg}"
        await tab.send_command("Page.setDocumentContent", {"frameId": tree, "html": page})
        await tab.send_command("Runtime.evaluate", {"expression": "document.fonts.ready", "awaitPromise": True})
        if kind == "png":
            clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": SCALE}
            command, how = "Page.captureScreenshot", {"format": "png", "clip": clip, "captureBeyondViewport": True}
        else:
            size = {"paperWidth": width / PX_PER_INCH, "paperHeight": height / PX_PER_INCH}
            command, how = "Page.printToPDF", {**size, "printBackground": True, "preferCSSPageSize": False}
            how |= dict.fromkeys(("marginTop", "marginBottom", "marginLeft", "marginRight"), 0) | {"pageRanges": "1"}
        answer = await asyncio.wait_for(tab.send_command(command, how), SECONDS)
        if "result" not in answer:
            raise RuntimeError(str(answer.get("error", answer)))
        return base64.b64decode(answer["result"]["data"])
    finally:
        await browser.close_tab(tab.target_id)


def with_font(svg: str) -> str:
    """The SVG with the font in it."""
    head, mark, rest = svg.partition(">")
    return f"{head}{mark}<defs><style>{font_face()}</style></defs>{rest}" if font_face() else svg


@lru_cache(maxsize=1)
def font_face() -> str:
    """The font of the screen as a rule of CSS that holds it; empty where Streamlit keeps it elsewhere."""
    spec = find_spec("streamlit")
    home = Path(spec.origin).parent / "static" if spec and spec.origin else None
    files = sorted(home.rglob(FONT_FILE)) if home else []
    if not files:
        return ""
    data = base64.b64encode(files[0].read_bytes()).decode()
    source = f"url(data:font/woff2;base64,{data}) format('woff2')"
    return f"@font-face{{font-family:'Source Sans';font-weight:200 900;src:{source}}}"
