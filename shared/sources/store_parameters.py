"""The parameters of the adaptor ``fsspec``, checked: which addresses they name, and whether those may be reached. Looks at no server."""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from shared.sources.addresses import literal_allowed, not_allowed
from shared.sources.port import SourcePolicy
from shared.sources.registry import bad_parameters, optional, texts
from shared.sources.store_options import S3, check_options

PARAMETERS = ("url", "storage_options", "writable", "deletable", "include", "exclude", "folders_as_data")
# Schemes that name a server. What reads this machine's disk, or wraps another URL, is not among them.
SCHEMES = (*S3, "gs", "gcs", "abfs", "abfss", "az", "sftp", "ssh", "ftp", "smb", "memory")
HOSTED = ("sftp", "ssh", "ftp", "smb")
_ADDRESSES = ("endpoint_url", "host", "account_host", "base_url", "gateway")


def check(parameters: Mapping[str, Any], policy: SourcePolicy) -> dict[str, Any]:
    """The parameters with defaults; looks at no server. Raises as ``registry.check_parameters``."""
    url = optional(parameters, "url", str, "")
    scheme, separator, rest = url.partition("://")
    if not separator or not rest.strip("/"):
        raise bad_parameters("url", "is not a URL such as s3://bucket/prefix" if url else "is missing: a URL such as s3://bucket/prefix",
                             'For example {"url": "s3://bucket/prefix"}.')
    if "::" in url or scheme not in SCHEMES:
        wanted = {"file": "use the adaptor file for folders", "http": "use the adaptor http", "https": "use the adaptor http"}
        raise bad_parameters("url", f"has a scheme that is not one of {', '.join(SCHEMES)}", wanted.get(scheme, "Use one of these schemes.").capitalize())
    if "?" in url or "#" in url or "@" in rest.split("/")[0]:
        raise bad_parameters("url", "holds a query, a fragment or a user; options belong in storage_options")
    if any(part in (".", "..") for part in rest.split("/")) or any(ord(c) < 32 or ord(c) == 127 for c in url):
        raise bad_parameters("url", "holds '..' or characters that no address has")
    options = optional(parameters, "storage_options", dict, {})
    check_options(scheme, options)
    for name, address in addresses(scheme, rest, options):
        host, port = host_of(address)
        if not literal_allowed(host, port, policy):
            refused = not_allowed(host)
            refused.errors = [{"pointer": f"/parameters/{name}", "detail": refused.detail}]
            raise refused
    writable = optional(parameters, "writable", bool, False)
    if writable and scheme not in S3:
        raise bad_parameters("writable", "is possible for s3 only; other stores are read")
    return {"url": url.rstrip("/"), "storage_options": options, "writable": writable,
            "deletable": optional(parameters, "deletable", bool, writable),
            "include": texts(parameters, "include"), "exclude": texts(parameters, "exclude"), "folders_as_data": texts(parameters, "folders_as_data")}


def addresses(scheme: str, rest: str, options: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Every server that the parameters name, with the parameter."""
    if scheme in HOSTED:
        yield "url", rest.split("/")[0]
    for where, group in (("storage_options", options), ("storage_options/client_kwargs", options.get("client_kwargs") or {})):
        if not isinstance(group, Mapping):
            raise bad_parameters(where, "is not an object")
        for name in _ADDRESSES:
            if isinstance(group.get(name), str):
                yield f"{where}/{name}", group[name]


def host_of(address: str) -> tuple[str, int]:
    """The host and the port of an address. Raises ``source.bad_parameters``."""
    split = urlsplit(address if "://" in address else f"//{address}")
    try:
        return split.hostname or "", split.port or {"http": 80, "https": 443}.get(split.scheme, 443)
    except ValueError:
        raise bad_parameters("storage_options", "holds an address that is none") from None
