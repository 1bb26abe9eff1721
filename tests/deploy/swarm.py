"""What a swarm takes of a compose file: by hand, from its documentation, for what is used here. A key that is not here is one to look up first."""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

ANY: Any = ...
TEXT, NUMBER, WHOLE, TRUTH, WORDS = str, (int, float), int, bool, [str]
_LIMITS = {"cpus": TEXT, "memory": TEXT}
_UPDATE = {"parallelism": WHOLE, "delay": TEXT, "failure_action": TEXT, "monitor": TEXT, "max_failure_ratio": NUMBER, "order": TEXT}
_DEPLOY = {
    "mode": TEXT, "endpoint_mode": TEXT, "replicas": WHOLE, "labels": ANY, "update_config": _UPDATE, "rollback_config": _UPDATE,
    "resources": {"limits": {**_LIMITS, "pids": WHOLE}, "reservations": _LIMITS},
    "restart_policy": {"condition": TEXT, "delay": TEXT, "max_attempts": WHOLE, "window": TEXT},
    "placement": {"constraints": WORDS, "preferences": ANY, "max_replicas_per_node": WHOLE},
}
_GIVEN = [TEXT, {"source": TEXT, "target": TEXT, "uid": TEXT, "gid": TEXT, "mode": NUMBER}]
_SERVICE = {
    "image": TEXT, "command": ANY, "entrypoint": ANY, "environment": ANY, "user": TEXT, "working_dir": TEXT, "hostname": TEXT, "read_only": TRUTH,
    "init": TRUTH, "tmpfs": WORDS, "cap_add": WORDS, "cap_drop": WORDS, "stop_grace_period": TEXT, "stop_signal": TEXT, "networks": WORDS, "volumes": WORDS,
    "labels": ANY, "logging": ANY, "sysctls": ANY, "extra_hosts": ANY, "secrets": _GIVEN, "configs": _GIVEN, "deploy": _DEPLOY,
    "healthcheck": {"test": ANY, "interval": TEXT, "timeout": TEXT, "retries": NUMBER, "start_period": TEXT, "disable": TRUTH},
    "ports": [TEXT, {"target": WHOLE, "published": WHOLE, "protocol": TEXT, "mode": TEXT}],
}
# Read by compose alone; a swarm leaves them out, and does without.
_LEFT_OUT = {"build": ANY, "expose": ANY, "restart": ANY, "security_opt": ANY, "shm_size": ANY}
_FILE = {"file": TEXT, "external": TRUTH, "name": TEXT}
_STACK = {
    "version": TEXT, "services": {}, "networks": {}, "volumes": {}, "configs": {}, "secrets": {},
}
_MEMBERS = {
    "services": {**_SERVICE, **_LEFT_OUT}, "configs": _FILE, "secrets": _FILE, "volumes": {"driver": TEXT, "driver_opts": ANY, "external": TRUTH, "name": TEXT},
    "networks": {"driver": TEXT, "driver_opts": ANY, "internal": TRUTH, "attachable": TRUTH, "external": TRUTH, "name": TEXT, "ipam": ANY},
}


def faults(project: Mapping[str, Any]) -> list[str]:
    """What a swarm would refuse of a merged project, each with its place."""
    return [*_strange(project), *_loose(project)]


def _strange(project: Mapping[str, Any]) -> Iterator[str]:
    """Keys that a swarm does not know, and values of another kind."""
    for key, members in project.items():
        if key.startswith("x-"):
            continue
        if key not in _STACK:
            yield f"{key}: no stack has this"
            continue
        for name, member in members.items() if key in _MEMBERS else ():
            yield from _unlike(f"{key}.{name}", member if member is not None else {}, _MEMBERS[key])


def _unlike(place: str, value: Any, shape: Any) -> Iterator[str]:
    if shape is ANY:
        return
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            yield f"{place}: {value!r} is no mapping"
            return
        for key, inner in value.items():
            if key not in shape and not key.startswith("x-"):
                yield f"{place}.{key}: a swarm does not know this"
            else:
                yield from _unlike(f"{place}.{key}", inner, shape.get(key, ANY))
    elif isinstance(shape, list):
        if not isinstance(value, list):
            yield f"{place}: {value!r} is no list"
            return
        for number, item in enumerate(value):
            # An item in its long form, where there is one, or a text.
            yield from _unlike(f"{place}.{number}", item, shape[-1] if isinstance(item, dict) else shape[0])
    elif not isinstance(value, shape) or isinstance(value, bool) and shape is not TRUTH:
        yield f"{place}: {value!r} is of another kind"


def _loose(project: Mapping[str, Any]) -> Iterator[str]:
    """Names that lead nowhere, and a mode that does not go with the rest."""
    for name, service in project["services"].items():
        if "image" not in service:
            yield f"services.{name}: a swarm builds nothing, and no image is named"
        for kind in ("networks", "configs", "secrets"):
            for given in service.get(kind, ()):
                wanted = given["source"] if isinstance(given, dict) else given
                if wanted not in project.get(kind, {}):
                    yield f"services.{name}.{kind}: there is no {wanted}"
        deploy = service.get("deploy", {})
        mode = deploy.get("mode", "replicated")
        if mode not in ("replicated", "global", "replicated-job", "global-job"):
            yield f"services.{name}.deploy.mode: {mode}"
        if mode.endswith("-job") and (deploy.get("restart_policy", {}).get("condition", "any") == "any" or "update_config" in deploy):
            yield f"services.{name}.deploy: a job that has ended well is not started again, and not updated in turns"
