"""Finds out who is calling, at every door: counts, reads the credential, believes or refuses it, and keeps the record.

Where nobody has to log in, everybody is the configured owner, and nothing of this costs anything.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timezone
from typing import Any

from gateway.callers.caller import Caller
from gateway.callers.credentials import Origin, checked, credential_of, neighbourhood
from gateway.callers.keys import MARK, Keys
from gateway.callers.rates import Headers, Rates
from gateway.callers.record import Record
from gateway.settings import Settings
from shared.contracts.action import Action
from shared.kernel.clock import stamp
from shared.kernel.context import Context
from shared.kernel.errors import EdgemereError, Unauthenticated

# Not counted as wrong: what was right once, and comes from a program that did not notice.
KEY_ENDS, NOTICES = "Edgemere-Key-Ends", "Edgemere-Notices"
_ENDED = frozenset({"key.expired", "token.expired", "token.not_yet_valid"})


class Doorkeeper:
    """One for all doors of a gateway. ``mesh`` asks the services."""

    def __init__(self, settings: Settings, mesh: Any) -> None:
        self._required, self._takes_keys, self._fresh_s = settings.authenticated, settings.takes_keys, settings.fresh_s
        self._anonymous = Caller(Context(owner=settings.owner, roles=settings.roles))
        self._origin = Origin(settings.trusted_proxies)
        self._keys = Keys(mesh, settings.key_cache_s, settings.query_timeout_s)
        self._tokens: Any = None
        if settings.authenticated and settings.jwt.jwks:
            # Only who takes tokens needs what they are checked with.
            from gateway.callers.tokens import Tokens

            self._tokens = Tokens(settings.jwt)
        self._rates = Rates(settings.owner_rates, settings.address_rates, *(
            (settings.wrong_rates, settings.wrong_of_key_rates) if settings.authenticated else ()))
        self.record = Record(mesh)
        self._watchers: list[Any] = []

    @property
    def required(self) -> bool:
        """Whether everybody has to log in."""
        return self._required

    def greet(self, environ: dict[str, Any], request_id: str) -> Caller:
        """The caller of an HTTP request. ``environ`` learns what the answer's headers say, and whether a cookie came.

        Raises:
            Unauthenticated: no credential, or one that is not believed.
            TooMany: ``rate.exceeded``, ``credential.too_many_wrong``. Unavailable: ``credential.unavailable``.
        """
        if not self._required and not self._rates.bounds_requests:
            return self._anonymous
        address = self._origin.address(environ)
        remaining = environ["edgemere.remaining"] = self._rates.check_address(neighbourhood(address))
        caller = self._anonymous
        if self._required:
            try:
                credential, from_cookie = credential_of(environ)
            except Unauthenticated as error:
                raise self._refusal(error, address, request_id) from None
            environ["edgemere.cookie"] = from_cookie
            caller = self.believe(credential, address, request_id)
        remaining += self._rates.check_owner(caller.context.owner)
        return caller

    def check_fresh(self, row: Action, caller: Caller, parameters: Callable[[], Mapping[str, Any]]) -> None:
        """Refuse somebody whose login is too old for a call that could do much harm.

        ``parameters``: those of the call, checked; asked for where they decide. Raises what it does.

        Raises:
            Unauthenticated: ``auth.not_fresh``.
        """
        if row.fresh and not caller.is_fresh(self._fresh_s) and (not row.harmless or row.is_harmful(parameters())):
            raise Unauthenticated("auth.not_fresh", f"'{' '.join(row.path)}' asks for a login of the last {self._fresh_s / 60:g} minutes, and yours is older.",
                                  next_step="Log in again, and repeat.", max_age_s=self._fresh_s)

    def count(self, owner: str) -> None:
        """Count one more request of an owner who is in already.

        Raises:
            TooMany: ``rate.exceeded``.
        """
        if self._rates.bounds_requests:
            self._rates.check_owner(owner)

    def believe(self, credential: str, address: str, request_id: str) -> Caller:
        """Whose credential this is. Raises as ``greet``.

        Wrong ones are counted by address, and wrong secrets of a key by that; beyond the bound further ones are refused without a look, but for
        those that were right within the hour: a flood of wrong keys locks nobody out who was in, nor any other key at another address.
        """
        try:
            caller = self._believed(credential, address)
            if caller.kind == "key" and not self._takes_keys:
                raise Unauthenticated("key.not_taken", "This server takes no keys.",
                                      next_step="Show a token of the identity provider that it trusts (auth.jwt), or log in on the page with one.")
        except Unauthenticated as error:
            raise self._refusal(error, address, request_id, credential) from None
        caller = caller.of(address[:64])
        self.record.came(caller.context, request_id)
        return caller

    def _believed(self, credential: str, address: str) -> Caller:
        if not credential:
            raise Unauthenticated("unauthenticated", "This server answers to nobody without a login.")
        is_key = checked(credential).startswith(MARK)
        book = self._keys if is_key else self._tokens
        if book is None or not is_key and credential.count(".") != 2:
            raise Unauthenticated("token.not_taken", "This server takes no tokens, and this is no key.") if book is None else \
                Unauthenticated("credential.malformed", "This is neither a key nor a token.")
        found = book.remembered(credential)
        if found is not None:
            return found
        if not (is_key and self._keys.was_good(credential)):
            self._rates.check_wrong(neighbourhood(address), _key_id(credential))
        refused = self._keys.refused(credential) if is_key else None
        if refused is not None:
            raise refused
        return book.caller(credential)

    def still(self, caller: Caller) -> EdgemereError | None:
        """Why a caller who came in earlier may not stay; None while he may.

        For streams and sockets, which outlive the moment of their login. Does not count as a request.
        """
        if caller.kind == "anonymous":
            return None
        try:
            book = self._keys if caller.key_id else self._tokens
            found = book.remembered(caller.credential) or book.caller(caller.credential)
        except EdgemereError as error:
            # What nobody can say now is no reason.
            return error if isinstance(error, Unauthenticated) else None
        same = (found.context.owner, found.context.roles) == (caller.context.owner, caller.context.roles)
        return None if same else Unauthenticated("key.revoked", "What the credential may do has changed.", next_step="Log in again.")

    def revoked(self, ids: Iterable[str]) -> None:
        """The bus says that keys have changed."""
        gone = frozenset(ids)
        self._keys.revoked(gone)
        for watcher in tuple(self._watchers):
            watcher(gone)

    def doubt(self) -> None:
        """The bus was not heard for a while: what was missed is asked for."""
        self._keys.doubt()

    def on_revoked(self, watcher: Any) -> None:
        """Call ``watcher(ids)`` after keys have changed; it returns at once."""
        self._watchers.append(watcher)

    def headers(self, environ: Mapping[str, Any]) -> Headers:
        """What the answer to this request says about rates, about a key that ends within two weeks, and about what its owner has not seen."""
        caller = environ.get("edgemere.caller")
        ends = [(KEY_ENDS, stamp(datetime.fromtimestamp(caller.ends, timezone.utc)))] if caller is not None and caller.ends_soon else []
        if caller is not None and caller.notices:
            ends.append((NOTICES, str(caller.notices)))
        return [*self._rates.headers(environ.get("edgemere.remaining") or []), *ends]

    def address(self, environ: Mapping[str, Any]) -> str:
        """Where a request came from."""
        return self._origin.address(environ)

    def is_secure(self, environ: Mapping[str, Any]) -> bool:
        """Whether the client speaks TLS."""
        return self._origin.scheme(environ) == "https"

    def _refusal(self, error: Unauthenticated, address: str, request_id: str, credential: str = "") -> EdgemereError:
        if error.code == "unauthenticated":
            # Somebody who has not logged in yet; that is no attempt.
            return error
        key_id = _key_id(credential)
        self.record.refused(address, error.code, request_id, key_id)
        if error.code not in _ENDED:
            self._rates.wrong(neighbourhood(address), key_id if error.code == "key.wrong" else "")
        # The one that is remembered may be raised again: each answer has its own.
        return Unauthenticated(error.code, error.detail, next_step=error.next_step)


def _key_id(credential: str) -> str:
    """The id of the key that a credential says to be; empty where it is none."""
    return f"akey_{credential[4:30]}" if credential.startswith(MARK) else ""
