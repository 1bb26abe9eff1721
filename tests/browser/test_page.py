"""What people do on the page, in a real browser, against the real program."""
from __future__ import annotations

import re
import shlex
import subprocess
import sys

from tests.browser.conftest import DO, FMDM, HUGE_BYTES, PICTURE, SCRIPT, harmed, settled
from tests.support.servers import ROOT, project_environment


def is_in(page, state):
    """Wait until the object of the view is in a state, without touching the page."""
    page.locator(".title .state", has_text=state).first.wait_for()


def test_a_question_shows_its_count_as_it_is_typed_and_becomes_a_request(visit, world):
    page = visit("new")
    page.get_by_label("What data do you need?").fill("name:temperatures.csv")
    page.get_by_role("heading", name="1 Data match").wait_for()
    page.get_by_label("name", exact=True).fill("from the page")
    page.get_by_role("button", name="Ask for it").click()
    page.get_by_role("heading", name="from the page").wait_for()
    is_in(page, "Satisfied")
    assert world.call(f"{DO}/datarequest/show", {"id": "from the page"})["state"] == "Satisfied"
    page.get_by_text(str(world.lab / "temperatures.csv")).first.wait_for()


def test_a_question_that_matches_nothing_says_at_which_clause(visit):
    page = visit("requests/nowhere")
    funnel = page.locator(".funnel")
    funnel.wait_for()
    assert "owner:darren" in funnel.locator(".step.none").inner_text()
    assert "failed because nothing matches" in page.locator("main").inner_text()


def test_where_the_count_is_zero_stands_what_would_match_instead(visit):
    page = visit("new")
    page.get_by_label("What data do you need?").fill("name:temperatures.csv size>100GB")
    page.get_by_role("heading", name="0 Data match").wait_for()
    page.get_by_role("heading", name="What would match instead").wait_for()
    page.get_by_role("button", name="Use this").first.click()
    page.get_by_role("heading", name="1 Data match").wait_for()
    page.get_by_role("heading", name="What would match instead").wait_for(state="detached")


def test_what_would_help_a_group_asks_for_the_whole_group_again(visit, world):
    world.request("a group", group={"one": "name:temperatures.csv", "two": "owner:daren"})
    page = visit("requests/a%20group")
    page.get_by_role("heading", name="What would match instead").wait_for()
    said = page.locator(".hints").inner_text()
    assert "edgemere do datarequest create --group" in said and "temperatures.csv" in said
    assert page.get_by_role("button", name="Use this").count() == 0, "it would be a question for one member alone"


def test_the_page_says_how_to_ask_and_what_it_says_can_be_asked(visit, world):
    page = visit("new")
    page.get_by_text("How to ask").click()
    page.get_by_text("a regular expression").wait_for()
    forms = page.locator(".language code").all_inner_texts()
    assert len(forms) > 10
    for form in forms:
        assert "funnel" in world.call(f"{FMDM}/query", {"expression": form}), form


def test_an_operation_that_has_ended_says_why_it_cannot_be_cancelled(visit, world):
    ended = next(item for item in world.call(f"{DO}/operation/list", {"limit": 200})["items"] if item["status"] not in ("running", "waiting"))
    page = visit(f"operations/{ended['id']}")
    button = page.get_by_role("button", name="cancel")
    button.click(force=True)
    assert button.get_attribute("aria-disabled") == "true"
    page.get_by_text(f"'cancel' is possible in running, waiting; this is {ended['status']}.").wait_for()
    assert "{" not in page.locator(".facts").inner_text()


def test_what_happens_elsewhere_is_seen_without_a_reload(visit, world):
    page = visit("requests")
    page.get_by_role("link", name="everything", exact=True).wait_for()
    page.get_by_text("Live", exact=True).wait_for()
    world.request("made-elsewhere", query="name:notes.txt")
    page.get_by_role("button", name=re.compile(r"\d+ new: show")).click()
    page.get_by_role("link", name="made-elsewhere").wait_for()
    page.get_by_role("link", name="made-elsewhere").click()
    is_in(page, "Satisfied")
    world.call(f"{DO}/datarequest/complete", {"id": "made-elsewhere"})
    is_in(page, "Completed")


