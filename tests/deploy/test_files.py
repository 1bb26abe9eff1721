"""The Dockerfile, the compose files and the Kubernetes manifests are what their tools accept, and locked down."""
from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.reach import COMPOSE, kubernetes_pairs, laid_over, merged, rendered
from tests.deploy.swarm import faults
from tests.support.servers import ROOT

KUBERNETES = ROOT / "deploy" / "kubernetes"
OVERLAYS = ("dev", "test", "prod", "one-postgres", "sources", "monitoring", "clamav")
TOOLS = Path(sys.executable).parent
SECRET = re.compile(r"passw|secret|token|credential|_key$", re.IGNORECASE)


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


def test_hadolint_has_nothing_to_say_about_the_dockerfile():
    done = _run(str(TOOLS / "hadolint"), "Dockerfile")
    assert done.returncode == 0, done.stdout


def test_yaml_is_well_formed_and_says_nothing_twice():
    rules = "{extends: relaxed, rules: {line-length: disable, key-duplicates: enable, indentation: disable, commas: disable}}"
    files = ["docker-compose.yml", *map(str, sorted((ROOT / "deploy").rglob("*.y*ml")))]
    done = _run(str(TOOLS / "yamllint"), "--strict", "-d", rules, *files)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("overlays", [(), *((name,) for name in OVERLAYS), ("prod", "monitoring", "one-postgres", "sources", "clamav")], ids=str)
def test_the_compose_files_fit_the_specification(overlays):
    import jsonschema  # seconds, that only the process with this test shall spend

    schema = json.loads((ROOT / "tests" / "deploy" / "schemas" / "compose-spec.json").read_text())
    jsonschema.Draft7Validator(schema).validate(merged(*overlays))


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_compose_files_are_a_swarm_stack(overlay):
    assert faults(merged(overlay)) == []


@pytest.mark.parametrize(("fault", "said"), [
    ({"services": {"web": {"privileged": True}}}, "services.web.privileged: a swarm does not know this"),
    ({"services": {"web": {"depends_on": {"events": {"condition": "service_healthy"}}}}}, "services.web.depends_on: a swarm does not know this"),
    ({"services": {"web": {"deploy": {"resources": {"limits": {"cpus": 1}}}}}}, "services.web.deploy.resources.limits.cpus: 1 is of another kind"),
    ({"services": {"web": {"ports": [{"target": 3000, "published": "80"}]}}}, "services.web.ports.0.published: '80' is of another kind"),
    ({"services": {"web": {"networks": ["nowhere"]}}}, "services.web.networks: there is no nowhere"),
    ({"services": {"events-migration": {"deploy": {"restart_policy": {"condition": "any"}}}}}, "services.events-migration.deploy: a job that has"),
    ({"name": "edgemere"}, "name: no stack has this"),
])
def test_what_a_swarm_refuses_is_found(fault, said):
    assert [one for one in faults(laid_over(merged("prod"), fault)) if one.startswith(said)]


