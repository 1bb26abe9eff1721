"""The Python client: calls, errors, pages, events, and data for the length of a block that is given back however it ends."""
from __future__ import annotations

import ast
import http.server
import inspect
import os
import sys
import threading

import pandas
import pytest

from gateway.clients.python import argument, attribute
from shared.contracts.action import schema_of
from shared.contracts.table import ACTIONS
from shared.kernel.errors import KINDS
from tests.support.awaiting import until
from tests.support.python_client import FOLDER, client

edgemere = client()


@pytest.fixture
def do(server):
    return edgemere.connect(server.url).do


@pytest.fixture
def fmdm(server):
    return edgemere.connect(server.url).fmdm


def method_of(tree, row):
    found = tree
    for word in row.path:
        found = getattr(found, attribute(word))
    return found


@pytest.mark.parametrize("row", ACTIONS.values(), ids=list(ACTIONS))
def test_every_row_is_a_method_with_its_parameters_and_its_summary(row):
    method = method_of(getattr(edgemere.edgemere, row.tree), row)
    members = schema_of(row.parameters).fields
    parameters = inspect.signature(method).parameters
    assert {argument(name) for name in members} <= set(parameters)
    assert all(parameters[argument(name)].default is inspect.Parameter.empty for name, field in members.items() if field.required)
    assert row.summary in method.__doc__ and all(f"``{code}``" in method.__doc__ for code in row.errors)


def test_the_package_needs_nothing_but_requests():
    for path in (FOLDER / "edgemere").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [name.name for name in node.names] if isinstance(node, ast.Import) else (
                [node.module or ""] if isinstance(node, ast.ImportFrom) and node.level == 0 else [])
            for name in names:
                top = name.split(".")[0]
                assert top in sys.stdlib_module_names or top == "requests" or (top == "pandas" and path.name == "data.py"), (path.name, name)


def test_every_kind_of_error_has_its_class():
    # What nobody foresaw is an EdgemereError, on both sides.
    assert [name for name in KINDS if not issubclass(getattr(edgemere, name), edgemere.EdgemereError)] == []


def test_a_request_is_made_and_its_answer_says_what_http_said(do):
    request = do.datarequest.create(query="owner:darren source:lab", wait_s=30)
    assert (request.state, request["state"], request.about["status"]) == ("Satisfied", "Satisfied", 201)
    assert request.id in request.about["location"] and request.about["version"] == request.version
    with do.datainstance.content(do.datainstance.list(request=request.id)[0].id) as response:
        assert response.content.startswith(b"city,amount")
    assert do.datarequest.complete(request).state == "Completed"


@pytest.mark.parametrize(("ask", "kind", "code", "pointer"), [
    (lambda do: do.datarequest.show("nowhere"), "NotFound", "datarequest.not_found", "/id"),
    (lambda do: do.datarequest.create(query="a:1", granularity="both"), "Invalid", "parameter.invalid", "/granularity"),
    (lambda do: do.datarequest.find(attr1={"state": {"$lik": 1}}), "Malformed", "query.unknown_operator", "/attr1/state/$lik"),
    (lambda do: edgemere.connect("http://127.0.0.1:9").do.datarequest.list(), "Unreachable", "client.unreachable", None),
    (lambda do: next(do.event.stream(event="datarequest.neded")), "Invalid", "parameter.invalid", "/event"),
])
def test_errors_are_exceptions_with_the_problem_inside(do, ask, kind, code, pointer):
    with pytest.raises(getattr(edgemere, kind)) as raised:
        ask(do)
    error = raised.value
    assert type(error).__name__ == kind and error.code == code and error.next_step
    assert code in str(error) and (pointer is None or pointer in [one["pointer"] for one in error.errors])
    assert "<script" not in error._repr_html_()


def test_an_idempotency_key_and_a_stale_version(do):
    one, two = (do.datarequest.create(query="a:1", fulfill=False, idempotency_key="python-1") for _ in range(2))
    assert one.id == two.id
    with pytest.raises(edgemere.PreconditionFailed):
        do.datarequest.cancel(one.id, if_match=one.version + 5)


def test_a_page_leads_to_all_pages(do):
    for number in range(5):
        do.datarequest.create(name=f"paged-{number}", query="a:1", fulfill=False)
    page = do.datarequest.find(attr1="name:paged-*", limit=2)
    assert (len(page), page.total) == (2, 5)
    assert sorted(one.name for one in page.everything()) == [f"paged-{number}" for number in range(5)]


def test_events_come_each_once_from_a_position(do):
    request = do.datarequest.create(name="streamed", query="owner:darren source:lab", wait_s=30)
    names = []
    for message in do.event.stream(object="streamed", after=0):
        names.append((message.event, message.sequence))
        if message.event == "datarequest.satisfied":
            break
    assert names[0][0] == "datarequest.create" and names == sorted(set(names), key=lambda one: one[1])
    do.datarequest.complete(request.id)


def test_data_is_there_inside_the_block_and_given_back_after_it(do, server):
    with do.data("owner:darren source:lab") as data:
        assert data.paths == [str(server.files / "sales.csv")] and len(data) == 1
        assert data.open().read() == data.read() == (server.files / "sales.csv").read_bytes()
        assert data.open("sales.csv", "r").readline() == "city,amount\n"
        frame = data.dataframe()
        assert list(frame.columns) == ["city", "amount"] and frame.amount.sum() == 19
        assert data.dataframe("sales.csv", usecols=["city"]).shape == (2, 1)
        assert data.explain()["request"]["state"] == "Satisfied"
        name, file = data.request.name, data.open()
    assert file.closed
    assert do.datarequest.show(name).state == "Completed"


