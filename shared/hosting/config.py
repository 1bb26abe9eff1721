"""Reads the settings: ``config.yaml``, the environment's overlay in it, further files, then the command line's words.

The last one that names a setting decides. A setting that is unknown, ill-typed or out of bounds is refused with the
file, the line and the nearest known name; all such faults are told at once. Nothing here is kept between calls.
"""
from __future__ import annotations

import dataclasses
import getpass
import os
import re
import sys
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlencode, urlsplit

import yaml
from marshmallow import ValidationError

from shared.hosting.setting_kinds import Address
from shared.hosting.settings import ENVIRONMENTS, Config, DatabaseTls
from shared.kernel.errors import Invalid, did_you_mean

SHIPPED = Path(__file__).resolve().parents[2] / "config.yaml"
HIDDEN = "***"
_VARIABLE = re.compile(r"\$\{(?:file:(?P<file>[^}]+)|(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P<rest>:[^}]*)?)\}")
_PASSWORD = re.compile(r"(?P<before>://[^/@:]*:)[^/]*@")

Key = tuple[str, ...]


class ConfigError(Invalid):
    """The settings cannot be used; ``errors`` has every fault with its file and line."""

    code = "config.invalid"


@dataclasses.dataclass(frozen=True)
class _Given:
    """A value somebody wrote, and where."""

    value: Any
    place: str


def load_config(
    environment: str | None = None,
    files: Iterable[str | Path] = (),
    overrides: Mapping[str, Any] | None = None,
    variables: Mapping[str, str] | None = None,
) -> Config:
    """The settings for ``environment`` (default: ``EDGEMERE_ENV``, else ``dev``).

    ``files`` have the form of ``config.yaml`` and need name only what they change; ``EDGEMERE_CONFIG`` names one
    more that comes before them. ``overrides`` maps dotted names (``web.port``) to values, or sections to mappings, and wins; None is left out.
    ``variables`` stands for the process's environment.

    Raises:
        ConfigError: ``config.invalid``, with every fault found.
    """
    variables = os.environ if variables is None else variables
    environment = environment or variables.get("EDGEMERE_ENV") or "dev"
    faults: list[dict[str, str]] = []
    if environment not in ENVIRONMENTS:
        fault = _no_environment(environment)
        raise _refusal([{"pointer": "EDGEMERE_ENV", "detail": fault}])
    given: dict[Key, _Given] = {("environment",): _Given(environment, "EDGEMERE_ENV")}
    paths = [SHIPPED, *filter(None, [variables.get("EDGEMERE_CONFIG")]), *files]
    for path in map(Path, paths):
        given |= _FileReader(path, environment, variables, faults).read()
    for name, value in (overrides or {}).items():
        if value is not None:
            given |= _checked_override(name, value, faults)
    if faults:
        raise _refusal(faults)
    config = _build(Config, (), given, faults)
    if faults:
        raise _refusal(faults)
    return dataclasses.replace(
        config,
        data_dir=os.path.abspath(os.path.expanduser(config.data_dir)) if config.data_dir else default_data_dir(variables),
        owner=dataclasses.replace(config.owner, default=config.owner.default or _user_name()),
    )


def database_url(config: Config, service: str) -> str:
    """Where ``service`` keeps its rows: a file in the data folder, unless the settings name a database.

    ``{service}`` in the setting stands for the service's name, for a database each.
    """
    url = config.database.url.replace("{service}", service)
    scheme, separator, rest = url.partition("://")
    if not separator:
        from shared.storage.database import sqlite_url  # SQLAlchemy is slow to import; the command line does without

        return sqlite_url(Path(config.data_dir), service)
    # SQLAlchemy would take another driver, which blocks eventlet.
    return _with_tls(f"postgresql+psycopg2://{rest}", config.database.tls) if scheme.startswith("postgres") else url


def _with_tls(url: str, tls: DatabaseTls) -> str:
    """The address of a PostgreSQL with what the settings say of its certificate, in the words of libpq."""
    if not (tls.required or tls.ca) or "sslmode=" in url:
        return url
    said = {"sslmode": "verify-full" if tls.verify else "require", "sslrootcert": (tls.ca or "system") if tls.verify else "",
            "sslcert": tls.cert, "sslkey": tls.private_key}
    return f"{url}{'&' if '?' in url else '?'}{urlencode({name: value for name, value in said.items() if value})}"