def test_the_address_of_a_filtered_list_shows_a_colleague_the_same(visit):
    page = visit("requests")
    page.get_by_label("Search in the query language").fill("name:no*")
    page.get_by_role("button", name="Failed").click()
    page.get_by_role("link", name="nowhere").wait_for()
    page.get_by_role("link", name="everything", exact=True).wait_for(state="detached")
    colleague = visit(page.url.split("/web/")[1])
    colleague.get_by_role("link", name="nowhere").wait_for()
    assert colleague.get_by_label("Search in the query language").input_value() == "name:no*"
    assert colleague.get_by_role("button", name="Failed").get_attribute("aria-pressed") == "true"


def test_a_broken_question_says_what_is_wrong_and_keeps_the_list(visit):
    page = visit("requests", expected=("400",))
    page.get_by_label("Search in the query language").fill("stat:Failed")
    page.locator(".refusal").wait_for()
    assert page.locator(".refusal .code").inner_text().startswith("query.")


def test_an_action_that_is_not_possible_says_why(visit):
    page = visit("requests/everything")
    page.get_by_role("button", name="retry").click(force=True)
    said = page.locator(".actions .refusal")
    said.wait_for()
    assert "'retry' is possible in Failed; this is Satisfied." in said.inner_text()


def test_destroying_an_instance_asks_first(visit, world):
    world.request("short", query="name:notes.txt")
    page = visit("instances/short-0")
    page.get_by_role("button", name="destroy").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Cancel").click()
    dialog.wait_for(state="detached")
    assert world.call(f"{DO}/datainstance/show", {"id": "short-0"})["state"] == "Ready"
    page.get_by_role("button", name="destroy").click()
    page.get_by_role("button", name="destroy it").click()
    is_in(page, "Destroyed")


def test_data_can_be_looked_into(visit, world):
    page = visit("instances?q=request:everything")
    wanted = {
        "temperatures.csv": ("table", "Rio, Brazil"), "notes.txt": ("pre", "Measured in July."), "places.json": ("pre", "59.9"),
        "degrees.parquet": ("table", "31"), "map.png": ("img", None), "really-not.csv": ("p", "This is not a CSV file"),
        "empty.csv": ("p", "It is empty."), "really-not.parquet": ("p", "This cannot be read as Parquet"),
    }
    items = world.call(f"{DO}/datainstance/list", {"request": "everything"})["items"]
    names = {item["access"][0]["name"]: item["name"] for item in items}
    for name, (element, text) in wanted.items():
        page.goto(f"{world.server.url}/web/instances/{names[name]}")
        page.get_by_role("button", name="Preview").click()
        shown = page.locator(f".preview {element}").first
        shown.wait_for()
        if text:
            assert text in shown.inner_text(), name
        if element == "img":
            page.wait_for_function("document.querySelector('.preview img').naturalWidth === 60")


def test_a_look_into_five_gigabytes_fetches_a_bounded_part(visit, world):
    items = world.call(f"{DO}/datainstance/list", {"request": "everything"})["items"]
    item = next(one for one in items if one["access"][0]["name"] == "huge.csv")
    assert item["bytes_total"] == HUGE_BYTES
    page = visit(f"instances/{item['name']}")
    fetched = []
    page.on("requestfinished", lambda asked: fetched.append(asked.sizes()["responseBodySize"]) if "/content" in asked.url else None)
    page.get_by_role("button", name="Preview").click()
    page.locator(".preview table").wait_for()
    assert "The first 50 rows of 5.0 GiB" in page.locator(".preview").inner_text()
    assert sum(fetched) <= 100_000


