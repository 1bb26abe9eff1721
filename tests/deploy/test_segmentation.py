"""No service reaches what it should not, in compose and in Kubernetes alike."""
from __future__ import annotations

import pytest

from gateway.callers import sessions
from gateway.documents import Documents
from shared.contracts.table import BY_ADDRESS
from tests.deploy.reach import COMPOSE, SERVICES, compose_pairs, is_on, kubernetes_pairs, merged, rendered

# What each has a reason to speak to; nothing else may pass.
WANTED = {("web", "rabbitmq"), ("web", "instances"), *((name, "rabbitmq") for name in SERVICES),
          *((name, f"{name}-database") for name in SERVICES), *((f"{name}-migration", f"{name}-database") for name in SERVICES)}
# Whoever shares a network in compose can also knock at the other's door: web asks for a key there, and instances for a signed ticket.
# Kubernetes has rules for directions, and lets none of these through.
KNOCKS = {("instances", "web"), ("rabbitmq", "web"), ("rabbitmq", "instances"), ("instances-database", "instances"),
          ("instances-migration", "instances")}
PROXY = {("proxy", "web"), ("web", "proxy")}


@pytest.mark.parametrize("overlays", [(), ("dev",), ("test",), ("prod",)], ids=lambda overlays: overlays[0] if overlays else "alone")
def test_in_compose_nobody_reaches_more_than_is_wanted(overlays):
    assert compose_pairs(merged(*overlays)) - KNOCKS - PROXY == WANTED


@pytest.mark.parametrize("overlay", ["dev", "test", "prod"])
def test_in_kubernetes_nobody_reaches_more_than_is_wanted(overlay):
    assert kubernetes_pairs(rendered(overlay)) == WANTED


def test_one_postgres_is_reached_by_the_services_and_their_migrations_alone():
    pairs = compose_pairs(merged("prod", "one-postgres"))
    assert {who for who, whom in pairs if whom == "postgres"} == {*SERVICES, *(f"{name}-migration" for name in SERVICES)}
    assert not [pair for pair in pairs if pair[1].endswith("-database")]


def test_monitoring_opens_nothing_between_services():
    more = compose_pairs(merged("prod", "monitoring")) - compose_pairs(merged("prod"))
    # They share a network with Prometheus, where each tells its health; the byte server of instances and web listen there, too.
    assert {pair for pair in more if "prometheus" not in pair} <= {
        *((name, "instances") for name in SERVICES), *((name, "web") for name in SERVICES)}


def test_the_scanner_is_reached_by_instances_alone_and_has_no_way_out():
    project = merged("prod", "clamav")
    # It shares a network with instances, whose byte server asks for a signed ticket.
    assert compose_pairs(project) - compose_pairs(merged("prod")) == {("instances", "clamav"), ("clamav", "instances")}
    assert {name for name, service in project["services"].items() if "signatures" in service["networks"]} == {"signatures"}


@pytest.mark.parametrize("overlays", [(), ("prod",), ("prod", "one-postgres"), ("prod", "monitoring"), ("prod", "sources"), ("prod", "clamav")])
def test_only_web_and_its_proxy_are_on_parent_and_all_other_networks_lead_nowhere(overlays):
    project = merged(*overlays)
    on_parent = {name for name, service in project["services"].items() if "parent" in service["networks"]}
    assert on_parent == ({"web", "proxy"} if "prod" in overlays else {"web"})
    open_networks = {name for name, network in project["networks"].items() if not (network or {}).get("internal")}
    # The way out for sources has nobody on it but those who read them, that for signatures the one who brings them.
    assert open_networks == {"parent"} | ({"sources"} if "sources" in overlays else set()) | ({"signatures"} if "clamav" in overlays else set())
    if "sources" in overlays:
        assert {name for name, service in project["services"].items() if "sources" in service["networks"]} == {"catalog", "instances"}


@pytest.mark.parametrize("service", SERVICES)
def test_each_database_is_on_a_network_of_its_service_alone(service):
    project = merged("prod")
    for name, other in project["services"].items():
        if f"{service}_database" in other["networks"]:
            assert name in (service, f"{service}-migration", f"{service}-database")
    assert project["services"][f"{service}-database"]["networks"] == [f"{service}_database"]


@pytest.mark.parametrize(("overlays", "published"), [
    ((), []), (("dev",), ["127.0.0.1:3000:3000"]), (("test",), ["127.0.0.1:3000:3000"]), (("prod",), [80, 443])])
def test_nothing_is_published_but_the_page(overlays, published):
    services = merged(*overlays)["services"]
    found = [port if isinstance(port, str) else port["published"] for service in services.values() if is_on(service) for port in service.get("ports", ())]
    assert found == published


def test_in_kubernetes_everything_is_denied_first_and_the_world_enters_by_the_ingress_alone():
    policies = [one for one in rendered("prod") if one["kind"] == "NetworkPolicy"]
    denied = next(one["spec"] for one in policies if one["metadata"]["name"] == "deny-all")
    assert denied == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    doors = {(policy["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/name"], entry["port"])
             for policy in policies for rule in policy["spec"].get("ingress", ()) for peer in rule["from"] for entry in rule["ports"]
             if peer.get("namespaceSelector", {}).get("matchLabels", {}).get("kubernetes.io/metadata.name") == "ingress-nginx"}
    assert doors == {("web", 3000)}
    assert not any(one["spec"].get("type") in ("NodePort", "LoadBalancer") for one in rendered("prod") if one["kind"] == "Service")


@pytest.mark.parametrize("overlay", ["test", "prod"])
def test_the_ingress_leads_to_what_people_and_programs_ask_for_and_not_to_the_figures(overlay):
    ingress, = (one for one in rendered(overlay) if one["kind"] == "Ingress")
    paths = [(path["path"].rstrip("/"), path["pathType"]) for rule in ingress["spec"]["rules"] for path in rule["http"]["paths"]]

    def is_led_in(address: str) -> bool:
        # As the API has it: a prefix is one of whole parts of an address.
        address = address.rstrip("/")
        return any(address == path or kind == "Prefix" and address.startswith(f"{path}/") for path, kind in paths)

    assert all(kind in ("Prefix", "Exact") for _, kind in paths) and "defaultBackend" not in ingress["spec"]
    shown = [*BY_ADDRESS, *Documents("1", 1).pages, "/", "/web", "/web/socket.io/", sessions.ADDRESS, "/health/live", "/health/ready"]
    assert [address for address in shown if not is_led_in(address)] == []
    assert not [address for address in ("/metrics", "/metrics/", "/metrics/x", "/debug") if is_led_in(address)]


def test_the_proxy_of_compose_keeps_the_figures_inside():
    lines = [line.strip() for line in (COMPOSE / "Caddyfile").read_text().splitlines()]
    assert "@inside path /metrics /metrics/*" in lines and "respond @inside 404" in lines
    # Nothing that would have another order than Caddy's own, in which an answer comes before the proxy.
    assert not [line for line in lines if line.startswith(("route", "handle", "order", "rewrite", "uri"))]
