"""Every screen, narrow and wide, light and dark: nothing wrong is found by axe, nothing sticks out, nothing is refused."""
from __future__ import annotations

import re

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.browser.conftest import harmed, settled

SCREENS = (
    "", "requests", "requests/everything", "requests/nowhere", "requests/waiting", "new?q=name:*.csv", "references",
    "references/training", "instances", "instances/everything-0", "instances/copies-0", "reservations", "sources", "sources/lab",
    "sources?new=1", "data", "policies", "events", "events/dead", "operations", "actions", "actions/do.datarequest.create", "health",
)
# What a value looks like that was shown in another form than it has.
NONSENSE = re.compile(r".{0,30}(?:NaN|\[object |undefined).{0,30}")
FORMS = ((1440, "light"), (360, "dark"))


@pytest.mark.parametrize(("width", "scheme"), FORMS)
def test_every_screen_is_accessible_and_fits(visit, width, scheme):
    page = visit(width=width, scheme=scheme)
    axe, found = Axe(), {}
    for screen in SCREENS:
        page.goto(page.url.split("/web")[0] + "/web/" + screen)
        page.wait_for_selector("main h1")
        settled(page)
        faults = [f"{fault['id']}: {fault['nodes'][0]['html'][:160]}" for fault in axe.run(page).response["violations"]]
        over = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        if over > 0:
            faults.append(f"sticks out by {over} px")
        page.evaluate("document.querySelectorAll('main details').forEach((one) => { one.open = true; })")
        page.wait_for_timeout(50)
        settled(page)
        if nonsense := NONSENSE.search(page.locator("main").inner_text()):
            faults.append(f"says {nonsense[0]!r}")
        if harmed(page):
            faults.append("what somebody typed became a part of the page")
        if page.locator("main .refusal").count():
            faults.append(page.locator("main .refusal").first.inner_text())
        if faults:
            found[screen] = faults
    assert found == {}, "\n".join(f"{screen}: {faults}" for screen, faults in found.items())


def test_a_wide_screen_is_used_and_nothing_is_torn(visit):
    page = visit("requests", width=3840, height=2160)
    assert page.locator("main").bounding_box()["width"] > 1500


def test_the_page_works_from_the_keyboard(visit):
    page = visit("sources")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    button = page.get_by_role("button", name="Register a source")
    button.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Register a source")
    dialog.wait_for()
    assert page.evaluate("document.querySelector('dialog').contains(document.activeElement)")
    page.keyboard.press("Escape")
    dialog.wait_for(state="detached")
