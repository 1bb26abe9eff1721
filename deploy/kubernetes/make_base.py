"""Writes base/*.yaml: the same manifests for each service, so that what they share is said once. Run it after a change here.

Who may reach whom is ``REACHES``; the NetworkPolicies are made from it, and tests/deploy compares them with docker-compose.yml.
"""
from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

SERVICES = ("requests", "reservations", "catalog", "instances", "events")
PORTS = {"web": {"http": 3000, "health": 8080}, "instances": {"content": 8081, "health": 8080}, "rabbitmq": {"amqp": 5672},
         **{name: {"health": 8080} for name in ("requests", "reservations", "catalog", "events")},
         **{f"{name}-database": {"postgres": 5432} for name in SERVICES}}
# who: {whom: port}. Nothing else passes.
REACHES: dict[str, dict[str, int]] = {
    "web": {"rabbitmq": 5672, "instances": 8081},
    **{name: {"rabbitmq": 5672, f"{name}-database": 5432} for name in SERVICES},
    **{f"{name}-migration": {f"{name}-database": 5432} for name in SERVICES},
}
# Which queue says how much a service has to do.
QUEUES = {"requests": "requests\\..*", "reservations": "reservations\\..*", "instances": "instances\\..*", "catalog": "", "events": "events\\..*"}
IMAGE, WEB_IMAGE = "diml_dml_do", "diml_dml_do_web"
RABBITMQ, POSTGRES = "rabbitmq:3.13.7-alpine", "postgres:16.10-bookworm"
PART_OF = {"app.kubernetes.io/part-of": "edgemere"}


def labels(name: str) -> dict[str, str]:
    return {"app.kubernetes.io/name": name, **PART_OF}


def chosen(name: str) -> dict[str, Any]:
    return {"matchLabels": {"app.kubernetes.io/name": name}}


def manifest(kind: str, name: str, spec: dict[str, Any] | None = None, version: str = "v1", of: str = "", **more: Any) -> dict[str, Any]:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "labels": labels(of or name)},
            **({"spec": spec} if spec is not None else {}), **more}


def locked(user: int, group: int | None = None) -> dict[str, Any]:
    """The security context of a pod."""
    return {"runAsNonRoot": True, "runAsUser": user, "runAsGroup": group or user, "fsGroup": group or user,
            "fsGroupChangePolicy": "OnRootMismatch", "seccompProfile": {"type": "RuntimeDefault"}}


CONTAINER = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}


def room(cpu: str, memory: str, most_cpu: str, most_memory: str) -> dict[str, Any]:
    return {"requests": {"cpu": cpu, "memory": memory}, "limits": {"cpu": most_cpu, "memory": most_memory}}


def scratch(name: str, size: str) -> dict[str, Any]:
    return {"name": name, "emptyDir": {"sizeLimit": size}}


