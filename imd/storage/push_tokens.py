"""Access tokens of push providers: one for all processes, fetched by one of them.

WeChat ends a token when another process fetches a new one, so the row is a lock: who gets the
lease fetches, the others wait and read. The push room asks through the post office.
"""

from __future__ import annotations

from typing import Final

from imd.domain.push import Token
from imd.storage.engine import Connection

#: ms between two requests for a wholly new token, which providers ration
FORCE_GAP: Final = 60_000


class PushTokens:
    """SQL on ``push_tokens``."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def take(self, name: str, stale: str | None, now: int, lease: int) -> Token:
        """The token, or who is to fetch one (page 4.4); ``stale`` was refused by the provider."""
        self._db.run(
            "INSERT INTO push_tokens (name) VALUES (%s) ON CONFLICT (name) DO NOTHING", (name,)
        )
        row = self._db.row(
            "SELECT token, expire_time, lease, force_time FROM push_tokens WHERE name = %s"
            f"{self._db.lock}",
            (name,),
        )
        assert row is not None
        value, expires, leased, forced = row
        if value is not None and value != stale and expires > now:
            return Token(value, expires, False, False)
        if leased > now:
            return Token(None, 0, False, False)
        self._db.run("UPDATE push_tokens SET lease = %s WHERE name = %s", (now + lease, name))
        return Token(None, 0, True, forced + FORCE_GAP <= now)

    def put(self, name: str, value: str | None, expires: int, forced: int | None) -> None:
        """Keep what was fetched and give the lease back; without a value nothing was.

        ``forced`` is the time at which a wholly new token was asked for, where it was.
        """
        self._db.run(
            "UPDATE push_tokens SET token = coalesce(%s, token), expire_time ="
            " CASE WHEN %s IS NULL THEN expire_time ELSE %s END, lease = 0,"
            " force_time = coalesce(%s, force_time) WHERE name = %s",
            (value, value, expires, forced, name),
        )
