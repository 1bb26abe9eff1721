"""The face that people see: every action through its form on the web page, in a real browser."""
from __future__ import annotations

import json
import time
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from shared.contracts.action import Action
from tests.stories.faces import PATIENCE_S, Reply
from tests.support.chromium import browser


class Page:
    """The page at ``/web/actions``: forms are filled and sent, and what the page shows is what counts."""

    name = "page"

    def __init__(self, url: str) -> None:
        self._url = url
        self._open = ExitStack()
        self._page = self._open.enter_context(browser()).new_page()
        self._page.set_default_timeout(PATIENCE_S / 2 * 1000)
        self._page.goto(f"{url}/web/actions")
        self._page.get_by_role("heading", name="All actions").wait_for()

    def call(self, row: Action, parameters: Mapping[str, Any], wait_s: float | None = None,
             headers: Mapping[str, str] | None = None) -> Reply:
        page = self._page
        # Away, to where there is nothing to be drawn, and back: the form is a new one each time.
        for address in ("/web/none", f"/web/actions/{row.name}"):
            page.evaluate("address => { history.pushState({}, '', address); dispatchEvent(new PopStateEvent('popstate')); }", address)
        page.get_by_role("heading", name=" ".join(row.path), exact=True).wait_for()
        if row.confirm:
            page.get_by_role("button", name="Show the form").click()
        if wait_s is not None and row.wait is not None:
            page.get_by_label("Seconds to wait for the end").fill(f"{wait_s:g}")
        more = page.locator("main form details:not(.lines) > summary")
        if parameters and more.count():
            more.click()
        for name, value in parameters.items():
            text = value if isinstance(value, str) else json.dumps(value)
            field = page.locator(f"main form [id^=form-][id$='-{name}']")
            if not field.count():
                # The form has no field for what the action does not take: the page cannot even ask.
                return Reply(422, None, "parameter.unknown", [f"/{name}"])
            if field.evaluate("element => element.tagName === 'SELECT'"):
                if text not in field.evaluate("element => [...element.options].map(option => option.value)"):
                    return Reply(422, None, "parameter.invalid", [f"/{name}"])  # there is no such choice
                field.select_option(text)
            elif "\n" in text and field.evaluate("element => element.tagName === 'INPUT'"):
                return Reply(422, None, "parameter.invalid", [f"/{name}"])  # a field of one line holds none
            else:
                field.fill(text)
        answer = self._sent(row)
        if isinstance(answer, Reply):
            return answer
        if answer.status >= 400:
            refusal = page.locator("main form .refusal")
            refusal.wait_for()
            problem = answer.json()
            assert problem["detail"] in refusal.inner_text()
            pointers = [error.get("pointer", "") for error in problem.get("errors") or []]
            return Reply(answer.status, None, refusal.locator(".code").inner_text(), pointers, {}, refusal.inner_text())
        shown = page.locator("main section pre").inner_text()
        return Reply(answer.status, json.loads(shown), text=shown)

    def _sent(self, row: Action) -> Any:
        """The browser's response to the form, or the reply that the page gives by itself."""
        page, answers = self._page, []

        def hear(answer: Any) -> None:
            if answer.url.partition("?")[0] == self._url + row.address:
                answers.append(answer)
        page.on("response", hear)
        try:
            page.locator("main form button[type=submit]").click()
            deadline = time.monotonic() + PATIENCE_S
            while not answers:
                assert time.monotonic() < deadline, "the form was neither sent nor refused"
                wrong = page.locator("main form .field .wrong", has_text="Not valid JSON")
                if wrong.count():
                    # What is no JSON is said beside its field, and not sent.
                    name = wrong.first.get_attribute("id").split("-", 2)[2].removesuffix("-about")
                    return Reply(422, None, "parameter.invalid", [f"/{name}"], {}, wrong.first.inner_text())
                page.wait_for_timeout(20)
        finally:
            page.remove_listener("response", hear)
        return answers[-1]

    def content(self, row: Action, parameters: Mapping[str, Any]) -> bytes:
        page = self._page
        page.evaluate("address => { history.pushState({}, '', address); dispatchEvent(new PopStateEvent('popstate')); }",
                      f"/web/instances/{parameters['id']}")
        with page.expect_download() as download:
            page.get_by_role("button", name="Download").first.click()
        with open(download.value.path(), "rb") as got:
            return got.read()

    def fits(self, status: int | list[int], exit_code: int | None, reply: Reply) -> bool:
        """Whether the answer had one of the statuses."""
        return reply.status in (status if isinstance(status, list) else [status])

    def close(self) -> None:
        """End the browser."""
        self._open.close()
