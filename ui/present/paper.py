"""A page of HTML on paper, printed by the Chromium of this computer. Nothing is fetched from anywhere."""

from __future__ import annotations

import asyncio
import base64

from pruning.errors import UnsupportedError, first_line
from ui.export.browser import SECONDS, find_browser, missing

A4_INCHES = {"paperWidth": 8.27, "paperHeight": 11.69}
MARGIN_INCHES = 0.6


def print_pdf(page: str) -> bytes:
    """Print a page that needs nothing but itself.

    Raises:
        UnsupportedError: There is no browser, or it does not print.
    """
    if why := missing():
        raise UnsupportedError("the page cannot be made into PDF: {why}", why=why)
    try:
        return asyncio.run(_print(page))
    except (TimeoutError, OSError, RuntimeError) as error:
        raise UnsupportedError("the browser has not printed the page: {error}", error=first_line(error)) from error


async def _print(page: str) -> bytes:
    from kaleido import Kaleido, PageGenerator

    how = {**A4_INCHES, "printBackground": True}
    how |= dict.fromkeys(("marginTop", "marginBottom", "marginLeft", "marginRight"), MARGIN_INCHES)
    async with Kaleido(path=find_browser(), page_generator=PageGenerator(mathjax=False), timeout=SECONDS) as browser:
        tab = await browser.create_tab(url="", window=True)
        try:
            tree = (await tab.send_command("Page.getFrameTree"))["result"]["frameTree"]["frame"]["id"]
            await tab.send_command("Page.setDocumentContent", {"frameId": tree, "html": page})
            await tab.send_command("Runtime.evaluate", {"expression": "document.fonts.ready", "awaitPromise": True})
            answer = await asyncio.wait_for(tab.send_command("Page.printToPDF", how), SECONDS)
            if "result" not in answer:
                raise RuntimeError(str(answer.get("error", answer)))
            return base64.b64decode(answer["result"]["data"])
        finally:
            await browser.close_tab(tab.target_id)
