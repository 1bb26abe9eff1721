"""Keys as the gateway believes them: looked up in the service ``events``, remembered for moments, ended when the bus says so.

The secret stays here: what is asked and remembered is its digest. A revoked key ends when the message about it arrives
(milliseconds); where that is missed, within ``fresh_s``. While the service does not answer, what it said last holds for
``STANDS_S``, so that a restart of it stops nobody; that is the longest that a revoked key can go on working.
"""
from __future__ import annotations

import hashlib
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

from gateway.callers.caller import Caller
from shared.kernel import digests
from shared.kernel.clock import parse_time
from shared.kernel.context import Context
from shared.kernel.errors import DeadlineExceeded, EdgemereError, Unauthenticated, Unavailable

MARK = "edk_"
_FORM = re.compile(r"edk_([0-7][0-9A-HJKMNP-TV-Z]{25})_([a-z2-7]{52})", re.ASCII)
STANDS_S = 60.0
REMEMBERED = 10_000
WRONG_REMEMBERED_S = 30.0
KNOWN_S = 3600.0


class _Known:
    __slots__ = ("caller", "asked_at")

    def __init__(self, caller: Caller, asked_at: float) -> None:
        self.caller, self.asked_at = caller, asked_at


class Keys:
    """The keys of one gateway. ``fresh_s`` is how long an answer of the service is taken without asking again."""

    def __init__(self, mesh: Any, fresh_s: float, timeout_s: float) -> None:
        self._mesh, self._fresh_s, self._timeout_s = mesh, fresh_s, timeout_s
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._wrong: OrderedDict[str, tuple[float, Unauthenticated]] = OrderedDict()
        self._good: OrderedDict[str, float] = OrderedDict()
        self._lock = threading.Lock()
        # What the last key was found out by: the service names another one where it keeps another.
        self._algorithm = digests.FIRST

    def remembered(self, key: str) -> Caller | None:
        """The caller of a key that was believed a moment ago; needs no question."""
        known = self._known.get(_digest(key))
        if known is None or known.asked_at + self._fresh_s <= time.monotonic() or known.caller.is_over:
            return None
        return known.caller

    def refused(self, key: str) -> Unauthenticated | None:
        """Why a key was refused a moment ago."""
        found = self._wrong.get(_digest(key))
        return found[1] if found is not None and found[0] > time.monotonic() else None

    def was_good(self, key: str) -> bool:
        """Whether the service has believed this very key lately: it is asked about however many wrong ones come along."""
        return self._good.get(_digest(key), 0.0) > time.monotonic()

    def caller(self, key: str) -> Caller:
        """Whose key this is.

        Raises:
            Unauthenticated: ``credential.malformed``, ``key.wrong``, ``key.revoked``, ``key.expired``.
            Unavailable: ``credential.unavailable``, nobody can say so now.
        """
        found = self.remembered(key)
        if found is not None:
            return found
        form = _FORM.fullmatch(key)
        if form is None:
            raise Unauthenticated("credential.malformed", "This is not a whole key: edk_, 26 characters, _ and 52 characters.",
                                  next_step="Look at how it was copied.")
        digest, began = _digest(key), time.monotonic()
        try:
            answer = self._asked(f"akey_{form[1]}", form[2])
        except Unauthenticated as error:
            self._forget(digest)
            self._remember(self._wrong, digest, (began + WRONG_REMEMBERED_S, error))
            raise
        except (Unavailable, DeadlineExceeded) as error:
            known = self._known.get(digest)
            if known is not None and began - known.asked_at < STANDS_S and not known.caller.is_over:
                return known.caller
            raise unavailable(error) from error
        caller = Caller(
            Context(owner=answer["owner"], roles=tuple(answer["roles"]), credential=answer["id"]), answer["kind"], answer["id"],
            _moment(answer["expires_at"]), _moment(answer.get("since")), answer.get("notices", 0), key)
        self._remember(self._known, digest, _Known(caller, began))
        self._remember(self._good, digest, began + KNOWN_S)
        return caller

    def _asked(self, key_id: str, secret: str) -> Any:
        """What the service says of a key. It gets a digest: the secret itself never leaves this process. Raises as ``caller``."""
        algorithm, tried = self._algorithm, set()
        while True:
            tried.add(algorithm)
            try:
                answer = self._mesh.call("events", "identify", timeout_s=self._timeout_s, context=Context(), id=key_id,
                                         digest=digests.digest(algorithm, secret.encode()))
            except Unauthenticated as error:
                other = error.extra.pop("again_with", None)
                if other not in digests.ALGORITHMS or other in tried:
                    raise
                algorithm = other
            else:
                self._algorithm = algorithm
                return answer

    def revoked(self, ids: Iterable[str]) -> None:
        """These keys have changed: they are asked about anew."""
        gone = set(ids)
        with self._lock:
            for digest in [digest for digest, known in self._known.items() if known.caller.key_id in gone]:
                del self._known[digest]
            self._wrong.clear()

    def doubt(self) -> None:
        """Something may have been missed: all keys are asked about anew; what was known stands while nobody answers."""
        for known in tuple(self._known.values()):
            known.asked_at = min(known.asked_at, time.monotonic() - self._fresh_s)

    def _forget(self, digest: str) -> None:
        with self._lock:
            self._known.pop(digest, None)

    def _remember(self, memory: OrderedDict[str, Any], name: str, value: Any) -> None:
        with self._lock:
            memory[name] = value
            memory.move_to_end(name)
            if len(memory) > REMEMBERED:
                memory.popitem(last=False)


def unavailable(error: EdgemereError) -> Unavailable:
    """The refusal while nobody can say whether a credential holds."""
    return Unavailable("credential.unavailable", f"Whether the credential holds cannot be looked up now: {error.detail}",
                       next_step="Try again in a moment.")


def _moment(stamp: str | None) -> float | None:
    return parse_time(stamp).timestamp() if stamp else None


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
