"""Service keys, as digests, and the tokens that were given back.

The service room's credentials read both every few seconds; ``imdctl key`` writes the keys. The
key itself is never stored.
"""

from __future__ import annotations

import builtins
from typing import NamedTuple

from imd.storage.engine import Connection


class KeyRow(NamedTuple):
    """A key that is in force; ``digest`` is the SHA-256 of the key in hex."""

    name: str
    digest: str
    scopes: frozenset[str]
    create_time: int


class Keys:
    """SQL on ``service_keys`` and ``revoked_tokens``."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def all(self) -> builtins.list[KeyRow]:
        """The keys in force, by name."""
        sql = (
            "SELECT name, digest, scopes, create_time FROM service_keys"
            " WHERE revoke_time IS NULL ORDER BY name"
        )
        found = self._db.rows(sql)
        return [KeyRow(row[0], row[1], frozenset(row[2].split(",")), row[3]) for row in found]

    def add(self, name: str, digest: str, scopes: frozenset[str], now: int) -> bool:
        """False when the name is in use; a revoked key's name may be used again."""
        self._db.run(
            "DELETE FROM service_keys WHERE name = %s AND revoke_time IS NOT NULL", (name,)
        )
        made = self._db.run(
            "INSERT INTO service_keys (name, digest, scopes, create_time) VALUES (%s, %s, %s, %s)"
            " ON CONFLICT (name) DO NOTHING",
            (name, digest, ",".join(sorted(scopes)), now),
        )
        return made == 1

    def revoke(self, name: str, now: int) -> bool:
        """False when no key in force has the name."""
        sql = "UPDATE service_keys SET revoke_time = %s WHERE name = %s AND revoke_time IS NULL"
        return self._db.run(sql, (now, name)) == 1

    def revoked_tokens(self, now: int) -> set[str]:
        """Fingerprints of revoked tokens that would otherwise still be valid."""
        sql = "SELECT fingerprint FROM revoked_tokens WHERE expire_time > %s"
        return {row[0] for row in self._db.rows(sql, (now,))}

    def purge_tokens(self, now: int) -> None:
        """Forget what has expired by itself."""
        self._db.run("DELETE FROM revoked_tokens WHERE expire_time <= %s", (now,))