@pytest.mark.parametrize("overlays", [(), ("dev",), ("prod", "monitoring", "one-postgres", "clamav")], ids=str)
def test_every_container_is_locked_down_limited_and_looked_after(overlays):
    for name, service in merged(*overlays)["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service.get("cap_add", []) == (["NET_BIND_SERVICE"] if name == "proxy" else []), name
        assert int(service["user"].partition(":")[0]) > 0, name
        assert service["deploy"]["resources"]["limits"].keys() >= {"cpus", "memory", "pids"}, name
        assert service["healthcheck"].get("test") or name.endswith("-migration"), name
        assert not {"privileged", "network_mode", "pid", "ipc", "devices"} & service.keys(), name
        assert not re.search(r":latest$|^[^:]+$", service["image"].replace("${REGISTRY:-}", "")), name
        for key, value in service.get("environment", {}).items():
            assert not SECRET.search(key) or key.endswith("_FILE") and str(value).startswith("/run/secrets/"), f"{name}: {key} is a secret in the environment"
        assert not any("docker.sock" in str(volume) for volume in service.get("volumes", ())), name


def test_every_secret_that_is_named_is_made_and_none_is_kept(tmp_path):
    made = _run(sys.executable, str(COMPOSE / "make-secrets"), str(tmp_path / "secrets"))
    assert made.returncode == 0, made.stderr
    wanted = {Path(secret["file"]).name for secret in merged("prod", "one-postgres")["secrets"].values()}
    files = {path.name: path for path in (tmp_path / "secrets").iterdir()}
    assert files.keys() == wanted
    assert all(path.stat().st_mode & 0o077 == 0 and path.read_text() for path in files.values())
    before = {name: path.read_text() for name, path in files.items()}
    assert _run(sys.executable, str(COMPOSE / "make-secrets"), str(tmp_path / "secrets")).returncode == 0
    assert before == {name: path.read_text() for name, path in files.items()}
    text = files["rabbitmq_definitions"].read_text()
    passwords = {path.read_text() for name, path in files.items() if name.endswith("_amqp_password")}
    assert len(passwords) == len(json.loads(text)["users"]) == 6 and not any(password in text for password in passwords)
    # A release whose accounts need something else writes them anew, with the passwords that are there.
    files["rabbitmq_definitions"].write_text("{}")
    assert _run(sys.executable, str(COMPOSE / "make-secrets"), str(tmp_path / "secrets")).returncode == 0
    assert files["rabbitmq_definitions"].read_text() == text
    assert "deploy/compose/secrets/" in (ROOT / ".gitignore").read_text().split()


def test_the_base_is_what_its_maker_makes_and_has_the_settings_of_compose():
    spec = importlib.util.spec_from_file_location("make_base", KUBERNETES / "make_base.py")
    assert spec is not None and spec.loader is not None
    maker: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(maker)
    for name, manifests in maker.files().items():
        assert (KUBERNETES / "base" / name).read_text() == maker.text(manifests), f"{name}: run deploy/kubernetes/make_base.py"
    for name in ("mesh.yaml", "gateway.yaml", "migrations.yaml", "rabbitmq.conf", "rabbitmq_plugins"):
        assert (KUBERNETES / "base" / name).read_text() == (COMPOSE / name).read_text(), name


@pytest.mark.parametrize("overlay", ["dev", "test", "prod"])
def test_the_kubernetes_manifests_fit_the_api_and_are_locked_down(overlay, tmp_path):
    manifests = rendered(overlay)
    if overlay == "prod":
        # It takes its time, and the others differ from this one in numbers and names alone.
        (tmp_path / "all.yaml").write_text(yaml.safe_dump_all(manifests))
        done = _run(str(TOOLS / "kubernetes-validate"), "--strict", str(tmp_path / "all.yaml"))
        assert done.returncode == 0, done.stdout + done.stderr
    kinds = {}
    for one in manifests:
        kinds.setdefault(one["kind"], []).append(one["metadata"]["name"])
        if one["kind"] not in ("Deployment", "StatefulSet", "Job"):
            continue
        name, pod = one["metadata"]["name"], one["spec"]["template"]["spec"]
        assert pod["automountServiceAccountToken"] is False and pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}, name
            assert container["resources"].keys() == {"requests", "limits"}, name
            assert not any(SECRET.search(entry["name"]) and not entry["name"].endswith("_FILE") for entry in container["env"]) if "env" in container else True
            assert one["kind"] == "Job" or container.keys() >= {"startupProbe", "livenessProbe", "readinessProbe"}, name
            assert re.search(r":[^:]+$", container["image"]) and not container["image"].endswith(":latest"), name
    assert sorted(kinds["PodDisruptionBudget"]) == sorted(kinds["Deployment"] + kinds["StatefulSet"])
    assert sorted(kinds["HorizontalPodAutoscaler"]) == sorted(kinds["Deployment"])
    assert len(kinds["Job"]) == 5


def with_components(folder: Path, *components: str) -> list[dict[str, Any]]:
    """The manifests of prod with these components, as kustomize makes them."""
    overlay = folder / "kubernetes" / "overlays" / "with"
    shutil.copytree(KUBERNETES, folder / "kubernetes")
    shutil.copytree(KUBERNETES / "overlays" / "prod", overlay)
    text = (overlay / "kustomization.yaml").read_text()
    (overlay / "kustomization.yaml").write_text(text + f"components: [{', '.join(f'../../components/{name}' for name in components)}]\n")
    done = _run(str(TOOLS / "kubectl"), "kustomize", str(overlay))
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def test_keda_takes_the_place_of_the_autoscalers_of_what_it_scales(tmp_path):
    made = with_components(tmp_path, "keda", "sources")
    scaled = {one["metadata"]["name"] for one in made if one["kind"] == "ScaledObject"}
    assert scaled == {"requests", "reservations", "instances"}
    assert not scaled & {one["metadata"]["name"] for one in made if one["kind"] == "HorizontalPodAutoscaler"}
    assert any(one["metadata"]["name"] == "sources-out" for one in made if one["kind"] == "NetworkPolicy")


def test_the_scanner_of_kubernetes_is_that_of_compose_locked_down_and_reached_by_instances_alone(tmp_path):
    made = with_components(tmp_path, "clamav")
    assert kubernetes_pairs(made) - kubernetes_pairs(rendered("prod")) == {("instances", "clamav")}
    # By its own rule as well, whatever the others are let out to.
    rule, = (one["spec"] for one in made if one["kind"] == "NetworkPolicy" and one["metadata"]["name"] == "clamav")
    assert [rule["ingress"][0]["from"], len(rule["ingress"])] == [[{"podSelector": {"matchLabels": {"app.kubernetes.io/name": "instances"}}}], 1]
    of = {(one["kind"], re.sub("-[a-z0-9]{10}$", "", one["metadata"]["name"])): one for one in made}
    assert of["ConfigMap", "environment"]["data"]["EDGEMERE_SCANNER"] == "tcp://clamav:3310"
    settings = {name: (COMPOSE / name).read_text() for name in ("clamd.conf", "freshclam.conf")}
    assert of["ConfigMap", "clamav"]["data"] == settings
    pod = of["Deployment", "clamav"]["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True and pod["automountServiceAccountToken"] is False
    for container in (*pod["containers"], *pod["initContainers"]):
        assert container["securityContext"] == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
        assert container["resources"].keys() == {"requests", "limits"} and re.search(r":\d", container["image"])
