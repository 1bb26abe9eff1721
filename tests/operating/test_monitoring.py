"""The alert rules and the dashboard: they parse, each metric that they name is exported, and each rule judges as its runbook says."""
from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import urllib.request
from typing import Any

import promql_parser
import pytest
import yaml

from tests.support.prometheus import program
from tests.support.servers import ROOT

MONITORING = ROOT / "deploy" / "monitoring"
RULES = [rule for group in yaml.safe_load((MONITORING / "alerts.yaml").read_text())["groups"] for rule in group["rules"]]
DASHBOARD = json.loads((MONITORING / "dashboard.json").read_text())
# Prometheus' own, of each target.
OWN = {"up"}


def _panels() -> list[tuple[str, str]]:
    return [(panel["title"], target["expr"].replace("$__rate_interval", "1m"))
            for panel in DASHBOARD["panels"] for target in panel.get("targets", ())]


QUERIES = [(rule["alert"], rule["expr"]) for rule in RULES] + _panels()


def _metrics(node: Any) -> set[str]:
    """The names of the metrics in a parsed query."""
    names = set()
    if isinstance(node, promql_parser.VectorSelector):
        names.add(node.name)
    for part in ("expr", "lhs", "rhs", "param", "vector_selector", "vs"):
        if (child := getattr(node, part, None)) is not None:
            names |= _metrics(child)
    for child in getattr(node, "args", None) or ():
        names |= _metrics(child)
    return names


@pytest.mark.parametrize(("title", "query"), QUERIES)
def test_every_query_is_promql_about_something(title, query):
    assert _metrics(promql_parser.parse(query)), f"{title}: {query}"


def test_every_metric_that_is_asked_for_is_exported_by_a_running_mesh_and_named_as_the_conventions_say(shared_production_mesh):
    mesh = shared_production_mesh
    targets = json.loads((mesh.data / "targets.json").read_text())
    assert sorted(target["labels"]["process"] for target in targets) == [
        "catalog-1", "events-1", "gateway-1", "instances-1", "requests-1", "reservations-1"]
    exported: set[str] = set()
    for target in targets:
        with urllib.request.urlopen(f"http://{target['targets'][0]}/metrics", timeout=120) as answer:
            text = answer.read().decode()
        exported |= set(re.findall(r"^# TYPE (\S+) ", text, re.MULTILINE))
        checked = subprocess.run([program("promtool"), "check", "metrics"], input=text, capture_output=True, text=True, timeout=120)
        # promtool's one rule that prometheus_client itself breaks is about its "_created" gauges.
        complaints = [line for line in checked.stderr.splitlines() if line.startswith("edgemere_") and "_created" not in line]
        assert complaints == [], f"{target['labels']['process']}: {complaints}"
    asked = {name for _, query in QUERIES for name in _metrics(promql_parser.parse(query))} - OWN
    assert {name for name in asked if name not in exported and re.sub("_(bucket|sum|count)$", "", name) not in exported} == set()


def test_the_dashboard_is_the_one_that_its_maker_makes():
    spec = importlib.util.spec_from_file_location("make_dashboard", MONITORING / "make_dashboard.py")
    assert spec is not None and spec.loader is not None
    maker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(maker)
    assert (MONITORING / "dashboard.json").read_text() == maker.text(), "run deploy/monitoring/make_dashboard.py"


def test_every_alert_has_a_runbook_that_says_what_it_means_what_to_look_at_and_what_to_do():
    text = (ROOT / "docs" / "operating.md").read_text()
    for rule in RULES:
        section = re.search(rf"^#### {rule['alert']}\n(.*?)(?=^#{{2,4}} |\Z)", text, re.MULTILINE | re.DOTALL)
        assert section, f"docs/operating.md has no section for {rule['alert']}"
        assert all(word in section[1] for word in ("**Means**", "**Look at**", "**Do**")), rule["alert"]
        assert rule["annotations"]["runbook"] == f"docs/operating.md#{rule['alert'].lower()}"
        assert rule["labels"]["severity"] in ("critical", "warning", "info")