def test_a_browser_whose_clock_is_off_shows_the_ages_that_the_server_would(visit, world):
    world.request("just-now", query="name:notes.txt")
    page = visit("requests?q=name:just-now", clock_off_s=2 * 86400)
    row = page.get_by_role("row").filter(has_text="just-now")
    row.wait_for()
    assert re.search(r"\b(now|\d+ (ms|s|min) ago)\b", row.inner_text()) and not re.search(r"in \d| d\b| h\b", row.inner_text()), row.inner_text()


def test_a_download_has_the_bytes(visit, world):
    page = visit("instances/copies-0")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()
    assert download.value.suggested_filename == "temperatures.csv"
    with open(download.value.path(), "rb") as got:
        assert got.read() == (world.lab / "temperatures.csv").read_bytes()


def test_html_in_a_name_is_only_text_where_its_object_is_shown(visit, world):
    source = f"{PICTURE} lab"
    data, = world.call(f"{FMDM}/data/list", {"source": source})["items"]
    reservation, = world.call(f"{DO}/datareservation/list", {"request": SCRIPT})["items"]
    instance, = world.call(f"{DO}/datainstance/list", {"request": SCRIPT})["items"]
    page = visit()
    for view, name in (("requests", SCRIPT), ("sources", source), ("references", f"{PICTURE} ref")):
        page.goto(f"{world.server.url}/web/{view}")
        page.get_by_role("link", name=name, exact=True).click()
        page.get_by_role("heading", name=name, exact=True).wait_for()
        settled(page)
        assert not harmed(page), view
    for view, item in (("data", data), ("reservations", reservation), ("instances", instance)):
        page.goto(f"{world.server.url}/web/{view}/{item['id']}")
        page.get_by_role("heading", name=item["name"], exact=True).wait_for()
        settled(page)
        assert not harmed(page), view


def test_the_line_for_the_terminal_does_what_the_form_does(visit, world):
    page = visit("actions/fmdm.data.find")
    page.get_by_label("attr1").fill("name:*.csv size>10")
    page.get_by_text("Copy as curl, CLI, JS or Python").click()
    line = page.locator(".lines .command", has_text="Command line").locator("code").inner_text()
    words = shlex.split(line)
    assert words[:4] == ["edgemere", "fmdm", "data", "find"]
    done = subprocess.run([sys.executable, "-m", "gateway", *words[1:], "-o", "json"], capture_output=True, text=True, cwd=ROOT,
                          env=project_environment(EDGEMERE_URL=world.server.url), timeout=120)
    assert '"temperatures.csv"' in done.stdout, done.stderr
    page.get_by_role("button", name="Ask").click()
    page.get_by_text('"temperatures.csv"').wait_for()


def test_there_are_lines_to_copy_however_long_the_question_is(visit, world):
    names = ",".join(f"{number:06}.csv" for number in range(5500))
    page = visit("actions/fmdm.data.find")
    page.get_by_label("attr1").fill(f"name:temperatures.csv,{names}")
    page.get_by_text("Copy as curl, CLI, JS or Python").click()
    # They follow what is typed.
    lines = page.locator(".lines .command", has_text="005499.csv")
    lines.nth(3).wait_for()
    texts = [line.inner_text() for line in lines.locator("code").all()]
    assert len(texts) == 4 and all(text.count(".csv") == 5501 for text in texts)
    run = subprocess.run(["sh", "-c", texts[1]], capture_output=True, text=True, timeout=120)
    assert '"temperatures.csv"' in run.stdout, (texts[1][:200], run.stderr[-500:], run.stdout[:500])
    script = texts[0].replace("edgemere ", f"{sys.executable} -m gateway ", 1) + " -o json"
    run = subprocess.run(["sh", "-c", script], capture_output=True, text=True, cwd=ROOT, timeout=120,
                         env=project_environment(EDGEMERE_URL=world.server.url))
    assert '"temperatures.csv"' in run.stdout, (texts[0][:200], run.stderr[-500:])


