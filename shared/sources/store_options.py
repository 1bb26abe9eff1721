"""Which options a store may be opened with: those named here and no others, so that none of them is another address or this machine's own key.

A client of a store takes dozens of options. Among them are proxies, connection strings and files with keys, by which a source would
reach what its address does not say. Imports no client.
"""
from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from shared.sources.registry import bad_parameters

S3 = ("s3", "s3a")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,62}")


def _any(value: Any) -> str | None:
    return None


def _word(value: Any) -> str | None:
    """A label that becomes a part of a host name: with a dot or a slash in it, it would be another host."""
    return None if isinstance(value, str) and _WORD.fullmatch(value) else "is not a word of letters, digits and '-'"


def _flag(value: Any) -> str | None:
    return None if isinstance(value, bool) else "is neither true nor false"


def _token(value: Any) -> str | None:
    """Of Google: nobody, or a key by reference. Anything else is a file, or asks this machine who it is."""
    reference = isinstance(value, Mapping) and set(value) == {"secret"} or isinstance(value, str) and value.startswith("${")
    return None if value == "anon" or reference else 'is neither "anon" nor {"secret": NAME}'


def _members(**known: Callable[[Any], str | None]) -> Callable[[Any], str | None]:
    def check(value: Any) -> str | None:
        if not isinstance(value, Mapping):
            return "is not an object"
        for name, given in value.items():
            if name not in known:
                return f"has no member '{str(name)[:60]}' here; it takes: {', '.join(known)}"
            if wrong := known[name](given):
                return f"has a {name} that {wrong}"
        return None
    return check


_LOGIN = {"username": _any, "password": _any, "port": _any, "timeout": _any}
_AZURE = {"account_name": _word, "account_key": _any, "sas_token": _any, "tenant_id": _word, "client_id": _any, "client_secret": _any,
          "anon": _flag, "account_host": _any}
_GOOGLE = {"token": _token, "project": _word, "requester_pays": _any, "endpoint_url": _any}
_AMAZON = {
    "key": _any, "secret": _any, "token": _any, "endpoint_url": _any, "region": _word, "anon": _flag, "use_ssl": _flag, "requester_pays": _flag,
    "client_kwargs": _members(endpoint_url=_any, region_name=_word, verify=_flag, use_ssl=_flag),
    "config_kwargs": _members(signature_version=_word, connect_timeout=_any, read_timeout=_any, max_pool_connections=_any,
                              s3=_members(addressing_style=_word, payload_signing_enabled=_flag), retries=_members(max_attempts=_any, mode=_word)),
    "s3_additional_kwargs": _members(ServerSideEncryption=_any, SSEKMSKeyId=_any, StorageClass=_any, ACL=_word),
}
TAKEN: Mapping[str, Mapping[str, Callable[[Any], str | None]]] = {
    **dict.fromkeys(S3, _AMAZON), **dict.fromkeys(("gs", "gcs"), _GOOGLE), **dict.fromkeys(("abfs", "abfss", "az"), _AZURE),
    **dict.fromkeys(("sftp", "ssh", "ftp"), _LOGIN), "smb": {**_LOGIN, "share_access": _any}, "memory": {},
}


def check_options(scheme: str, options: Mapping[str, Any]) -> None:
    """Refuse what a store of this scheme may not be given.

    Raises:
        Invalid: ``source.bad_parameters``, with the option; never with its value.
    """
    taken = TAKEN[scheme]
    for name, value in options.items():
        if name not in taken:
            raise bad_parameters(f"storage_options/{name}", "is not taken here", f"{scheme} takes: {', '.join(taken) or 'nothing'}.")
        if wrong := taken[name](value):
            raise bad_parameters(f"storage_options/{name}", wrong)


def google_key(scheme: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options with a key of Google as what it says: as a text the client would take it for the name of a file.

    Raises:
        Invalid: ``source.bad_parameters``, the secret is no key.
    """
    if scheme not in ("gs", "gcs") or options.get("token") in (None, "anon"):
        return dict(options)
    try:
        key = json.loads(options["token"])
    except (TypeError, ValueError):
        key = None
    if not isinstance(key, dict):
        raise bad_parameters("storage_options/token", "names a secret that is no JSON key of a service account")
    return {**options, "token": key}
