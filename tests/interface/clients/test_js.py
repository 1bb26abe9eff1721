"""The JavaScript module in Node and in a browser: calls, errors, events that resume, signals; and that its types are TypeScript's."""
from __future__ import annotations

import json
import re
import socket
import threading
import time

import pytest
import requests

from gateway.clients.generated import ROOT
from shared.contracts.action import TREES
from shared.contracts.table import ACTIONS
from tests.support.chromium import browser
from tests.support.node import node, own_websocket, run_module, version, ws

MODULE = ROOT / "gateway" / "clients" / "js" / "edgemere.js"
HEAD = f"import edgemere, {{ connect, about, ACTIONS, EdgemereError, NotFound, Invalid, Unreachable, Conflict }} from {json.dumps(MODULE.as_uri())};\n"
SAY = "const say = (value) => console.log(JSON.stringify(value));\n"


@pytest.fixture
def run(tmp_path, server):
    """Run JavaScript in Node with the module at hand; gives what it said, a JSON value a line."""
    def start(code: str, **environment: str):
        said = run_module(HEAD + SAY + code, tmp_path, EDGEMERE_URL=server.url, **environment)
        return [json.loads(line) for line in said.splitlines()]
    return start


def test_every_row_is_a_call_at_its_place(run):
    said = run("""
        for (const row of Object.values(ACTIONS)) {
          let node = edgemere.diml.dml[row.tree];
          for (const word of row.path) node = node?.[word];
          say([row.name, typeof node, edgemere[row.tree] === edgemere.diml.dml[row.tree]]);
        }""")
    assert said == [[name, "function", True] for name in ACTIONS]


def test_a_request_is_made_and_its_bytes_are_read(run):
    said = run("""
        const request = await edgemere.diml.dml.do.datarequest.create({ query: "owner:darren source:lab" }, { wait: 30 });
        say([request.state, about(request).status, about(request).location.includes(request.id)]);
        const page = await edgemere.diml.dml.do.datainstance.find({ request: request.id });
        say(page.items.map((one) => one.state));
        const content = await edgemere.do.datainstance.content({ id: page.items[0].id });
        say(await content.text());
        const part = await edgemere.do.datainstance.content({ id: page.items[0].id }, { range: [0, 3] });
        say([part.status, await part.text()]);
        say((await edgemere.fmdm.query({ expression: { owner: "darren" } })).items.length);
        say((await edgemere.call("do.datarequest.complete", { id: request.id })).state);""")
    assert said == [["Satisfied", 201, True], ["Ready"], "city,amount\nUtrecht,12\nParis,7\n", [206, "city"], 1, "Completed"]


def test_errors_are_classes_with_the_problem_inside(run):
    with socket.create_server(("127.0.0.1", 0)) as mute:
        said = run(f"const MUTE = {mute.getsockname()[1]};" + """
        const failures = [
          () => edgemere.do.datarequest.show({ id: "nowhere" }),
          () => edgemere.do.datarequest.create({ query: "owner:x", granularity: "both" }),
          () => edgemere.do.datarequest.show(),
          () => connect("http://127.0.0.1:9").do.datarequest.list(),
          () => connect("http://127.0.0.1:" + MUTE).do.datarequest.list({}, { timeoutMs: 200 }),
        ];
        for (const fail of failures) {
          try { await fail(); say("no error"); }
          catch (error) {
            say([error.constructor.name, error instanceof EdgemereError, error.status, error.code, error.errors?.[0]?.pointer ?? null,
                 Boolean(error.nextStep), error.problem.code === error.code]);
          }
        }
        const control = new AbortController();
        setTimeout(() => control.abort(), 100);
        const began = Date.now();
        try { await edgemere.do.datarequest.create({ query: "owner:nobody", wait: true }, { wait: 60, signal: control.signal }); }
        catch (error) { say([error.name, Date.now() - began < 40_000]); }""")
    assert said == [
        ["NotFound", True, 404, "datarequest.not_found", "/id", True, True],
        ["Invalid", True, 422, "parameter.invalid", "/granularity", True, True],
        ["Invalid", True, 422, "parameter.missing", "/id", True, True],
        ["Unreachable", True, 0, "js.unreachable", None, True, True],
        ["Unreachable", True, 0, "js.timeout", None, True, True],
        ["AbortError", True],
    ]


