"""The login on the page, in a real browser: asked for, refused, kept from scripts, and asked for again without losing what was typed."""
from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.interface.gateway.locked import DO, eventually, locked


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    running = locked(tmp_path_factory.mktemp("locked-page"))
    with running:
        yield running
    running.provider.server.shutdown()


@pytest.fixture
def page(chromium):
    context = chromium.new_context()
    context.set_default_timeout(120_000)
    yield context.new_page()
    context.close()


FMDM = "/edgemere/diml/dml/fmdm"
SOON_MS = 120_000


def is_live(page):
    page.get_by_text("Live", exact=True).wait_for(timeout=SOON_MS)


def session_of(server):
    """The cookie of a new session, as Playwright takes it."""
    answer = server.ask("/web/session", None, "POST", json={"credential": server.key}, headers={"Origin": server.url})
    name, _, value = answer.headers["Set-Cookie"].split(";")[0].partition("=")
    return {"name": name, "value": value, "url": server.url}


def log_in(page, key):
    page.get_by_label("Key or token").fill(key)
    page.get_by_role("button", name="Log in").click()


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (360, "dark")])
def test_the_login_is_accessible_and_fits(server, chromium, width, scheme):
    context = chromium.new_context(viewport={"width": width, "height": 780}, color_scheme=scheme)
    page = context.new_page()
    page.goto(f"{server.url}/web/new")
    log_in(page, "edk_nonsense")
    page.get_by_role("alert").filter(has_text="not a whole key").wait_for()
    assert [(fault["id"], fault["nodes"][0]["html"][:160]) for fault in Axe().run(page).response["violations"]] == []
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    context.close()


def test_the_page_asks_for_a_login_and_asks_again_without_losing_what_was_typed(server, page):
    made = server.make_key("for-the-browser", owner="ann", roles=["DataScientist", "ApplicationDeveloper"])
    page.goto(f"{server.url}/web/new")
    log_in(page, "edk_nonsense")
    page.get_by_role("alert").filter(has_text="not a whole key").wait_for()
    log_in(page, made["key"])
    page.get_by_role("button", name="Log out").wait_for()
    is_live(page)
    assert "edk_" not in page.evaluate("document.cookie + JSON.stringify({...localStorage, ...sessionStorage})")
    cookie = page.context.cookies()[0]
    assert cookie["httpOnly"] and cookie["sameSite"] == "Strict" and made["key"] not in cookie["value"]
    page.get_by_label("What data do you need?").fill("kind:typed-before-the-login-ended")
    page.get_by_label("name", exact=True).fill("typed before")
    server.ask(f"{DO}/apikey/revoke", method="POST", json={"id": made["id"]})
    again = server.make_key("for-the-browser-again", owner="ann", roles=["DataScientist", "ApplicationDeveloper"])
    page.get_by_text("What you have typed stays as it is.").wait_for()
    log_in(page, again["key"])
    is_live(page)
    page.get_by_role("button", name="Ask for it").click()
    page.get_by_role("heading", name="typed before").wait_for()
    shown = server.ask(f"{DO}/datarequest/show", again["key"], params={"id": "typed before"}).json()
    assert shown["owner"] == "ann" and "typed-before-the-login-ended" in str(shown["query"])
    page.get_by_role("button", name="Log out").click()
    page.get_by_label("Key or token").wait_for()
    assert not page.context.cookies()


def test_a_page_that_asks_for_nothing_hears_that_its_login_ended_and_goes_on_with_the_next(server, page):
    made, again = (server.make_key(name, owner="ann", roles=["DataScientist"]) for name in ("quiet", "quiet-again"))
    page.goto(f"{server.url}/web/actions")
    log_in(page, made["key"])
    is_live(page)
    server.ask(f"{DO}/apikey/revoke", method="POST", json={"id": made["id"]})
    page.get_by_text("What you have typed stays as it is.").wait_for(timeout=SOON_MS)
    page.get_by_role("button", name="Not now").click()
    page.get_by_text("Reconnecting …").wait_for()
    # Put off is not asked again by itself; what needs a login asks for it.
    page.wait_for_timeout(4000)
    assert not page.get_by_label("Key or token").count()
    page.get_by_role("link", name="Requests", exact=True).click()
    log_in(page, again["key"])
    is_live(page)


def test_a_page_that_is_slow_to_draw_itself_still_says_that_it_is_live(server, page):
    page.context.add_cookies([session_of(server)])
    # The connection stands before anything that follows the first drawing is done.
    page.add_init_script("""
      const [frame, timeout] = [requestAnimationFrame, setTimeout];
      window.requestAnimationFrame = (work) => timeout(() => frame(work), 500);
      window.setTimeout = (work, after = 0, ...more) => timeout(work, after > 100 ? after : after + 500, ...more);
    """)
    page.goto(f"{server.url}/web/actions")
    is_live(page)


