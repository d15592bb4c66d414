"""What a newcomer meets on a server that has just been started."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Request, expect

from pruning.masks import Mask
from tests.e2e.driver import Dashboard, Server

pytestmark = pytest.mark.e2e


class Requests(list[Request]):
    def note(self, request: Request) -> None:
        self.append(request)


def test_the_heatmap_is_there_before_the_model_and_nothing_leaves_the_computer(
    browser: Browser, start_server: Callable[[], Server]
) -> None:
    server, requests = start_server(), Requests()
    with browser.new_context() as context:
        page = context.new_page()
        page.on("request", requests.note)
        dashboard = Dashboard(page, server.url).open()
        expect(dashboard.figure).to_be_visible()
        expect(dashboard.sidebar.get_by_text("Loading:")).to_be_visible()
        assert dashboard.figure.evaluate("figure => figure.data[0].z.map(row => row.length)") == [12] * 6
        dashboard.ready()
        dashboard.sidebar.get_by_role("link", name="Prune").click()
        dashboard.removes("").figure.wait_for()
    server.stop()
    schemes = {urlsplit(request.url).scheme: request for request in requests}
    outside = {request.url for request in requests if urlsplit(request.url).hostname not in (None, "localhost")}
    assert outside == set()
    assert schemes.keys() <= {"http", "ws", "data", "blob"}
    assert "Traceback" not in server.log


def test_a_deep_link_works_as_the_very_first_request(
    visit: Callable[..., Dashboard], start_server: Callable[[], Server]
) -> None:
    server, heads = start_server(), "0:3,2:5,5:11"
    code = Mask.parse_heads(heads).to_code()
    dashboard = visit(f"/prune?mask={code}&criterion=entropy&data=tweets", at=server)
    dashboard.removes(heads)
    expect(dashboard.page.get_by_role("heading", name="Prune")).to_be_visible()
    expect(dashboard.box("Criterion")).to_have_value("Attention entropy")
    dashboard.ready().measured("Measured on all 500 examples").removes(heads)
    assert dashboard.parameters == {"mask": code, "criterion": "entropy", "data": "tweets"}
    server.stop()
    assert "Traceback" not in server.log