def test_the_same_key_makes_one_request_and_a_stale_version_is_refused(run):
    said = run("""
        const key = { idempotencyKey: "js-" + Math.random() };
        const one = await edgemere.do.datarequest.create({ query: "owner:darren", fulfill: false }, key);
        const two = await edgemere.do.datarequest.create({ query: "owner:darren", fulfill: false }, key);
        say(one.id === two.id);
        try { await edgemere.do.datarequest.cancel({ id: one.id }, { ifMatch: one.version + 7 }); } catch (error) { say(error.status); }""")
    assert said == [True, 412]


EVENTS = """
    const heard = [];
    const until = async (holds) => { for (let at = 0; at < 4800 && !holds(); at++) await new Promise((done) => setTimeout(done, 25)); };
    let connected = 0;
    const unwatch = edgemere.onConnection((state) => { if (state === "connected") connected++; });
    const first = edgemere.on("datarequest.*", (message) => heard.push([message.event, message.sequence, message.obj.name]));
    const other = edgemere.on("datasource.*", () => {});
    const named = edgemere.on("*", (message) => heard.push(["named", message.sequence, message.obj.name]), { class: "datarequest", query: `name:"${run}-b"` });
    await until(() => connected === 2);
    await edgemere.do.datarequest.create({ name: run + "-a", query: "owner:darren" }, { wait: 30 });
    await edgemere.do.datarequest.create({ name: run + "-b", query: "owner:darren" }, { wait: 30 });
    await until(() => heard.some(([event, , name]) => event === "datarequest.satisfied" && name === run + "-b")
                      && heard.filter(([event]) => event === "named").length >= 4);
    first.close(); other.close(); named.close();
    const live = heard.filter(([event]) => event !== "named");
    const again = [];
    const from = edgemere.on("datarequest.*", (message) => again.push([message.event, message.sequence, message.obj.name]), { after: live[0][1] - 1 });
    await until(() => again.length >= live.length);
    from.close();
    unwatch();
    const rising = live.every((entry, at) => !at || entry[1] > live[at - 1][1]);
    say([live.some(([event]) => event === "datarequest.satisfied"), rising, JSON.stringify(again.slice(0, live.length)) === JSON.stringify(live),
         heard.filter(([event]) => event === "named").every(([, , name]) => name === run + "-b")]);
    let refused;
    edgemere.on("datarequest.neded", () => {}, { onError: (error) => { refused = error.code; } });
    await until(() => refused);
    say(refused);
"""


def test_events_come_live_and_resume_in_node(run):
    assert run("const run = 'node';" + EVENTS) == [[True, True, True, True], "parameter.invalid"]


def test_messages_can_be_iterated_and_the_signal_ends_it(run):
    said = run("""
        const control = new AbortController();
        const before = (await edgemere.do.event.list({ limit: 1, sort: "-sequence" })).items[0].sequence;
        await edgemere.do.datarequest.create({ name: "iterated", query: "owner:darren" }, { wait: 30 });
        const names = [];
        for await (const message of edgemere.events({ event: "datarequest.*", object: "iterated", after: before, signal: control.signal })) {
          names.push(message.event);
          if (message.event === "datarequest.satisfied") control.abort();
        }
        say([names[0], names.includes("datarequest.satisfied")]);
        try { for await (const message of edgemere.events({ class: "nothing" })) say(message); } catch (error) { say(error.code); }""")
    assert said == [["datarequest.create", True], "parameter.invalid"]


