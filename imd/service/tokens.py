"""Access tokens: signed statements of who somebody is, checked without asking anybody (page 2.1).

:mod:`imd.service.credentials` verifies and issues them, ``imdctl token`` issues. Whatever is not
exactly a token of ours is refused with one and the same sentence, so that a caller learns nothing
from trying. It refuses to know sessions, members, keys and which tokens were revoked.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from imd.actions.ports import Clock
from imd.domain.caller import Caller
from imd.domain.errors import BadJson, Forbidden, ImError, InvalidInput, Unauthenticated
from imd.domain.ids import SessionId, UserId
from imd.domain.user import DOCTOR, PATIENT
from imd.wire.codec import parse_json

LONGEST: Final = 8192
"""Characters of a token."""

LEEWAY: Final = 30
"""Seconds by which the issuer's clock may differ from ours."""

MOST_VERIFIED: Final = 4096
"""Verified tokens that are remembered."""

ROLES: Final = (DOCTOR, PATIENT)

_LAST_SECOND: Final = 253_402_300_799
"""The end of the year 9999; a later time in a token is a mistake."""

_HEADER_NAMES: Final = frozenset({"alg", "typ", "kid"})
_TYPES: Final = frozenset({"jwt", "at+jwt"})
_KID = re.compile(r"[A-Za-z0-9._=+-]{1,128}")
_SEGMENT = re.compile(r"[A-Za-z0-9_-]+")

Check = Callable[[bytes, bytes], bool]


class Defect(Exception):
    """What is wrong with a token; it never leaves this module."""


@dataclass(frozen=True, slots=True)
class Verified:
    """A token whose signature and claims hold; the times bound its use, in ms."""

    caller: Caller
    not_before: int
    refused_from: int


# ---- reading


def _segment(text: str) -> bytes:
    """The bytes of one base64url part, which has exactly one spelling."""
    if not _SEGMENT.fullmatch(text):
        raise Defect("a part is not base64url")
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        raise Defect("a part is not base64url") from None
    if spelled(data) != text:
        raise Defect("a part is spelled with stray bits")
    return data


