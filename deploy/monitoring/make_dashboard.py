"""Writes dashboard.json for Grafana: rows of panels, each a title, a unit and its queries. Run it after a change here."""
from __future__ import annotations

import json
from pathlib import Path

RATE = "$__rate_interval"
ROWS = {
    "Requests": [
        ("Requests a second, by action", "reqps", [("sum by (action) (rate(edgemere_http_requests_total[%s]))", "{{action}}")]),
        ("Errors a second, by code", "reqps", [("sum by (code) (rate(edgemere_action_errors_total[%s]))", "{{code}}")]),
        ("Refused a second", "reqps", [("sum by (status) (rate(edgemere_http_requests_total{status=~\"401|403|429\"}[%s]))", "{{status}}")]),
        ("Answer time", "s", [
            ("histogram_quantile(0.5, sum by (le) (rate(edgemere_http_request_seconds_bucket[%s])))", "median"),
            ("histogram_quantile(0.95, sum by (le) (rate(edgemere_http_request_seconds_bucket[%s])))", "95 %"),
            ("histogram_quantile(0.99, sum by (le) (rate(edgemere_http_request_seconds_bucket[%s])))", "99 %")]),
        ("Streams and waits", "short", [("sum(edgemere_streams)", "streams"), ("sum(edgemere_waits)", "waits")]),
        ("Sockets let go, by why", "short", [("sum by (reason) (increase(edgemere_sockets_dropped_total[%s]))", "{{reason}}")]),
        ("Lines of the audit log that were lost", "short", [("sum(increase(edgemere_audit_lost_total[%s]))", "lost")]),
    ],
    "Objects": [
        ("Objects by state", "short", [("max by (class, state) (edgemere_objects) > 0", "{{class}} {{state}}")]),
        ("Time in a state (95 %)", "s", [
            ("histogram_quantile(0.95, sum by (class, state, le) (rate(edgemere_state_seconds_bucket[%s])))", "{{class}} {{state}}")]),
        ("Work taken up by sweepers", "short", [("sum by (service, what) (increase(edgemere_sweeper_caught_total[%s]))", "{{service}} {{what}}")]),
    ],
    "Messages": [
        ("Queue depth", "short", [("max by (queue) (edgemere_queue_messages) > 0", "{{queue}}")]),
        ("Consumers", "short", [("max by (queue) (edgemere_queue_consumers)", "{{queue}}")]),
        ("Outbox: rows that wait", "short", [("max by (service) (edgemere_outbox_messages)", "{{service}}")]),
        ("Outbox: age of the oldest", "s", [("max by (service) (edgemere_outbox_lag_seconds)", "{{service}}")]),
        ("Published a second", "short", [("sum by (service) (rate(edgemere_outbox_published_total[%s]))", "{{service}}")]),
        ("Handled a second", "short", [("sum by (service, method) (rate(edgemere_handled_total[%s]))", "{{service}}.{{method}}")]),
        ("Handling time (95 %)", "s", [
            ("histogram_quantile(0.95, sum by (service, method, le) (rate(edgemere_handled_seconds_bucket[%s])))", "{{service}}.{{method}}")]),
        ("Retries a second", "short", [("sum by (queue) (rate(edgemere_message_retries_total[%s]))", "{{queue}}")]),
        ("Dead letters", "short", [("max by (queue) (edgemere_dead_letters)", "{{queue}}"),
                                   ("sum by (code) (increase(edgemere_messages_dead_total[%s]))", "new: {{code}}")]),
    ],
    "Bytes and capacity": [
        ("Copied and verified", "Bps", [("sum(rate(edgemere_mover_bytes_total[%s]))", "bytes a second")]),
        ("Entries dealt with", "short", [("sum by (op, outcome) (rate(edgemere_mover_entries_total[%s]))", "{{op}} {{outcome}}")]),
        ("Claims", "short", [("max by (kind) (edgemere_claims)", "{{kind}}")]),
        ("Claimed bytes", "bytes", [("max(edgemere_claimed_bytes)", "claimed")]),
        ("Sources in use", "percentunit", [("max by (source, kind) (edgemere_source_filled_ratio)", "{{source}} {{kind}}")]),
        ("Room for state", "bytes", [("min by (instance) (edgemere_data_free_bytes)", "{{instance}}")]),
    ],
    "Processes": [
        ("Ready", "short", [("min by (service) (edgemere_ready)", "{{service}}")]),
        ("Database connections", "percentunit", [
            ("max by (service) (edgemere_database_connections / edgemere_database_connections_max)", "{{service}}")]),
        ("Clock before the database's", "s", [("edgemere_clock_skew_seconds", "{{instance}}")]),
        ("Processor", "percentunit", [("rate(process_cpu_seconds_total{job=\"edgemere\"}[%s])", "{{instance}}")]),
        ("Memory", "bytes", [("process_resident_memory_bytes{job=\"edgemere\"}", "{{instance}}")]),
        ("Open files", "short", [("process_open_fds{job=\"edgemere\"}", "{{instance}}")]),
    ],
}


def dashboard() -> dict:
    """The dashboard as Grafana imports it."""
    panels, y, number = [], 0, 0
    for row, members in ROWS.items():
        number += 1
        panels.append({"id": number, "type": "row", "title": row, "collapsed": False, "gridPos": {"h": 1, "w": 24, "x": 0, "y": y}})
        y += 1
        for index, (title, unit, queries) in enumerate(members):
            number += 1
            panels.append({
                "id": number, "type": "timeseries", "title": title, "datasource": {"type": "prometheus", "uid": "${source}"},
                "gridPos": {"h": 8, "w": 8, "x": index % 3 * 8, "y": y + index // 3 * 8},
                "fieldConfig": {"defaults": {"unit": unit, "min": 0 if unit != "s" or "Clock" not in title else None}, "overrides": []},
                "targets": [{"refId": chr(65 + at), "expr": query.replace("%s", RATE), "legendFormat": legend}
                            for at, (query, legend) in enumerate(queries)],
            })
        y += (len(members) + 2) // 3 * 8
    return {
        "uid": "edgemere", "title": "Data Orchestrator", "tags": ["edgemere"], "schemaVersion": 39, "version": 1, "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"}, "timezone": "utc", "panels": panels,
        "templating": {"list": [{"name": "source", "type": "datasource", "query": "prometheus", "label": "Prometheus"}]},
        "annotations": {"list": [{
            "name": "Alerts", "enable": True, "datasource": {"type": "prometheus", "uid": "${source}"}, "iconColor": "red",
            "expr": "ALERTS{alertname=~\"Edgemere.*\", alertstate=\"firing\"}", "titleFormat": "{{alertname}}"}]},
    }


def text() -> str:
    return json.dumps(dashboard(), indent=1) + "\n"


if __name__ == "__main__":
    Path(__file__).with_name("dashboard.json").write_text(text())
