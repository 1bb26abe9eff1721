"""The kinds of source by name: judging what a user wrote, and opening one. Imports an adaptor when it is first opened."""
from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from shared.kernel.errors import Invalid, did_you_mean
from shared.sources.addresses import guarded_by
from shared.sources.port import Source, SourcePolicy

ADAPTORS = {
    "file": "shared.sources.file",
    "http": "shared.sources.http",
    "fsspec": "shared.sources.fsspec",
    "sql": "shared.sources.sql",
    "simulated": "shared.sources.simulated",
}

# How much the mover takes from, or brings to, a source at a time.
LIMITS = "limits"
# What every kind of source takes: that, and the marks by which a target is freed.
OF_ALL = (LIMITS, "reap")
_WORDS: Mapping[type, str] = {str: "a text", bool: "true or false", int: "a number", float: "a number", dict: "an object", Mapping: "an object", list: "a list"}


def _module(adaptor: object) -> Any:
    if adaptor not in ADAPTORS:
        raise Invalid("source.unknown_adaptor", f"There is no adaptor '{adaptor}'.{did_you_mean(str(adaptor), ADAPTORS)}",
                      next_step=f"Use one of {', '.join(ADAPTORS)}.", errors=[{"pointer": "/adaptor", "detail": "unknown"}])
    return importlib.import_module(ADAPTORS[str(adaptor)])


def check_parameters(adaptor: str, parameters: Mapping[str, Any], policy: SourcePolicy) -> dict[str, Any]:
    """The parameters in the form that is kept: defaults filled in, a folder as its real absolute path.

    Looks at the folder (for ``file``) and parses an inline listing; reads no data and connects to nothing.

    Raises:
        Invalid: ``source.unknown_adaptor``, ``source.bad_parameters``, ``source.rootdir_missing``, ``source.rootdir_unreadable``,
            ``source.rootdir_not_allowed``, ``source.bad_listing``; ``errors`` holds pointers below ``/parameters``.
    """
    module = _module(adaptor)
    if not isinstance(parameters, Mapping):
        raise bad_parameters("", "is not an object")
    known = (*module.PARAMETERS, *OF_ALL)
    for name in parameters:
        if name not in known:
            meant = did_you_mean(name, known)
            raise bad_parameters(name, f"is not known to the adaptor {adaptor}{meant and '.' + meant}",
                                 f"It takes: {', '.join(known)}.")
    limits = _limits(parameters)
    kept = module.check({name: value for name, value in parameters.items() if name not in OF_ALL}, policy)
    return {**kept, **({LIMITS: limits} if limits else {}), **_reap(parameters)}


def _limits(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """``{"transfers": at a time, "mib_per_s"}``, what the mover keeps to; both may be missing."""
    limits = optional(parameters, LIMITS, dict, {})
    for name, value in limits.items():
        if name not in ("transfers", "mib_per_s"):
            raise bad_parameters(f"{LIMITS}/{name}", f"is not known{did_you_mean(name, ('transfers', 'mib_per_s')) or ''}",
                                 "Limits are {transfers, mib_per_s}.")
        whole = isinstance(value, int) or name == "mib_per_s" and isinstance(value, float)
        if isinstance(value, bool) or not whole or not 0 < value <= 1_000_000:
            raise bad_parameters(f"{LIMITS}/{name}", "is not a number from 1" if name == "transfers" else "is not a number above 0",
                                 'For example {"transfers": 4, "mib_per_s": 100}.')
    return limits


def _reap(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The marks of a target that is freed: ``{"reap": {"high", "low"}}``, or nothing."""
    given = optional(parameters, "reap", dict, None)
    if given is None:
        return {}
    for name, value in given.items():
        if name not in ("high", "low"):
            raise bad_parameters("reap", f"has no member '{name}'.{did_you_mean(name, ('high', 'low'))}", "It takes: high, low.")
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
            raise bad_parameters("reap", f"has a {name} that is no part from 0 to 1", "Write for example {\"high\": 0.9, \"low\": 0.7}.")
    if given.get("low", 0) > given.get("high", 1):
        raise bad_parameters("reap", "has a low mark above its high one", "Write for example {\"high\": 0.9, \"low\": 0.7}.")
    return {"reap": dict(given)}


def open_source(adaptor: str, parameters: Mapping[str, Any], policy: SourcePolicy) -> Source:
    """The open source; the caller closes it. The rules of ``policy`` are applied again, for the world may have changed.

    Raises:
        EdgemereError: as ``check_parameters``.
    """
    guarded_by(policy)
    return _module(adaptor).open_source({name: value for name, value in parameters.items() if name not in OF_ALL}, policy)


def bad_parameters(name: str, why: str, next_step: str = "") -> Invalid:
    """``source.bad_parameters`` with a pointer to the parameter."""
    detail = f"The parameter '{name}' {why}" if name else f"What stands as parameters {why}"
    detail += "" if detail.endswith("?") else "."
    return Invalid("source.bad_parameters", detail,
                   next_step=next_step or "Correct it; docs/sources.md says what each kind of source takes.",
                   errors=[{"pointer": f"/parameters/{name}".rstrip("/"), "detail": detail}])


def optional(parameters: Mapping[str, Any], name: str, kind: type | tuple[type, ...], default: Any) -> Any:
    """A parameter of a kind, or its default where it is missing or null.

    Raises:
        Invalid: ``source.bad_parameters``.
    """
    value = parameters.get(name)
    if value is None:
        return default
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        kinds = (kind,) if isinstance(kind, type) else kind
        raise bad_parameters(name, f"is not {' or '.join(dict.fromkeys(_WORDS.get(one, one.__name__) for one in kinds))}")
    if isinstance(value, str) and ("\0" in value or not value.isprintable() and any("\ud800" <= c <= "\udfff" for c in value)):
        raise bad_parameters(name, "holds a NUL or half a character")
    return value


def texts(parameters: Mapping[str, Any], name: str) -> list[str]:
    """A list of texts (one alone stands for itself), empty where it is missing."""
    value = optional(parameters, name, (str, list), [])
    value = [value] if isinstance(value, str) else value
    if not all(isinstance(one, str) and one and len(one) <= 1024 for one in value) or len(value) > 1000:
        raise bad_parameters(name, "is not a list of at most 1,000 short texts")
    return list(value)