def broker_uri(config: Config, service: str = "") -> str:
    """Where the broker is for ``service``, with what the settings say of its certificate.

    ``{service}`` in the setting stands for the service's name, for an account each.
    """
    from shared.bus.tls import address  # kombu is slow to import; the command line does without

    tls = config.broker.tls
    return address(config.broker.uri.replace("{service}", service), ca=tls.ca, cert=tls.cert, key=tls.private_key, verify=tls.verify)


def is_embedded(config: Config) -> bool:
    """Whether everything runs in one process, on the broker that comes with the product."""
    return config.broker.uri.startswith("embedded:")


def redacted(config: Config) -> dict[str, Any]:
    """The settings as plain data, with secrets and the passwords in addresses hidden."""
    return _shown(config)


def default_data_dir(variables: Mapping[str, str]) -> str:
    """The user's data folder for edgemere, as the system has it."""
    home = variables.get("HOME") or os.path.expanduser("~")
    if sys.platform == "darwin":
        return os.path.join(home, "Library", "Application Support", "edgemere")
    base = variables.get("XDG_DATA_HOME", "")
    return os.path.join(base if os.path.isabs(base) else os.path.join(home, ".local", "share"), "edgemere")


class _FileReader:
    """One YAML file: its settings, then those of the environment's overlay, each with the line it stands on."""

    def __init__(self, path: Path, environment: str, variables: Mapping[str, str], faults: list[dict[str, str]]) -> None:
        self.path, self.environment, self.variables, self.faults = path, environment, variables, faults
        self.loader: yaml.SafeLoader | None = None

    def read(self) -> dict[Key, _Given]:
        try:
            self.loader = yaml.SafeLoader(self.path.read_text(encoding="utf-8"))
            root = self.loader.get_single_node()
        except OSError as error:
            return self._fault(None, f"It cannot be read: {error.strerror}.")
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            return self._fault(None, f"It is not YAML: {' '.join(str(error).split())}")
        if root is None:
            return {}
        given: dict[Key, _Given] = {}
        overlays: dict[Key, _Given] = {}
        for name, key_node, node in self._pairs(root, ()):
            if name != "overlays":
                given |= self._one(Config, (), name, key_node, node)
                continue
            for overlay, overlay_key, overlay_node in self._pairs(node, ("overlays",)):
                if overlay not in ENVIRONMENTS:
                    self._fault(overlay_key, _no_environment(overlay))
                    continue
                found = self._section(Config, (), overlay_node)
                overlays |= found if overlay == self.environment else {}
        return given | overlays

    def _section(self, section: type, at: Key, node: yaml.Node) -> dict[Key, _Given]:
        given: dict[Key, _Given] = {}
        for name, key_node, value_node in self._pairs(node, at):
            given |= self._one(section, at, name, key_node, value_node)
        return given

    def _one(self, section: type, at: Key, name: str, key_node: yaml.Node, node: yaml.Node) -> dict[Key, _Given]:
        known = _kinds(section)
        if (*at, name) == ("environment",):
            return self._fault(key_node, "The environment is chosen by EDGEMERE_ENV or --env, not by a file.")
        if name not in known:
            words = [*known, "overlays"] if not at else list(known)
            return self._fault(key_node, f"There is no setting '{'.'.join((*at, name))}'.{did_you_mean(name, words)}")
        if isinstance(known[name], type):
            return self._section(known[name], (*at, name), node)
        return {(*at, name): _Given(self._value(node), self._place(node))}

    def _pairs(self, node: yaml.Node, at: Key) -> Iterable[tuple[str, yaml.Node, yaml.Node]]:
        if not isinstance(node, yaml.MappingNode):
            self._fault(node, f"'{'.'.join(at) or 'The file'}' has to be a mapping of settings.")
            return
        seen: set[str] = set()
        for key_node, value_node in node.value:
            name = str(key_node.value)
            if name in seen:
                self._fault(key_node, f"'{'.'.join((*at, name))}' stands here a second time.")
            seen.add(name)
            yield name, key_node, value_node

    def _value(self, node: yaml.Node) -> Any:
        if isinstance(node, yaml.SequenceNode):
            return [self._value(item) for item in node.value]
        if isinstance(node, yaml.MappingNode):
            return {str(key.value): self._value(value) for key, value in node.value}
        if "${" in node.value:
            return _VARIABLE.sub(lambda match: self._variable(match, node), node.value)
        return self.loader.construct_object(node)

    def _variable(self, match: re.Match[str], node: yaml.Node) -> str:
        if match["file"]:
            try:
                return Path(match["file"]).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                self._fault(node, f"The file '{match['file']}' that it names cannot be read: {error}.")
                return ""
        value = self.variables.get(match["name"])
        if value is None and match["rest"] is None:
            self._fault(node, f"The environment variable {match['name']} is not set, and no default is given.")
        return value if value is not None else (match["rest"] or ":")[1:]

    def _place(self, node: yaml.Node | None) -> str:
        return f"{self.path}, line {node.start_mark.line + 1}" if node else str(self.path)

    def _fault(self, node: yaml.Node | None, detail: str) -> dict[Key, _Given]:
        self.faults.append({"pointer": self._place(node), "detail": detail})
        return {}


