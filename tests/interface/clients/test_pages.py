"""The pages of documents in a real browser: nothing from elsewhere, no error, and Swagger UI shows the actions."""
from __future__ import annotations

import pytest

from tests.support.chromium import browser


@pytest.fixture(scope="module")
def running():
    with browser() as made:
        yield made


@pytest.mark.parametrize(("path", "shown"), [
    ("/docs", "h3[id='do.datarequest.create']"), ("/asyncapi", "tr[id='datarequest.needed']"), ("/docs/try", ".opblock-tag"),
])
def test_a_page_shows_itself_under_its_policy(running, server, path, shown):
    page = running.new_page()
    asked, faults = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(server.url + path)
    page.wait_for_selector(shown, timeout=60_000)
    assert faults == []
    assert [url for url in asked if not url.startswith((server.url, "data:"))] == []
    page.close()


def test_an_answer_of_the_api_is_shown_where_it_was_tried(running, server):
    page = running.new_page()
    page.goto(f"{server.url}/docs/try")
    page.locator(".opblock-tag", has_text="do identity").click(timeout=60_000)
    row = page.locator(".opblock", has=page.locator("[data-path='/edgemere/diml/dml/do/identity/show']")).first
    row.locator(".opblock-summary-control").first.click(timeout=60_000)
    row.locator("button.execute").click()
    shown = row.locator(".live-responses-table .response-col_description .microlight, .live-responses-table .highlight-code").first
    shown.wait_for(timeout=30_000)
    assert '"owner"' in shown.inner_text()
    page.close()