def test_a_form_puts_the_refusal_beside_the_field_it_names(visit):
    page = visit("sources?new=1", expected=("422", "404", "403"))
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("name").fill("gone")
    dialog.get_by_label("parameters").fill('{"rootdir": "/there/is/no/such/folder"}')
    dialog.get_by_role("button", name="Register it").click()
    dialog.locator(".refusal").wait_for()
    assert dialog.locator("[aria-invalid=true]").count() >= 1
    dialog.get_by_label("parameters").fill("{broken")
    dialog.get_by_role("button", name="Register it").click()
    dialog.locator(".field .wrong").first.wait_for()
    assert "Not valid JSON" in dialog.locator(".field .wrong").first.inner_text()


def test_a_source_is_registered_scanned_and_browsed_on_the_page(visit, world, tmp_path):
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "fresh.csv").write_text("a,b\n1,2\n")
    page = visit("sources?new=1")
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("name").fill("more")
    dialog.get_by_label("parameters").fill('{"rootdir": "%s"}' % (tmp_path / "more"))
    dialog.get_by_role("button", name="Register it").click()
    page.get_by_role("heading", name="more", exact=True).wait_for()
    page.get_by_role("link", name="fresh.csv").wait_for()


def test_a_long_list_keeps_only_the_rows_in_sight_and_reaches_its_end(visit, world):
    listing = {f"row/{number:04}.csv": {"size": number} for number in range(1200)}
    world.call(f"{FMDM}/datasource/simulate", {"name": "long", "listing": listing})
    page = visit("data?source=long")
    page.get_by_text("of 1,200").wait_for()
    assert page.locator(".rows-space .row").count() < 80
    for _ in range(600):
        page.locator(".rows-scroll").evaluate("box => { box.scrollTop = box.scrollHeight; }")
        page.wait_for_timeout(150)
        if page.get_by_text("1,200 of 1,200").count():
            break
    page.get_by_text("1,200 of 1,200").wait_for()
    assert page.locator(".rows-space .row").count() < 80
    world.call(f"{FMDM}/datasource/destroy", {"id": "long"})


def test_the_page_notices_that_the_server_is_gone_and_catches_up_when_it_is_back(visit, world):
    page = visit("requests/waiting", expected=("ERR_CONNECTION", "WebSocket", "Failed to load", "503", "504"))
    page.get_by_text("Live", exact=True).wait_for()
    world.server.kill9(everything=True)
    page.get_by_text("Reconnecting …").wait_for()
    world.server.restart()
    world.call(f"{DO}/datarequest/cancel", {"id": "waiting"})
    page.get_by_text("Live", exact=True).wait_for()
    is_in(page, "Failed")


def test_a_server_that_does_not_answer_is_said_and_tried_again(visit, world, chromium):
    context = chromium.new_context()
    page = context.new_page()
    page.route("**/web/table.json", lambda route: route.abort())
    page.goto(f"{world.server.url}/web")
    page.get_by_text("The server does not answer.").wait_for()
    page.unroute("**/web/table.json")
    page.get_by_role("heading", name="Overview").wait_for()
    context.close()


def test_fields_and_values_are_completed_from_the_catalogue(visit, world):
    world.call(f"{FMDM}/datasource/simulate", {"name": "tagged", "listing": {
        f"scan-{number}.nii": {"size": number, "tags": {"instrument": "magnet" if number % 2 else "laser"}} for number in range(6)}})
    page = visit("new", expected=("400",))  # a question that is half typed cannot be parsed
    box = page.get_by_label("What data do you need?")
    box.press_sequentially("instr")
    page.get_by_role("option", name="instrument:").wait_for()
    box.press("ArrowDown")
    box.press("Enter")
    page.get_by_role("option", name="magnet").wait_for()
    page.get_by_role("option", name="magnet").click()
    assert box.input_value() == "instrument:magnet "
    page.get_by_role("heading", name="3 Data match").wait_for()
    world.call(f"{FMDM}/datasource/destroy", {"id": "tagged"})