def test_it_is_given_back_when_the_block_fails_and_the_error_is_the_blocks(do):
    with pytest.raises(ZeroDivisionError):
        with do.data("owner:darren source:lab") as data:
            name = data.request.name
            raise ZeroDivisionError
    assert do.datarequest.show(name).state == "Completed"


def test_nothing_matches_is_an_error_with_its_reason(do):
    with pytest.raises(edgemere.Failed) as failed:
        with do.data("owner:nobody"):
            raise AssertionError("the block must not begin")
    assert failed.value.code == "no_match" and failed.value.request.state == "Failed" and failed.value.next_step


def test_who_waits_too_long_leaves_nothing_behind(do):
    with pytest.raises(edgemere.DeadlineExceeded, match="not ready within"):
        with do.data("owner:nobody", wait=True, name="too-late", timeout_s=0.5):
            raise AssertionError("the block must not begin")
    assert do.datarequest.show("too-late").state == "Failed"


def test_progress_is_told_while_it_waits(do):
    states = []

    def appear():
        until(lambda: states)
        edgemere.connect(do._server.url).fmdm.datasource.simulate(name="late", listing={"a.csv": {"size": 5, "tags": {"comes": "late"}}}, wait_s=20)

    thread = threading.Thread(target=appear)
    thread.start()
    with do.data("comes:late", wait=True, progress=states.append, timeout_s=120) as data:
        assert data.access[0].verified == "simulated"
        with pytest.raises(edgemere.NotLocal):
            data.paths  # noqa: B018
        with pytest.raises(edgemere.EdgemereError):
            data.open()
    thread.join()
    assert states and states[0].state == "Needed" and "bytes_total" in states[0]


def test_a_file_that_is_not_what_the_server_says_does_not_begin_the_block(do, fmdm, tmp_path):
    (tmp_path / "shrinks.csv").write_text("a\n1\n2\n")
    fmdm.datasource.create(name="shelf", adaptor="file", parameters={"rootdir": str(tmp_path)}, wait_s=30)
    with do.data("source:shelf") as data:
        entry = data.access[0]
        (tmp_path / "shrinks.csv").write_text("a\n")
        with pytest.raises(edgemere.NotVerified, match="2 bytes instead of 6"):
            data._check(entry)
        os.remove(tmp_path / "shrinks.csv")
        with pytest.raises(edgemere.NotVerified, match="is not there"):
            data._check(entry)


def test_parquet_json_lines_and_what_is_no_table(do, fmdm, tmp_path):
    pandas.DataFrame({"a": [1, 2]}).to_parquet(tmp_path / "one.parquet")
    (tmp_path / "two.jsonl").write_text('{"a": 3}\n{"a": 4}\n')
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    (tmp_path / "broken.json").write_text("{")
    fmdm.datasource.create(name="mixed", adaptor="file", parameters={"rootdir": str(tmp_path)}, wait_s=30)
    with do.data({"source": "mixed", "name": {"$in": ["one.parquet", "two.jsonl"]}}) as data:
        assert sorted(data.dataframe().a) == [1, 2, 3, 4]
    with do.data("source:mixed") as data:
        with pytest.raises(edgemere.EdgemereError, match="is no CSV") as refused:
            data.dataframe("picture.png")
        assert refused.value.code == "client.not_tabular"
        with pytest.raises(edgemere.EdgemereError, match="cannot be read as json"):
            data.dataframe("broken.json")
        with pytest.raises(KeyError, match="one.parquet"):
            data.open("three.csv")


def test_data_without_a_path_here_is_read_through_the_server(do):
    with do.data("owner:darren source:lab", verify="checksum") as data:
        # As on a machine where the server's paths do not exist.
        data.access[0]["path"] = "/nowhere/sales.csv"
        assert data.open().read().startswith(b"city,amount") and data.dataframe().amount.sum() == 19


def test_names_with_markup_are_shown_as_text(do):
    name = "<script>alert(1)</script>"
    with do.data("owner:darren source:lab", name=name) as data:
        shown = [data._repr_html_(), data.request._repr_html_(), do.datarequest.find(attr1=data.request.id)._repr_html_(),
                 data.instances[0]._repr_html_()]
    assert all("<script" not in text and "&lt;script" in text for text in shown)


def test_a_plan_asks_and_changes_nothing(do):
    before = do.datarequest.list().total
    try:
        plan = do.data("owner:darren source:lab").plan()
    except edgemere.NotYet:
        plan = {}
    assert isinstance(plan, dict) and do.datarequest.list().total == before


def test_nothing_is_shown_in_a_pipe(do, capsys):
    with do.data("owner:darren source:lab"):
        pass
    assert capsys.readouterr() == ("", "")


def test_what_is_no_edgemere_is_named():
    class Other(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>")

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Other) as other:
        threading.Thread(target=other.handle_request, daemon=True).start()
        with pytest.raises(edgemere.EdgemereError) as refused:
            edgemere.connect(f"http://127.0.0.1:{other.server_port}").do.datarequest.list()
    assert refused.value.code == "client.not_json"