def test_events_are_whole_over_a_restart_of_the_server_by_stream_and_by_both_websockets(run, edgemere_server):
    own = edgemere_server()
    sockets = 1 if version(node()) < 20 else 2

    def restart_when_all_listen() -> None:
        end = time.monotonic() + 120
        while time.monotonic() < end:
            figures = requests.get(f"{own.url}/metrics", timeout=120).text
            if f"edgemere_sockets {sockets}.0" in figures and "edgemere_streams 1.0" in figures:
                time.sleep(0.3)
                own.restart()
                return
            time.sleep(0.05)

    threading.Thread(target=restart_when_all_listen, daemon=True).start()
    said = run(f"""
        import {{ createRequire }} from "node:module";
        const ws = createRequire(import.meta.url)({json.dumps(str(ws()))});
        const ways = {{ stream: null, ws }};
        if (globalThis.WebSocket) ways.own = globalThis.WebSocket;
        const clients = Object.entries(ways).map(([way, WebSocket]) => {{
          const client = connect({json.dumps(own.url)}, {{ WebSocket }});
          const heard = {{ way, client, states: [], sequences: [], names: new Set() }};
          client.onConnection((state) => heard.states.push(state));
          client.on("datarequest.create", (message) => {{ heard.sequences.push(message.sequence); heard.names.add(message.obj.name); }});
          return heard;
        }});
        const all = (holds) => clients.every(holds);
        const until = async (holds) => {{ for (let at = 0; at < 4800 && !holds(); at++) await new Promise((done) => setTimeout(done, 25)); }};
        await until(() => all(({{ states }}) => states.includes("connected")));
        let made = 0, after = 0;
        // Before, meanwhile, and for some time after all are back.
        while (after < 8) {{
          try {{ await clients[0].client.do.datarequest.create({{ name: "n" + made, query: "a:1", fulfill: false }}); made++; }} catch {{ }}
          if (all(({{ states }}) => states.includes("reconnecting") && states.at(-1) === "connected")) after++;
          await new Promise((done) => setTimeout(done, 40));
        }}
        await until(() => all(({{ names }}) => names.has("n" + (made - 1))));
        for (const {{ way, client, states, sequences, names }} of clients) {{
          client.close();
          const missing = [...Array(made).keys()].filter((number) => !names.has("n" + number));
          const rising = sequences.every((sequence, at) => !at || sequence > sequences[at - 1]);
          say([way, missing.length, rising, sequences.length === made, made > 10]);
        }}""", **own_websocket())
    expected = [["stream", 0, True, True, True], ["ws", 0, True, True, True]]
    assert said in (expected, [*expected, ["own", 0, True, True, True]])
    assert len(said) == sockets + 1


def test_the_module_runs_in_a_browser_and_asks_nobody_else(server):
    with browser() as running:
        # The gateway's plain answers allow no script at all; the module is what is looked at here.
        page = running.new_page(bypass_csp=True)
        asked, faults = [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(f"{server.url}/health/live")
        said = page.evaluate("""async (code) => {
            const { default: edgemere, connect, NotFound } = await import("/edgemere.js");
            const lines = [];
            const say = (value) => lines.push(value);
            await new Function("edgemere", "say", "run", `return (async () => {${code}})()`)(edgemere, say, "page");
            try { await edgemere.do.datarequest.show({ id: "nowhere" }); } catch (error) { say([error instanceof NotFound, error.code]); }
            return lines;
        }""", EVENTS)
        assert said == [[True, True, True, True], "parameter.invalid", [True, "datarequest.not_found"]]
        assert [url for url in asked if not url.startswith((server.url, server.url.replace("http", "ws")))] == []
        # What a browser says of an answer that is an error is the browser's own.
        assert [text for text in faults if "Failed to load resource" not in text] == []


def test_the_types_name_every_call_and_parse():
    text = (MODULE.with_name("edgemere.d.ts")).read_text(encoding="utf-8")
    assert text.count("{") == text.count("}") and text.count("(") == text.count(")")
    for row in ACTIONS.values():
        name = "".join(part[:1].upper() + part[1:] for part in re.split(r"[._]", row.name))
        assert f"export interface {name}Parameters" in text and f"{name}Parameters, options?: Options" in text
    assert all(f"  {tree}: " in text for tree in TREES)
