"""What the errors of object stores mean: a stable code each, and whether another attempt can help. Imports no client of a store."""
from __future__ import annotations

import asyncio
from typing import Any

from shared.kernel.errors import Conflict, Denied, EdgemereError, Invalid, NotFound, Unavailable
from shared.sources.addresses import Forbidden

_THROTTLED = ("SlowDown", "Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequests", "503", "ServiceUnavailable")
_DENIED = ("AccessDenied", "403", "Forbidden", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "401",
           "AllAccessDisabled", "NoCredentialsError")
_GONE = ("NoSuchKey", "404", "NotFound", "NoSuchVersion", "NoSuchUpload")
_CHANGED = ("PreconditionFailed", "412", "ConditionalRequestConflict")


def object_error(error: BaseException, path: str, role: str = "source") -> EdgemereError:
    """The error of a store at one of its objects; ``role`` is ``source`` or ``target``."""
    if isinstance(error, EdgemereError):
        return error
    if _is_forbidden(error):
        return Denied("source.address_not_allowed", f"The store of '{path}' leads to an internal address, which sources may not reach.",
                      next_step="Name its server in sources.allowed_hosts in the configuration, if it is meant.")
    code = _code_of(error)
    if code == "NoSuchBucket":
        return NotFound(f"{role}.bucket_missing", f"The bucket of '{path}' does not exist.", next_step=f"Look at the url of the {role}.")
    if code in _GONE or isinstance(error, FileNotFoundError) and not code:
        return NotFound("source.vanished", f"'{path}' is no longer at its source.", next_step="Scan the source again.")
    if code in _CHANGED or isinstance(error, FileExistsError):
        if role == "target":
            return Conflict("target.exists", f"Something else is already at '{path}'.", next_step="Move it away, or name another target.")
        changed = Conflict("source.changed_during_copy", f"'{path}' changed while it was read.", next_step="Scan the source again.")
        changed.retryable = True
        return changed
    if code in _DENIED or isinstance(error, PermissionError):
        return Denied(f"{role}.access_denied", f"The store denies access to '{path}' ({code or 'denied'}).",
                      next_step=f"Look at the credentials of the {role} and at what they allow.")
    if code in _THROTTLED or isinstance(error, OSError) and getattr(error, "errno", None) == 16:
        return Unavailable(f"{role}.throttled", f"The store asks for fewer requests, at '{path}'.",
                           next_step=f"Try again later; if it stays so, give the {role} lower limits.")
    if isinstance(error, ImportError):
        return Invalid("source.driver_missing", f"A package for this kind of address is not installed: {error}.",
                       next_step="Install it into the environment of the server.")
    if isinstance(error, (asyncio.TimeoutError, TimeoutError)) or "Timeout" in type(error).__name__ or "Connect" in type(error).__name__:
        return Unavailable(f"{role}.timeout", f"The store does not answer in time, at '{path}'.",
                           next_step="Look at the network and the store, then retry.")
    return Unavailable("source.unreadable" if role == "source" else "target.not_writable",
                       f"The store cannot serve '{path}': {code or type(error).__name__}.", next_step="Look at the store, then retry.")


def _is_forbidden(error: BaseException | None) -> bool:
    """Whether the guard of this process refused the connection; clients wrap what they were told."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, Forbidden) or isinstance(getattr(error, "os_error", None), Forbidden):
            return True
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return False


def _code_of(error: BaseException | None) -> str:
    """The code that the store itself gave; s3fs wraps its answer."""
    while error is not None:
        response: Any = getattr(error, "response", None)
        if isinstance(response, dict) and (code := (response.get("Error") or {}).get("Code")):
            return str(code)
        if type(error).__name__ == "NoCredentialsError":
            return "NoCredentialsError"
        error = error.__cause__
    return ""