def spelled(data: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _object(data: bytes) -> dict[str, Any]:
    try:
        value = parse_json(data)
    except BadJson:
        raise Defect("a part is not strict JSON") from None
    if not isinstance(value, dict):
        raise Defect("a part is not an object")
    return value


def _algorithm(header: dict[str, Any]) -> str:
    if not header.keys() <= _HEADER_NAMES:
        raise Defect("the header holds more than alg, typ and kid")
    if not isinstance(header.get("alg"), str):
        raise Defect("alg")
    kid, typ = header.get("kid", "-"), header.get("typ", "JWT")
    if not isinstance(kid, str) or not _KID.fullmatch(kid):
        raise Defect("kid")
    if not isinstance(typ, str) or typ.lower() not in _TYPES:
        raise Defect("typ")
    algorithm: str = header["alg"]
    return algorithm


def _second(claims: dict[str, Any], name: str) -> int | None:
    """A time claim in seconds; None when it is not there."""
    if name not in claims:
        return None
    value = claims[name]
    if type(value) is not int or not 0 <= value <= _LAST_SECOND:
        raise Defect(name)
    return value


def _sessions(claims: dict[str, Any]) -> frozenset[str] | None:
    if "sid" not in claims:
        return None
    sessions = claims["sid"]
    if not isinstance(sessions, list):
        raise Defect("sid")
    return frozenset(SessionId.parse(session) for session in sessions)


def _check_audience(claims: dict[str, Any], wanted: str | None) -> None:
    if wanted is None:
        return
    held = claims.get("aud")
    audiences = held if isinstance(held, list) else [held]
    if not all(isinstance(one, str) for one in audiences) or wanted not in audiences:
        raise Defect("aud")


def read_claims(claims: dict[str, Any], audience: str | None, fingerprint: str) -> Verified:
    """What the claims say, without a look at the clock; Defect or ImError when one is wrong."""
    _check_audience(claims, audience)
    role = claims.get("role")
    if not isinstance(role, str) or role not in ROLES:
        raise Defect("role")
    expires = _second(claims, "exp")
    if expires is None:
        raise Defect("exp")
    begins = _second(claims, "nbf")
    _second(claims, "iat")
    if not isinstance(claims.get("jti", ""), str):
        raise Defect("jti")
    refused_from = (expires + LEEWAY) * 1000
    caller = Caller(
        user_id=UserId.parse(claims.get("sub")),
        role=role,
        sid=_sessions(claims),
        fingerprint=fingerprint,
        expires_at=refused_from,
    )
    not_before = 0 if begins is None else (begins - LEEWAY) * 1000
    return Verified(caller, not_before, refused_from)


# ---- signatures


def _hs256(secret: bytes, signed: bytes, signature: bytes) -> bool:
    return hmac.compare_digest(hmac.digest(secret, signed, "sha256"), signature)


def checks(secret: bytes | None, public_key: str | None) -> dict[str, Check]:
    """The algorithms that the configuration allows, each bound to its own key (page 2.1).

    A key never serves two algorithms, so a token that names one cannot borrow another's.
    ValueError when ``public_key`` is neither an RSA nor an Ed25519 key in PEM.
    """
    allowed: dict[str, Check] = {}
    if secret:
        allowed["HS256"] = partial(_hs256, secret)
    if public_key:
        # Here and not above: cryptography takes time to load, and most servers have no public key.
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
        from cryptography.hazmat.primitives.serialization import load_pem_public_key
        from jwt.algorithms import OKPAlgorithm, RSAAlgorithm

        key = load_pem_public_key(public_key.encode())
        if isinstance(key, RSAPublicKey):
            rsa = RSAAlgorithm(RSAAlgorithm.SHA256)
            allowed["RS256"] = lambda signed, signature: rsa.verify(signed, key, signature)
        elif isinstance(key, Ed25519PublicKey):
            eddsa = OKPAlgorithm()
            allowed["EdDSA"] = lambda signed, signature: eddsa.verify(signed, key, signature)
        else:
            raise ValueError("auth.public_key is neither an RSA nor an Ed25519 key")
    return allowed


class Tokens:
    """Verifies and issues the access tokens of one configuration.

    ``secret`` signs and checks HS256; ``public_key`` (PEM) checks RS256 or EdDSA; ``ttl`` is in
    seconds; ``entropy`` gives that many random bytes. ValueError for a key of another kind.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        entropy: Callable[[int], bytes],
        secret: bytes | None = None,
        public_key: str | None = None,
        audience: str | None = None,
        ttl: int = 7200,
        most: int = MOST_VERIFIED,
    ) -> None:
        self._clock, self._entropy, self._secret = clock, entropy, secret
        self._checks = checks(secret, public_key)
        self._audience, self._ttl, self._most = audience, ttl, most
        self._verified: dict[str, Verified] = {}

    def verify(self, token: str) -> Caller:
        """The user that the token speaks for; Unauthenticated for any defect.

        The caller's ``expires_at`` is when the token begins to be refused: its ``exp`` and the
        leeway.
        """
        known = self._verified.pop(token, None)
        if known is None:
            known = self._read(token)
            while len(self._verified) >= self._most:
                del self._verified[next(iter(self._verified))]
        if not known.not_before <= (now := self._clock.now()) < known.refused_from:
            if now < known.refused_from:
                self._verified[token] = known
            raise Unauthenticated()
        # Popped and put back: a dict keeps its order, so the first entry is the least used.
        self._verified[token] = known
        return known.caller

    def _read(self, token: str) -> Verified:
        try:
            return self._checked(token)
        except (Defect, ImError, ValueError):
            raise Unauthenticated() from None

    def _checked(self, token: str) -> Verified:
        if len(token) > LONGEST or not token.isascii():
            raise Defect("too long, or not ASCII")
        signed, _, signature = token.rpartition(".")
        first, dot, second = signed.partition(".")
        if not dot:
            raise Defect("not three parts")
        check = self._checks.get(_algorithm(_object(_segment(first))))
        if check is None:
            raise Defect("an algorithm that is not configured")
        message = signed.encode("ascii")
        if not check(message, _segment(signature)):
            raise Defect("signature")
        claims = _object(_segment(second))
        return read_claims(claims, self._audience, fingerprint(token))

    def issue(
        self,
        user_id: str,
        role: str,
        now: int,
        sid: Collection[str] | None = None,
        *,
        ttl: int | None = None,
    ) -> tuple[str, int]:
        """A new HS256 token and the end of its life in ms; ``now`` in ms, ``ttl`` in seconds.

        ``sid`` limits it to those sessions. InvalidInput for another role, Forbidden when no secret
        is configured: then tokens come from elsewhere (page 2.1).
        """
        if self._secret is None:
            raise Forbidden("This server does not sign tokens; they come from elsewhere.")
        if role not in ROLES:
            raise InvalidInput.of("role", f"must be {' or '.join(ROLES)}")
        begins = now // 1000
        expires = begins + (self._ttl if ttl is None else ttl)
        claims: dict[str, Any] = {
            "sub": user_id,
            "role": role,
            "iat": begins,
            "exp": expires,
            "jti": spelled(self._entropy(16)),
        }
        if self._audience is not None:
            claims["aud"] = self._audience
        if sid is not None:
            claims["sid"] = sorted(sid)
        return _signed({"alg": "HS256", "typ": "JWT"}, claims, self._secret), expires * 1000


def _signed(header: dict[str, Any], claims: dict[str, Any], secret: bytes) -> str:
    parts = (json.dumps(part, separators=(",", ":")).encode() for part in (header, claims))
    message = ".".join(spelled(part) for part in parts)
    return f"{message}.{spelled(hmac.digest(secret, message.encode('ascii'), 'sha256'))}"


def fingerprint(token: str) -> str:
    """What names a token in the list of revoked ones: SHA-256 hex of what is signed."""
    return hashlib.sha256(token.rpartition(".")[0].encode("utf-8")).hexdigest()
