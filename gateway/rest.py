"""The parameters of an HTTP request, from query string, JSON body or form body, with one meaning; or of an emitted object.

Bounded in bytes and depth. What the parameters mean is the contract's and the service's business.
"""
from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl

from werkzeug.exceptions import HTTPException
from werkzeug.formparser import FormDataParser
from werkzeug.http import parse_options_header

from gateway.problems import UnsupportedMediaType
from gateway.settings import Settings
from shared.contracts.action import ALIASES, Action, schema_of
from shared.kernel.errors import Invalid, Malformed, TooLarge
from shared.kernel.numbers import finite, no_constant

MAX_FIELDS = 1000
_JSON_TYPES = ("application/json", "text/json")
_FORM = "application/x-www-form-urlencoded"
_MULTIPART = "multipart/form-data"


def read_parameters(row: Action, environ: dict[str, Any], settings: Settings) -> dict[str, Any]:
    """The raw parameters that the request gives, under the contract's names.

    Raises:
        Malformed: ``malformed``: query string, form or JSON that cannot be parsed, with its place.
        Invalid: ``parameter.invalid``: one parameter with two values; a body that is no object; a NUL byte.
        TooLarge: ``too_large``: more bytes, or deeper, than the settings allow.
        UnsupportedMediaType: ``unsupported_media_type``.
    """
    merged = _Merged(row)
    query = environ.get("QUERY_STRING")
    if query:
        for name, value in _urlencoded(query, "query string"):
            merged.add(name, value)
    body = body_of(environ, settings.max_body_bytes)
    if body:
        for name, value in _fields_of(body, environ.get("CONTENT_TYPE") or ""):
            merged.add(name, value)
    return _sound(merged, settings)


def take_parameters(row: Action, given: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    """The same for parameters that came as one object, already parsed. Raises as ``read_parameters``."""
    merged = _Merged(row)
    for name, value in given.items():
        merged.add(name, value)
    return _sound(merged, settings)


def _sound(merged: _Merged, settings: Settings) -> dict[str, Any]:
    if not _is_sound(merged.values, settings.max_depth):
        for name, value in merged.values.items():
            _name_the_fault(value, name, settings.max_depth)
    return merged.values


class _Merged:
    """Parameters as they come together; the same one twice must say the same."""

    def __init__(self, row: Action) -> None:
        self._known = schema_of(row.parameters).fields
        self.values: dict[str, Any] = {}

    def add(self, given: str, value: Any) -> None:
        name = given
        if given not in self._known and ALIASES.get(given) in self._known:
            name = ALIASES[given]
        if name in self.values and not _same(self.values[name], value):
            raise Invalid(
                "parameter.invalid", f"The parameter '{given}' is given twice, with different values.",
                next_step="Give it once, in the query string or in the body.",
                errors=[{"pointer": pointer(name), "detail": "Given twice, with different values."}],
            )
        self.values.setdefault(name, value)


def pointer(*names: Any) -> str:
    """The JSON pointer (RFC 6901) that these names make."""
    return "".join("/" + str(name).replace("~", "~0").replace("/", "~1") for name in names)


def _same(one: Any, other: Any) -> bool:
    if type(one) is type(other):
        return one == other
    # A query string knows text only: ?limit=5 and {"limit": 5} say the same.
    text, value = (one, other) if isinstance(one, str) else (other, one)
    if not isinstance(text, str):
        return one == other
    try:
        return type(parsed := json.loads(text)) is type(value) and parsed == value
    except (ValueError, RecursionError):
        return False


def _urlencoded(text: str, where: str) -> Iterator[tuple[str, str]]:
    try:
        yield from parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)
    except UnicodeError:
        raise Malformed("malformed", f"The {where} is not UTF-8 once its %-escapes are undone.",
                        next_step="Encode the text as UTF-8 before escaping it.") from None
    except ValueError:
        raise TooLarge("too_large", f"The {where} has more than {MAX_FIELDS} fields.",
                       next_step="Put large values into one JSON body.") from None


def json_of(environ: dict[str, Any], limit: int) -> dict[str, Any]:
    """The JSON object in the body of a request that is no action's. Raises as ``read_parameters``."""
    return dict(_json_object(body_of(environ, limit) or b"{}"))


def body_of(environ: dict[str, Any], limit: int) -> bytes:
    """The bytes of a request's body. Raises ``too_large`` and ``malformed`` as ``read_parameters``."""
    length = environ.get("CONTENT_LENGTH")
    chunked = environ.get("HTTP_TRANSFER_ENCODING", "").lower() == "chunked"
    if not chunked and (not length or length == "0"):
        return b""
    if not chunked and int(length) > limit:
        if int(length) > 16 * limit:
            # Reading so much only to drop it would be work for whoever sent it to make.
            environ.get("edgemere.close", bool)()
        raise _too_large(limit)
    try:
        body = environ["wsgi.input"].read(limit + 1 if chunked else int(length))
    except ValueError:
        environ.get("edgemere.close", bool)()
        raise Malformed("malformed", "The chunks of the body cannot be read.",
                        next_step="Send the body with Content-Length.") from None
    environ.get("edgemere.read", bool)()
    if len(body) > limit:
        environ.get("edgemere.close", bool)()
        raise _too_large(limit)
    if not chunked and len(body) < int(length):
        raise Malformed("malformed", f"The body ended after {len(body)} of {length} bytes.", next_step="Send it again.")
    return body


