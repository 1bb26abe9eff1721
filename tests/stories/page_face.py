"""The face that people see: every action through its form on the web page, in a real browser."""
from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from shared.contracts.action import Action
from tests.stories.faces import PATIENCE_S, Reply
from tests.support.chromium import browser


FILL = """([texts, wait]) => {
    const write = (field, text) => {
        const kind = { INPUT: HTMLInputElement, TEXTAREA: HTMLTextAreaElement, SELECT: HTMLSelectElement }[field.tagName];
        Object.getOwnPropertyDescriptor(kind.prototype, "value").set.call(field, text);
        field.dispatchEvent(new Event(field.tagName === "SELECT" ? "change" : "input", { bubbles: true }));
    };
    if (wait !== null) write(document.getElementById("wait-s"), wait);
    for (const [name, text] of Object.entries(texts)) {
        const field = [...document.querySelectorAll("main form [id^=form-]")].find((one) => one.id.endsWith(`-${name}`));
        if (!field) return [name, "parameter.unknown"];
        // There is no such choice; a field of one line holds no second one.
        if (field.tagName === "SELECT" && ![...field.options].some((option) => option.value === text)) return [name, "parameter.invalid"];
        if (field.tagName === "INPUT" && text.includes("\\n")) return [name, "parameter.invalid"];
        write(field, text);
    }
    return null;
}"""
"""Fills the form as typing does, in one step: a browser that is asked for each field takes most of a story's time."""


class _NotSent(Exception):
    """The page keeps a form to itself, with the reply that says why."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply


class Page:
    """The page at ``/web/actions``: forms are filled and sent, and what the page shows is what counts."""

    name = "page"

    def __init__(self, url: str) -> None:
        self._url = url
        self._open = ExitStack()
        self._page = self._open.enter_context(browser()).new_page()
        self._page.set_default_timeout(PATIENCE_S * 1000)
        self._page.goto(f"{url}/web/actions")
        self._page.get_by_role("heading", name="All actions").wait_for()

    def call(self, row: Action, parameters: Mapping[str, Any], wait_s: float | None = None,
             headers: Mapping[str, str] | None = None) -> Reply:
        page = self._page
        # Away, to where there is nothing to be drawn, and back: the form is a new one each time.
        for address in ("/web/none", f"/web/actions/{row.name}"):
            page.evaluate("address => { history.pushState({}, '', address); dispatchEvent(new PopStateEvent('popstate')); }", address)
        page.locator("main h1", has_text=re.compile(f"^{re.escape(' '.join(row.path))}$")).wait_for()
        if row.confirm:
            page.get_by_role("button", name="Show the form").click()
        texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in parameters.items()}
        wait = f"{wait_s:g}" if wait_s is not None and row.wait is not None else None
        page.locator("main form button[type=submit]").wait_for()
        if refused := page.evaluate(FILL, [texts, wait]):
            # The form has no field for what the action does not take, or no such choice: the page cannot even ask.
            name, code = refused
            return Reply(422, None, code, [f"/{name}"])
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
        page = self._page
        try:
            with page.expect_response(lambda answer: answer.url.partition("?")[0] == self._url + row.address, timeout=PATIENCE_S * 1000) as found:
                page.locator("main form button[type=submit]").click()
                wrong = page.locator("main form .field .wrong", has_text="Not valid JSON")
                if wrong.count():
                    # What is no JSON is said beside its field, and not sent.
                    name = wrong.first.get_attribute("id").split("-", 2)[2].removesuffix("-about")
                    raise _NotSent(Reply(422, None, "parameter.invalid", [f"/{name}"], {}, wrong.first.inner_text()))
            return found.value
        except _NotSent as kept:
            return kept.reply

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
