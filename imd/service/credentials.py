"""The door: which caller stands behind a token or a service key (page 2.1, "Callers").

REST and the socket ask :class:`Credentials` at each request, so it answers from memory; a
repeating look into the store brings keys and revocations made by other processes within 5 s. It
refuses to know what a caller may do.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Awaitable, Callable, Collection
from typing import Final, NamedTuple, Protocol

from imd.domain.caller import ADMIN, READ, SCOPES, WRITE, Caller
from imd.domain.errors import Unauthenticated
from imd.service.tokens import Tokens, spelled
from imd.storage.keys import KeyRow

KEY_PREFIX: Final = "imd_"
KEY_SCOPES: Final = (READ, WRITE, ADMIN, "metrics")
"""What ``imdctl key add`` may give; ``metrics`` opens ``/metrics`` alone (page 2.8)."""

KEY_BYTES: Final = 32
POLL_SECONDS: Final = 2.0
PURGE_SECONDS: Final = 600.0
_KEY = re.compile(KEY_PREFIX + r"[A-Za-z0-9_-]{43}")
_MOST_LOCAL: Final = 100_000


class KeyStore(Protocol):
    """The methods of a transaction's ``keys`` that keys and revocations need."""

    def all(self) -> list[KeyRow]:
        """The keys that are not revoked."""

    def add(self, name: str, digest: str, scopes: frozenset[str], now: int) -> bool:
        """Store a key; False when the name is taken."""

    def revoke(self, name: str, now: int) -> bool:
        """Revoke a key; False when there is none of that name."""

    def revoked_tokens(self, now: int) -> Collection[str]:
        """Fingerprints of revoked tokens that have not expired yet."""

    def purge_tokens(self, now: int) -> object:
        """Forget the fingerprints of tokens that have expired."""


class KeyTransaction(Protocol):
    """A transaction that has the ``keys``."""

    @property
    def keys(self) -> KeyStore: ...


class Snapshot(NamedTuple):
    """What the store knows of credentials at one moment."""

    keys: list[KeyRow]
    revoked: frozenset[str]


def read_snapshot(tx: KeyTransaction, now: int) -> Snapshot:
    """Read keys and revocations in one transaction; ``now`` in ms."""
    return Snapshot(tx.keys.all(), frozenset(tx.keys.revoked_tokens(now)))


def purge(tx: KeyTransaction, now: int) -> None:
    """Forget revocations of tokens that have expired; ``now`` in ms."""
    tx.keys.purge_tokens(now)


def new_key(entropy: Callable[[int], bytes]) -> str:
    """A fresh service key; it is shown once, and only :func:`digest_of` it is kept."""
    return KEY_PREFIX + spelled(entropy(KEY_BYTES))


def digest_of(key: str) -> str:
    """SHA-256 hex; a key is 256 random bits, so nothing slower is needed."""
    return hashlib.sha256(key.encode("utf-8")).hexdigest()


def _caller(row: KeyRow) -> Caller:
    granted = (SCOPES.get(scope, frozenset({scope})) for scope in row.scopes)
    return Caller(scopes=frozenset().union(*granted), name=row.name)


class Credentials:
    """Implements ``ports.Doorkeeper`` from memory.

    ``load`` reads a :class:`Snapshot` from the store; ``on_revoked`` is told each fingerprint that
    another process revoked, so that its sockets can be closed here too.
    """

    def __init__(
        self,
        tokens: Tokens,
        load: Callable[[], Awaitable[Snapshot]],
        *,
        trusted: bool = False,
        on_revoked: Callable[[str], None] = lambda fingerprint: None,
    ) -> None:
        self._tokens, self._load = tokens, load
        self._trusted, self._on_revoked = trusted, on_revoked
        self._keys: list[tuple[str, Caller]] = []
        self._stored: frozenset[str] = frozenset()
        #: revoked here and not yet seen in the store; a dict for its order
        self._local: dict[str, None] = {}
        self._revoked: frozenset[str] | set[str] = frozenset()

    @property
    def trusted(self) -> bool:
        """Whether a call without a credential is a service with all scopes."""
        return self._trusted

    def identify(self, credential: str) -> Caller:
        """The caller behind a token or key; Unauthenticated when it is not valid (page 2.1)."""
        if credential.startswith(KEY_PREFIX) and "." not in credential:
            return self._service(credential)
        caller = self._tokens.verify(credential)
        if caller.fingerprint in self._revoked:
            raise Unauthenticated()
        return caller

    def _service(self, key: str) -> Caller:
        if not _KEY.fullmatch(key):
            raise Unauthenticated()
        digest = digest_of(key)
        found: Caller | None = None
        # All of them, in the same time wherever the key stands: there are few.
        for known, caller in self._keys:
            if hmac.compare_digest(known, digest):
                found = caller
        if found is None:
            raise Unauthenticated()
        return found

    def issue(
        self, user_id: str, role: str, now: int, sid: Collection[str] | None = None
    ) -> tuple[str, int]:
        """A new access token and its end in ms, limited to the sessions of ``sid``.

        Forbidden when this server signs none.
        """
        return self._tokens.issue(user_id, role, now, sid)

    def revoke(self, fingerprint: str) -> None:
        """Refuse the token from now on in this process; the store tells the others."""
        self._local[fingerprint] = None
        while len(self._local) > _MOST_LOCAL:
            del self._local[next(iter(self._local))]
        self._revoked = {*self._stored, *self._local}

    async def refresh(self) -> None:
        """Take over what the store knows now; on an error the former knowledge stays."""
        snapshot = await self._load()
        keys = [(row.digest, _caller(row)) for row in snapshot.keys]
        fresh = snapshot.revoked - self._stored - self._local.keys()
        self._keys, self._stored = keys, snapshot.revoked
        for seen in snapshot.revoked & self._local.keys():
            del self._local[seen]
        self._revoked = {*self._stored, *self._local}
        for fingerprint in fresh:
            self._on_revoked(fingerprint)