def _kinds(section: type) -> dict[str, Any]:
    """What each name of a section is: a marshmallow field, or the class of a section."""
    hints = typing.get_type_hints(section)
    return {field.name: field.metadata.get("kind") or hints[field.name] for field in dataclasses.fields(section)}


def _checked_override(name: str, value: Any, faults: list[dict[str, str]]) -> dict[Key, _Given]:
    section: Any = Config
    for part in name.split("."):
        known = _kinds(section) if isinstance(section, type) else {}
        if part not in known:
            faults.append({"pointer": name, "detail": f"There is no setting '{name}'.{did_you_mean(part, known)}"})
            return {}
        section = known[part]
    if not isinstance(section, type):
        return {tuple(name.split(".")): _Given(value, f"the command line ({name})")}
    if not isinstance(value, Mapping):
        faults.append({"pointer": name, "detail": f"'{name}' is a section: it takes a mapping of its settings."})
        return {}
    inner: dict[Key, _Given] = {}
    for key, one in value.items():
        inner |= _checked_override(f"{name}.{key}", one, faults)
    return inner


def _build(section: type, at: Key, given: Mapping[Key, _Given], faults: list[dict[str, str]]) -> Any:
    values: dict[str, Any] = {}
    for name, kind in _kinds(section).items():
        path = (*at, name)
        if isinstance(kind, type):
            values[name] = _build(kind, path, given, faults)
        elif path not in given:
            faults.append({"pointer": ".".join(path), "detail": "No file gives this setting."})
        else:
            values[name] = _deserialized(kind, path, given[path], faults)
    return None if faults else section(**values)


def _deserialized(kind: Any, path: Key, given: _Given, faults: list[dict[str, str]]) -> Any:
    value = "" if given.value is None else given.value
    try:
        checked = kind.deserialize(value)
    except ValidationError as error:
        # The value itself is not repeated: it may be a secret.
        sentences = " ".join(_sentences(error.messages))
        faults.append({"pointer": given.place, "detail": f"'{'.'.join(path)}': {sentences}"})
        return None
    return MappingProxyType(checked) if isinstance(checked, dict) else checked


def _sentences(messages: Any) -> list[str]:
    if isinstance(messages, dict):
        return [f"{where}: {sentence}" for where, inner in messages.items() for sentence in _sentences(inner)]
    return [str(message) for message in messages] if isinstance(messages, list) else [str(messages)]


def _no_environment(name: str) -> str:
    return f"There is no environment '{name}', but {', '.join(ENVIRONMENTS)}.{did_you_mean(name, ENVIRONMENTS)}"


def _refusal(faults: list[dict[str, str]]) -> ConfigError:
    first = faults[0]
    more = f" ({len(faults) - 1} more)" if len(faults) > 1 else ""
    return ConfigError(
        detail=f"{first['pointer']}: {first['detail']}{more}", errors=faults,
        next_step="config.yaml explains every setting.",
    )


def _shown(section: Any) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    for field in dataclasses.fields(section):
        value = getattr(section, field.name)
        if dataclasses.is_dataclass(value):
            shown[field.name] = _shown(value)
        elif field.metadata["secret"]:
            shown[field.name] = HIDDEN if value else value
        elif isinstance(field.metadata["kind"], Address):
            shown[field.name] = _PASSWORD.sub(rf"\g<before>{HIDDEN}@", value) if urlsplit(value).password else value
        else:
            shown[field.name] = list(value) if isinstance(value, tuple) else (
                dict(value) if isinstance(value, Mapping) else value)
    return shown


def _user_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without a name, as containers have
        return f"user-{os.getuid()}"