def _too_large(limit: int) -> TooLarge:
    return TooLarge("too_large", f"The body is larger than {limit} bytes.",
                    next_step="Send less in one call, or let the server read a file at a source.", limit=limit)


def _fields_of(body: bytes, content_type: str) -> Iterator[tuple[str, Any]]:
    kind, options = parse_options_header(content_type)
    kind = kind.lower()
    looks_like_json = body[:64].lstrip()[:1] == b"{"
    if kind in _JSON_TYPES or kind.endswith("+json"):
        yield from _json_object(body)
    elif kind == _MULTIPART:
        yield from _multipart(body, kind, options)
    elif looks_like_json and kind in (_FORM, "text/plain", ""):
        # What curl -d '{…}' sends; no parameter's name begins with a brace.
        yield from _json_object(body)
    elif kind in (_FORM, "text/plain", ""):
        yield from _urlencoded(_text(body, "form"), "form")
    else:
        raise UnsupportedMediaType(
            "unsupported_media_type", f"A body of the kind '{kind[:100]}' is not read here.",
            next_step=f"Send application/json, {_FORM} or {_MULTIPART}.",
        )


def _text(body: bytes, what: str) -> str:
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Malformed("malformed", f"The {what} is not UTF-8: byte {error.start} cannot be read.",
                        next_step="Encode it as UTF-8.", position=error.start) from None


def _json_object(body: bytes) -> Iterator[tuple[str, Any]]:
    text = _text(body, "JSON body")
    try:
        value = json.loads(text, object_pairs_hook=_once, parse_constant=no_constant, parse_float=finite)
    except json.JSONDecodeError as error:
        raise Malformed(
            "malformed", f"The body is not valid JSON: {error.msg} at line {error.lineno}, column {error.colno}.",
            next_step="Correct the JSON there.", position=error.pos, line=error.lineno, column=error.colno,
        ) from None
    except RecursionError:
        raise TooLarge("too_large", "The JSON body is nested too deeply.", next_step="Send flatter JSON.") from None
    except ValueError as error:
        raise Malformed("malformed", f"The body is not valid JSON: {error}.", next_step="Correct the JSON.") from None
    if not isinstance(value, Mapping):
        raise Invalid("parameter.invalid", "The JSON body must be an object with the parameters as its members.",
                      next_step='Send {"name": value, …}.', errors=[{"pointer": "", "detail": "Not an object."}])
    yield from value.items()


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: dict[str, Any] = {}
        for key, value in pairs:
            if key in seen and seen[key] != value:
                raise Invalid("parameter.invalid", f"The JSON body has the member '{key[:100]}' twice, with different values.",
                              next_step="Give it once.", errors=[{"pointer": pointer(key), "detail": "Given twice."}])
            seen[key] = value
    return found


def _multipart(body: bytes, kind: str, options: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    parser = FormDataParser(max_form_memory_size=len(body) + 1, max_form_parts=MAX_FIELDS, silent=False)
    try:
        _, fields, files = parser.parse(io.BytesIO(body), kind, len(body), dict(options))
    except (ValueError, HTTPException):
        raise Malformed("malformed", "The multipart form cannot be parsed.",
                        next_step="Send application/json instead.") from None
    yield from fields.items(multi=True)
    for name, part in files.items(multi=True):
        yield name, _text(part.read(), f"file '{name}' of the form")


def _is_sound(parameters: Mapping[str, Any], max_depth: int) -> bool:
    """Whether nothing is too deep, holds a NUL byte or half a character; level by level, so that depth cannot hurt."""
    level: list[Any] = [parameters]
    for _ in range(max_depth + 2):
        below: list[Any] = []
        for value in level:
            if isinstance(value, str):
                if "\x00" in value or not (value.isascii() or _is_encodable(value)):
                    return False
            elif isinstance(value, dict):
                below.extend(value)
                below.extend(value.values())
            elif isinstance(value, list):
                below.extend(value)
        if not below:
            return True
        level = below
    return False


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _name_the_fault(value: Any, name: str, max_depth: int) -> None:
    """Raise for what ``_is_sound`` found in this parameter, with its place."""
    open_values: list[tuple[tuple[Any, ...], Any]] = [((name,), value), ((name,), name)]
    while open_values:
        path, found = open_values.pop()
        if isinstance(found, str):
            if "\x00" in found:
                raise Invalid("parameter.invalid", f"{pointer(*path)} holds a NUL byte.", next_step="Leave it out.",
                              errors=[{"pointer": pointer(*path), "detail": "A text cannot hold a NUL byte."}])
            if not _is_encodable(found):
                raise Malformed("malformed", f"{_printable(path)} holds half of a character (a lone surrogate).",
                                next_step="Send whole Unicode characters.")
        elif isinstance(found, (dict, list)):
            if len(path) > max_depth:
                raise TooLarge("too_large", f"'{path[0]}' is nested deeper than {max_depth} levels.",
                               next_step="Send flatter JSON.", limit=max_depth,
                               errors=[{"pointer": pointer(path[0]), "detail": f"Nested deeper than {max_depth} levels."}])
            items = found.items() if isinstance(found, dict) else enumerate(found)
            for key, inner in items:
                open_values.append(((*path, key), inner))
                if isinstance(key, str) and not (key.isascii() and key.isprintable()):
                    open_values.append((path, key))


def _printable(path: tuple[Any, ...]) -> str:
    return pointer(*path).encode("ascii", "backslashreplace").decode()
