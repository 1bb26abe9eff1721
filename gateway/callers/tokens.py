"""Tokens (JWT, RFC 7519) of an identity provider: believed when its key signed them, for this server, for now. No other way in.

What a token may be is said here and not by the token (RFC 8725): its algorithm has to be one of the settings and the one
of the key that its ``kid`` names.
"""
from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import jwt
from marshmallow import ValidationError

from gateway.callers.caller import Caller
from gateway.callers.issuer import Issuer, algorithm_of
from gateway.settings import JwtSettings
from shared.contracts.fields import check_name
from shared.kernel.rights import ROLES
from shared.kernel.context import Context
from shared.kernel.errors import EdgemereError, Unauthenticated

REMEMBERED = 10_000
BELIEVED_S = 60.0


class Tokens:
    """The tokens of one issuer."""

    def __init__(self, settings: JwtSettings, issuer: Issuer | None = None) -> None:
        self._settings = settings
        self._issuer = issuer or Issuer(settings.jwks, settings.refetch_s)
        self._believed: OrderedDict[str, tuple[float, int, Caller]] = OrderedDict()

    def remembered(self, token: str) -> Caller | None:
        """The caller of a token that was checked within the last minute."""
        found = self._believed.get(_digest(token))
        if found is None or found[0] <= time.monotonic() or found[1] != self._issuer.generation or found[2].is_over:
            return None
        return found[2]

    def caller(self, token: str) -> Caller:
        """Whom a token speaks for.

        Raises:
            Unauthenticated: ``token.…``, one code for each thing that can be wrong with it.
            Unavailable: ``credential.unavailable``, the issuer's keys are not known yet.
        """
        found = self.remembered(token)
        if found is None:
            found = self._checked(token)
            self._believed[_digest(token)] = (time.monotonic() + BELIEVED_S, self._issuer.generation, found)
            if len(self._believed) > REMEMBERED:
                self._believed.popitem(last=False)
        return found

    def _checked(self, token: str) -> Caller:
        settings = self._settings
        try:
            head = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, ValueError, RecursionError):
            raise _refused("token.malformed", "The token cannot be read.") from None
        algorithm, kid = head.get("alg"), head.get("kid")
        if algorithm not in settings.algorithms:
            raise _refused("token.algorithm", f"Tokens signed with '{str(algorithm)[:20]}' are not taken: {' or '.join(settings.algorithms)} alone.")
        key = self._issuer.key(kid) if isinstance(kid, str) and len(kid) <= 200 else None
        if key is None:
            raise _refused("token.unknown_key", "The token does not say which key it is signed with." if not kid
                           else "The token is signed with a key that its issuer does not publish.")
        if algorithm_of(key) != algorithm:
            raise _refused("token.algorithm", f"The key that the token names is not one for {algorithm}.")
        try:
            claims = jwt.decode(token, key, algorithms=[algorithm], audience=settings.audience, issuer=settings.issuer,
                                leeway=settings.leeway_s, options={"require": ["exp", "iss", "aud"]})
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as error:
            raise _translated(error) from None
        return self._caller(claims, token)

    def _caller(self, claims: Mapping[str, Any], token: str) -> Caller:
        settings = self._settings
        owner = _member(claims, settings.owner_claim)
        try:
            owner = check_name(owner) if isinstance(owner, str) else ""
        except ValidationError:
            owner = ""
        if not owner:
            raise _refused("token.incomplete", f"The claim '{settings.owner_claim}' names no owner.")
        said = _member(claims, settings.roles_claim)
        said = said.replace(",", " ").split() if isinstance(said, str) else said if isinstance(said, list) else []
        named = {settings.roles.get(role, "" if settings.roles else role) for role in said if isinstance(role, str)}
        roles = tuple(role for role in ROLES if role in named)
        subject = claims.get("sub") if isinstance(claims.get("sub"), str) else owner
        subject = "".join(char for char in subject[:150] if char.isprintable())
        return Caller(Context(owner=owner, roles=roles, credential=f"token {subject}"), "token", "",
                      float(claims["exp"]) + settings.leeway_s, _logged_in_at(claims), 0, token)


def _logged_in_at(claims: Mapping[str, Any]) -> float:
    """When the person of a token logged in, as the issuer says (OpenID Connect); else when it was issued; long ago where it says neither."""
    return next((float(claims[name]) for name in ("auth_time", "iat") if isinstance(claims.get(name), (int, float))), 0.0)


def _translated(error: Exception) -> EdgemereError:
    kinds: tuple[tuple[type[Exception], str, str], ...] = (
        (jwt.ExpiredSignatureError, "token.expired", "The token has ended."),
        (jwt.ImmatureSignatureError, "token.not_yet_valid", "The token's time has not come yet."),
        (jwt.InvalidAudienceError, "token.wrong_audience", "The token is meant for another server."),
        (jwt.InvalidIssuerError, "token.wrong_issuer", "The token comes from another issuer."),
        (jwt.MissingRequiredClaimError, "token.incomplete", f"The token lacks a claim: {error}."),
        (jwt.InvalidSignatureError, "token.wrong_signature", "The signature is not that of the issuer."),
        (jwt.InvalidIssuedAtError, "token.not_yet_valid", "The token was issued in the future."),
    )
    for kind, code, detail in kinds:
        if isinstance(error, kind):
            return _refused(code, detail)
    return _refused("token.malformed", "The token cannot be read.")


def _refused(code: str, detail: str) -> Unauthenticated:
    return Unauthenticated(code, detail, next_step="Get a new token from the identity provider, or log in again.")


def _member(claims: Any, path: str) -> Any:
    for name in path.split("."):
        if not isinstance(claims, Mapping):
            return None
        claims = claims.get(name)
    return claims


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