# Series that make each alert fire, one value a minute, and such that must not: [(series, values while well, values while not)].
CASES: dict[str, list[tuple[str, str, str]]] = {
    "EdgemereProcessGone": [('up{job="edgemere", instance="a"}', "1x30", "0x30")],
    "EdgemereNotReady": [('edgemere_ready{service="requests", instance="a"}', "1x30", "0x30")],
    "EdgemereErrors": [('edgemere_http_requests_total{status="200"}', "0+100x30", "0+100x30"),
                       ('edgemere_http_requests_total{status="503"}', "0+1x30", "0+10x30")],
    "EdgemereSlow": [(f'edgemere_handled_seconds_bucket{{service="catalog", le="{le}"}}', f"0+{good}x30", f"0+{bad}x30")
                     for le, good, bad in (("1", 100, 50), ("2", 100, 50), ("5", 100, 90), ("+Inf", 100, 100))],
    "EdgemereOutboxLag": [('edgemere_outbox_lag_seconds{service="requests"}', "20x30", "61x30")],
    "EdgemereQueueBacklog": [('edgemere_queue_messages{queue="events.log"}', "9000x30", "10001x30")],
    "EdgemereQueueUnread": [('edgemere_queue_consumers{queue="events.log"}', "1x30", "0x30")],
    "EdgemereDeadLetters": [('edgemere_dead_letters{queue="requests.instances.settled"}', "0x30", "1x30")],
    "EdgemereRetries": [('edgemere_message_retries_total{service="reservations", queue="q"}', "0x30", "0+6x30")],
    "EdgemereDatabaseConnections": [('edgemere_database_connections{service="events"}', "10x30", "28x30"),
                                    ('edgemere_database_connections_max{service="events"}', "30x30", "30x30")],
    "EdgemereSweeperCatches": [('edgemere_sweeper_caught_total{service="requests", what="announced_again"}', "7x30", "0+1x30")],
    "EdgemereMoverFails": [('edgemere_mover_entries_total{op="copy", outcome="failed"}', "4x30", "0+1x30"),
                           ('edgemere_mover_entries_total{op="copy", outcome="ok"}', "0+10x30", "0+1x30")],
    "EdgemereSourceFull": [('edgemere_source_filled_ratio{source="scratch", kind="bytes"}', "0.9x30", "0.95x30")],
    "EdgemereRoom": [('edgemere_data_free_bytes{instance="a"}', "2000x30", "500x30"),
                     ('edgemere_data_least_room_bytes{instance="a"}', "1000x30", "1000x30")],
    "EdgemereRefusals": [('edgemere_http_requests_total{status="401", action="do.identity.show"}', "0+30x30", "0+100x30")],
    "EdgemereAuditLost": [('edgemere_audit_lost_total{instance="a"}', "3x30", "0+1x30")],
    "EdgemereClockSkew": [('edgemere_clock_skew_seconds{service="events", instance="a"}', "-0.3x30", "-3x30")],
}


def test_every_rule_fires_on_its_fault_and_not_before_nor_on_what_is_well(tmp_path):
    assert CASES.keys() == {rule["alert"] for rule in RULES}
    tests = []
    for rule in RULES:
        for well in (True, False):
            tests.append({
                "interval": "1m",
                "input_series": [{"series": series, "values": good if well else bad} for series, good, bad in CASES[rule["alert"]]],
                "promql_expr_test": [{
                    "expr": f'count(ALERTS{{alertname="{rule["alert"]}", alertstate="firing"}}) or vector(0)',
                    "eval_time": "25m", "exp_samples": [{"labels": "{}", "value": 0 if well else 1}]}],
            })
    (tmp_path / "tests.yaml").write_text(yaml.safe_dump({"rule_files": [str(MONITORING / "alerts.yaml")], "tests": tests}))
    judged = subprocess.run([program("promtool"), "test", "rules", "tests.yaml"], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert judged.returncode == 0, judged.stdout + judged.stderr
    checked = subprocess.run([program("promtool"), "check", "config", "--syntax-only", str(MONITORING / "prometheus.yml")],
                             capture_output=True, text=True, timeout=120)
    assert checked.returncode == 0, checked.stdout + checked.stderr