def ours(name: str, arguments: list[str], secrets: list[str], config: str, image: str = IMAGE) -> dict[str, Any]:
    """The pod of a process of the product."""
    service = name.partition("-")[0]
    sources = name in ("catalog", "instances")
    mounts = [{"name": "config", "mountPath": "/run/configs", "readOnly": True}, {"name": "secrets", "mountPath": "/run/secrets", "readOnly": True},
              {"name": "tmp", "mountPath": "/tmp"}, {"name": "data", "mountPath": "/data"}]
    volumes = [
        {"name": "config", "configMap": {"name": "mesh", "items": [{"key": config, "path": "mesh.yaml"}]}},
        {"name": "secrets", "projected": {"defaultMode": 0o440, "sources": [
            {"secret": {"name": secret, "items": [{"key": key, "path": path}]}}
            for secret, key, path in (
                ("amqp", f"{'gateway' if name == 'web' else service}_amqp_password", "amqp_password"), ("amqp", "mesh_secret", "mesh_secret"),
                (f"{service}-database", "database_password", "database_password"), ("bootstrap", "bootstrap_key", "bootstrap_key"))
            if secret in secrets]}},
        scratch("tmp", "256Mi"), scratch("data", "64Mi"),
    ]
    if sources:
        mounts.append({"name": "sources", "mountPath": "/data/sources", **({"readOnly": True} if name == "catalog" else {})})
        volumes.append({"name": "sources", "persistentVolumeClaim": {"claimName": "sources"}})
    environment = {"EDGEMERE_CONFIG": "/run/configs/mesh.yaml", "EDGEMERE_HEALTH_HOST": "0.0.0.0", "EDGEMERE_HEALTH_PORT": "8080",  # noqa: S104
                   **({"EDGEMERE_BOOTSTRAP_KEY_FILE": "/run/secrets/bootstrap_key"} if "bootstrap" in secrets else {})}
    container: dict[str, Any] = {
        "name": "edgemere", "image": image, "args": arguments, "securityContext": CONTAINER,
        "env": [{"name": key, "value": value} for key, value in environment.items()],
        "envFrom": [{"configMapRef": {"name": "environment"}}], "volumeMounts": mounts,
        "resources": room("100m", "128Mi", "1", "512Mi"),
    }
    if arguments[0] == "serve":
        container["ports"] = [{"name": port, "containerPort": number} for port, number in PORTS[name].items()]
        at = {"port": "health"}
        container |= {
            "startupProbe": {"httpGet": {"path": "/health/live", **at}, "periodSeconds": 2, "failureThreshold": 60},
            "livenessProbe": {"httpGet": {"path": "/health/live", **at}, "periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 3},
            "readinessProbe": {"httpGet": {"path": "/health/ready", **at}, "periodSeconds": 5, "timeoutSeconds": 5, "failureThreshold": 2},
        }
    return {"serviceAccountName": "edgemere", "automountServiceAccountToken": False, "enableServiceLinks": False,
            "securityContext": locked(10001), "terminationGracePeriodSeconds": 30, "containers": [container], "volumes": volumes}


def deployment(name: str, pod: dict[str, Any]) -> dict[str, Any]:
    spread = [{"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": chosen(name)}]
    scrape = {"prometheus.io/scrape": "true", "prometheus.io/port": "8080"}
    return manifest("Deployment", name, {
        "replicas": 1, "selector": chosen(name), "strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        "template": {"metadata": {"labels": labels(name), "annotations": scrape}, "spec": {**pod, "topologySpreadConstraints": spread}},
    }, "apps/v1")


def endpoint(name: str, headless: bool = False) -> dict[str, Any]:
    return manifest("Service", name, {
        "selector": {"app.kubernetes.io/name": name}, **({"clusterIP": "None"} if headless else {}),
        "ports": [{"name": port, "port": number, "targetPort": port} for port, number in PORTS[name].items() if port != "health"]})


def stateful(name: str, image: str, user: int, group: int, container: dict[str, Any], path: str, size: str, volumes: list[dict[str, Any]]) -> dict[str, Any]:
    container = {"image": image, "securityContext": CONTAINER, "ports": [
        {"name": port, "containerPort": number} for port, number in PORTS[name].items()], **container}
    container["volumeMounts"] = [{"name": "state", "mountPath": path}, *container["volumeMounts"]]
    return manifest("StatefulSet", name, {
        "serviceName": name, "replicas": 1, "selector": chosen(name),
        "template": {"metadata": {"labels": labels(name)}, "spec": {
            "serviceAccountName": "edgemere", "automountServiceAccountToken": False, "enableServiceLinks": False,
            "securityContext": locked(user, group), "terminationGracePeriodSeconds": 60, "containers": [container], "volumes": volumes}},
        "volumeClaimTemplates": [{"metadata": {"name": "state"}, "spec": {
            "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}}],
    }, "apps/v1")


def database(service: str) -> list[dict[str, Any]]:
    name = f"{service}-database"
    asks = {"exec": {"command": ["pg_isready", "-h", "127.0.0.1", "-U", "edgemere", "-d", "edgemere"]}, "timeoutSeconds": 5}
    return [endpoint(name, headless=True), stateful(name, POSTGRES, 999, 999, {
        "name": "postgres", "resources": room("100m", "256Mi", "2", "1Gi"),
        "env": [{"name": key, "value": value} for key, value in {
            "POSTGRES_USER": "edgemere", "POSTGRES_DB": "edgemere", "POSTGRES_PASSWORD_FILE": "/run/secrets/database/database_password",
            "POSTGRES_INITDB_ARGS": "--auth-host=scram-sha-256 --data-checksums", "PGDATA": "/var/lib/postgresql/data/pgdata"}.items()],
        "volumeMounts": [{"name": "password", "mountPath": "/run/secrets/database", "readOnly": True},
                         {"name": "run", "mountPath": "/var/run/postgresql"}, {"name": "tmp", "mountPath": "/tmp"}],
        "startupProbe": {**asks, "periodSeconds": 3, "failureThreshold": 60}, "livenessProbe": {**asks, "periodSeconds": 15, "failureThreshold": 4},
        "readinessProbe": {**asks, "periodSeconds": 5},
    }, "/var/lib/postgresql/data", "20Gi", [
        {"name": "password", "secret": {"secretName": name, "defaultMode": 0o440}}, scratch("run", "16Mi"), scratch("tmp", "64Mi")])]


def broker() -> list[dict[str, Any]]:
    asks = {"exec": {"command": ["rabbitmq-diagnostics", "-q", "check_local_alarms"]}, "timeoutSeconds": 15}
    return [endpoint("rabbitmq", headless=True), stateful("rabbitmq", RABBITMQ, 100, 101, {
        "name": "rabbitmq", "resources": room("200m", "512Mi", "2", "1Gi"),
        "volumeMounts": [{"name": "config", "mountPath": "/etc/rabbitmq/rabbitmq.conf", "subPath": "rabbitmq.conf", "readOnly": True},
                         {"name": "config", "mountPath": "/etc/rabbitmq/enabled_plugins", "subPath": "rabbitmq_plugins", "readOnly": True},
                         {"name": "definitions", "mountPath": "/run/secrets", "readOnly": True}, {"name": "confd", "mountPath": "/etc/rabbitmq/conf.d"},
                         {"name": "tmp", "mountPath": "/tmp"}],
        "startupProbe": {**asks, "periodSeconds": 10, "failureThreshold": 30}, "livenessProbe": {**asks, "periodSeconds": 30, "failureThreshold": 4},
        "readinessProbe": {**asks, "periodSeconds": 15},
    }, "/var/lib/rabbitmq", "10Gi", [
        {"name": "config", "configMap": {"name": "rabbitmq"}},
        {"name": "definitions", "secret": {
            "secretName": "amqp", "items": [{"key": "rabbitmq_definitions", "path": "rabbitmq_definitions"}], "defaultMode": 0o440}},
        scratch("confd", "1Mi"), scratch("tmp", "64Mi")])]


def migration(service: str) -> dict[str, Any]:
    """A job that brings a schema to this version; a new release needs a new one, so it goes by itself after its end."""
    name = f"{service}-migration"
    return manifest("Job", name, {
        "backoffLimit": 20, "ttlSecondsAfterFinished": 600, "template": {"metadata": {"labels": labels(name)}, "spec": {
            **ours(name, ["migrate", service], [f"{service}-database"], "migrations.yaml"), "restartPolicy": "OnFailure"}}}, "batch/v1")


def policies() -> list[dict[str, Any]]:
    """Nothing passes but what REACHES names, the names of the cluster's services, and what Prometheus asks."""
    def policy(name: str, of: str, spec: dict[str, Any]) -> dict[str, Any]:
        return manifest("NetworkPolicy", name, {"podSelector": chosen(of) if of else {}, **spec}, "networking.k8s.io/v1")

    found = [policy("deny-all", "", {"policyTypes": ["Ingress", "Egress"]})]
    dns = [{"to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
                    "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}}}],
            "ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]}]
    monitoring = {"from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}], "ports": [{"protocol": "TCP", "port": 8080}]}
    targets: dict[str, dict[int, list[str]]] = {}
    for who, whom in REACHES.items():
        found.append(policy(f"{who}-out", who, {"policyTypes": ["Egress"], "egress": [*dns, *(
            {"to": [{"podSelector": chosen(name)}], "ports": [{"protocol": "TCP", "port": port}]} for name, port in whom.items())]}))
        for name, port in whom.items():
            targets.setdefault(name, {}).setdefault(port, []).append(who)
    for name, ports in targets.items():
        found.append(policy(f"{name}-in", name, {"policyTypes": ["Ingress"], "ingress": [
            {"from": [{"podSelector": chosen(who)} for who in callers], "ports": [{"protocol": "TCP", "port": port}]}
            for port, callers in ports.items()] + ([monitoring] if name in SERVICES else [])}))
    for name in SERVICES:
        if name not in targets:
            found.append(policy(f"{name}-in", name, {"policyTypes": ["Ingress"], "ingress": [monitoring]}))
    found.append(policy("web-in", "web", {"policyTypes": ["Ingress"], "ingress": [
        {"from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress-nginx"}}}], "ports": [{"protocol": "TCP", "port": 3000}]},
        monitoring]}))
    return found


def scaling() -> list[dict[str, Any]]:
    """One pod of each may be away at a time; more of them where messages wait (an external metric of prometheus-adapter)."""
    found = []
    for name in ("web", *SERVICES):
        found.append(manifest("PodDisruptionBudget", name, {"maxUnavailable": 1, "selector": chosen(name)}, "policy/v1"))
        metrics: list[dict[str, Any]] = [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}]
        if QUEUES.get(name):
            metrics.append({"type": "External", "external": {
                "metric": {"name": "edgemere_queue_messages", "selector": {"matchLabels": {"consumer": name}}},
                "target": {"type": "AverageValue", "averageValue": "200"}}})
        found.append(manifest("HorizontalPodAutoscaler", name, {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}, "minReplicas": 1, "maxReplicas": 4, "metrics": metrics,
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": 300}}}, "autoscaling/v2"))
    for name in ("rabbitmq", *(f"{service}-database" for service in SERVICES)):
        found.append(manifest("PodDisruptionBudget", name, {"maxUnavailable": 1, "selector": chosen(name)}, "policy/v1"))
    return found


def files() -> dict[str, list[dict[str, Any]]]:
    """The content of each file of base/."""
    account = {**manifest("ServiceAccount", "edgemere"), "automountServiceAccountToken": False}
    claim = manifest("PersistentVolumeClaim", "sources", {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "100Gi"}}})
    found = {"account.yaml": [account], "sources.yaml": [claim], "rabbitmq.yaml": broker(), "network-policies.yaml": policies(), "scaling.yaml": scaling(),
             "web.yaml": [endpoint("web"), deployment("web", ours(
                 "web", ["serve", "gateway", "--host", "0.0.0.0", "--port", "3000"], ["amqp"], "gateway.yaml", WEB_IMAGE))]}  # noqa: S104
    for name in SERVICES:
        secrets = ["amqp", f"{name}-database", *(["bootstrap"] if name == "events" else [])]
        members = [deployment(name, ours(name, ["serve", name], secrets, "mesh.yaml")), migration(name), *database(name)]
        if any(port != "health" for port in PORTS[name]):
            members.insert(0, endpoint(name))
        found[f"{name}.yaml"] = members
    return found


def text(manifests: list[dict[str, Any]]) -> str:
    head = "# Written by deploy/kubernetes/make_base.py.\n"
    return head + "---\n".join(yaml.safe_dump(one, sort_keys=False, width=150) for one in manifests)


if __name__ == "__main__":
    for name, manifests in files().items():
        (Path(__file__).parent / "base" / name).write_text(text(manifests))
