"""Who may reach whom, computed from compose files and from Kubernetes manifests, as pairs of names.

In compose whoever shares a network can open a connection to whatever the other listens on; so a pair stands for a listener: what a
service says on its loopback interface alone is none. In Kubernetes a pair needs an egress rule of the one and an ingress rule of the other.
"""
from __future__ import annotations

import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.support.servers import ROOT

COMPOSE = ROOT / "deploy" / "compose"
SERVICES = ("requests", "reservations", "catalog", "instances", "events")
# What each listens on beyond its own loopback interface.
LISTENS = {"web": 3000, "instances": 8081, "rabbitmq": 5672, "proxy": 443, "prometheus": 9090, "clamav": 3310, "postgres": 5432,
           **{f"{name}-database": 5432 for name in SERVICES}}

Pairs = set[tuple[str, str]]


def merged(*overlays: str) -> dict[str, Any]:
    """docker-compose.yml with overlays, merged as the compose specification says (13-merge.md), for what is used here."""
    found: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    for overlay in overlays:
        found = laid_over(found, yaml.safe_load((COMPOSE / f"{overlay}.yml").read_text()))
    return found


def laid_over(under: Any, over: Any, path: tuple[str, ...] = ()) -> Any:
    """Of two compose files, or parts at ``path``, what they come to together."""
    if isinstance(under, dict) and isinstance(over, dict):
        return {**under, **{key: laid_over(under[key], value, (*path, key)) if key in under else value for key, value in over.items()}}
    if isinstance(under, list) and isinstance(over, list) and path[-1] not in ("command", "entrypoint", "test"):
        # Of two that go to the same place the later one counts.
        by_place = {str(item.get("target", item)) if isinstance(item, dict) else str(item): item for item in [*under, *over]}
        return list(by_place.values())
    return over


def is_on(service: Mapping[str, Any]) -> bool:
    return service.get("deploy", {}).get("replicas", 1) != 0


def compose_pairs(project: Mapping[str, Any]) -> Pairs:
    """(who, whom) of a merged project."""
    services = {name: set(service["networks"]) for name, service in project["services"].items() if is_on(service)}
    return {(who, whom) for who, networks in services.items() for whom, others in services.items()
            if who != whom and whom in LISTENS and networks & others}


def rendered(overlay: str) -> list[dict[str, Any]]:
    """The manifests of a Kubernetes overlay, as kustomize makes them."""
    made = subprocess.run([kubectl(), "kustomize", str(ROOT / "deploy" / "kubernetes" / "overlays" / overlay)],
                          capture_output=True, text=True, timeout=120)
    assert made.returncode == 0, made.stderr
    return list(yaml.safe_load_all(made.stdout))


def kubectl() -> str:
    """The program that the test group installs beside Python."""
    import sys
    return str(Path(sys.executable).parent / "kubectl")


def kubernetes_pairs(manifests: Iterable[Mapping[str, Any]]) -> Pairs:
    """(who, whom) that the NetworkPolicies let through, among the pods of the same manifests."""
    manifests = list(manifests)
    pods = {}
    for one in manifests:
        if one["kind"] in ("Deployment", "StatefulSet", "Job"):
            template = one["spec"]["template"]
            pods[one["metadata"]["name"]] = (template["metadata"]["labels"], {
                port["containerPort"] for container in template["spec"]["containers"] for port in container.get("ports", ())})
    policies = [one["spec"] for one in manifests if one["kind"] == "NetworkPolicy"]
    return {(who, whom) for who, (labels, _) in pods.items() for whom, (others, ports) in pods.items() if who != whom
            and any(_allows(policies, "Egress", "to", labels, others, port) and _allows(policies, "Ingress", "from", others, labels, port)
                    for port in ports)}


def _allows(policies: list[Mapping[str, Any]], kind: str, side: str, of: Mapping[str, str], other: Mapping[str, str], port: int) -> bool:
    about = [policy for policy in policies if kind in policy["policyTypes"] and _matches(policy["podSelector"], of)]
    if not about:
        return True
    return any(_peer(rule, side, other) and port in {entry["port"] for entry in rule.get("ports", ())}
               for policy in about for rule in policy.get(kind.lower(), ()))


def _peer(rule: Mapping[str, Any], side: str, labels: Mapping[str, str]) -> bool:
    # A peer in another namespace, or an address, is none of these pods.
    return any("podSelector" in peer and "namespaceSelector" not in peer and _matches(peer["podSelector"], labels)
               for peer in rule.get(side, ()))


def _matches(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    if "matchExpressions" in selector:
        return all(labels.get(rule["key"]) in rule["values"] for rule in selector["matchExpressions"])
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())