@pytest.mark.parametrize(("role", "may", "may_not", "form"), [
    ("DataScientist", ("instances/asked-0", "renew"), ("sources/lab", "scan"), "sources?new=1"),
    ("DataEngineer", ("sources/lab", "audit"), ("instances/asked-0", "renew"), "new?q=name:a.csv")])
def test_what_a_role_may_not_do_is_shown_disabled_with_the_reason(server, page, role, may, may_not, form):
    scientist = server.make_key(f"asks-for-{role}", owner="ann", roles=["DataScientist"])["key"]
    server.ask(f"{FMDM}/datasource/simulate", method="POST", json={"name": "lab", "listing": {"a.csv": {"size": 1}}})
    server.ask(f"{DO}/datarequest/create", scientist, "POST", json={"name": "asked", "query": "name:a.csv"})
    page.goto(f"{server.url}/web/{may[0]}")
    log_in(page, server.make_key(f"is-{role}", owner="ann" if role == "DataScientist" else "eve", roles=[role])["key"])
    allowed = page.locator(".actions").get_by_role("button", name=may[1], exact=True)
    allowed.wait_for()
    assert allowed.get_attribute("aria-disabled") is None
    page.goto(f"{server.url}/web/{may_not[0]}")
    refused = page.locator(".actions").get_by_role("button", name=may_not[1], exact=True)
    refused.wait_for()
    assert refused.get_attribute("aria-disabled") == "true"
    refused.click(force=True)
    said = page.locator(".actions .refusal").inner_text()
    assert said.startswith(f"'{may_not[1]}' needs the role ") and said.endswith(f"; yours is {role}."), said
    page.goto(f"{server.url}/web/{form}")
    page.get_by_text(f"; yours is {role}.").wait_for()
    asked = []
    page.on("request", lambda one: asked.append(one.url) if one.url.endswith("/create") else None)
    send = page.locator("form [type=submit]")
    assert send.get_attribute("aria-disabled") == "true"
    send.click(force=True)
    assert Axe().run(page).response["violations"] == [] and asked == []


def test_the_documents_lead_to_the_login_and_back(server, page):
    page.goto(f"{server.url}/docs")
    log_in(page, server.key)
    page.wait_for_url(f"{server.url}/docs")
    page.goto(f"{server.url}/web?next=//evil.example/x")
    page.get_by_role("button", name="Log out").wait_for()
    assert page.url.startswith(server.url)


def test_the_page_asks_for_the_key_again_before_what_could_do_much_harm_and_then_does_it(chromium, tmp_path):
    with locked(tmp_path, auth={"fresh_s": 15}) as server:
        server.ask(f"{FMDM}/datasource/simulate", method="POST", json={"name": "to-go", "listing": {"a.csv": {"size": 1}}})
        page = chromium.new_context().new_page()
        page.goto(f"{server.url}/web/sources/to-go")
        log_in(page, server.key)
        destroy = page.locator(".actions").get_by_role("button", name="destroy", exact=True)
        destroy.wait_for()
        page.wait_for_timeout(15_500)
        destroy.click()
        page.get_by_role("dialog").get_by_role("button", name="destroy it").click()
        page.get_by_text("asks for a login of the last").wait_for()

        def shown():
            return server.ask(f"{FMDM}/datasource/show", params={"id": "to-go"}).json()

        assert not shown().get("destroyed_at")
        log_in(page, server.key)
        eventually(shown, lambda source: source.get("destroyed_at"))
        page.context.close()


def test_the_page_says_what_was_done_with_ones_keys_until_it_was_seen(server, page):
    made = server.make_key("of-the-told", owner="told-on-the-page", roles=["DataScientist"])
    page.goto(f"{server.url}/web/actions")
    log_in(page, made["key"])
    told = page.get_by_role("region", name="Your keys")
    told.get_by_text("of-the-told").first.wait_for()
    is_live(page)
    server.make_key("behind-his-back", owner="told-on-the-page", roles=["DataScientist"])
    told.get_by_text("behind-his-back").wait_for(timeout=SOON_MS)
    assert "by admin from 127.0.0.1" in told.inner_text()
    assert [(fault["id"], fault["nodes"][0]["html"][:160]) for fault in Axe().run(page).response["violations"]] == []
    told.get_by_role("button", name="I have seen it").click()
    told.wait_for(state="detached")
    page.reload()
    page.get_by_role("button", name="Log out").wait_for()
    is_live(page)
    assert not told.count()
