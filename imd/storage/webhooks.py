"""What waits for webhook endpoints: claimed in order, settled, dead-lettered, replayed (page 4.4).

Of the events of one key only the first is ever given out, so an endpoint sees them in order. The
push room asks through the post office, operators through ``imdctl webhook``.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any, NamedTuple

from imd.domain.events import HookClaim
from imd.storage.engine import Connection, marks

#: no earlier event of its key waits
_FIRST = (
    "NOT EXISTS (SELECT 1 FROM webhook_outbox e WHERE e.endpoint = s.endpoint AND e.key = s.key"
    " AND e.dead = 0 AND e.position < s.position)"
)
#: rows that are forgotten in one transaction
_FORGET = 5_000


def id_in(data: str) -> str:
    """The id of the object that an event carries."""
    return str(json.loads(data)["id"])


class Endpoint(NamedTuple):
    """How an endpoint stands; times are ms."""

    endpoint: str
    waiting: int
    dead: int
    failing_since: int | None
    disabled: bool


class Webhooks:
    """SQL on ``webhook_outbox`` and ``webhook_endpoints``."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def claim(
        self, endpoint: str, limit: int, now: int, lease: int, name: str, probe: bool
    ) -> list[HookClaim]:
        """The first event of each key that is due, held until ``now + lease`` (ms).

        A ``probe`` does not wait for the time of the next attempt.
        """
        when = "(s.due <= %s OR (s.claim IS NULL AND s.attempts > 0))" if probe else "s.due <= %s"
        found = self._db.rows(
            "WITH c AS MATERIALIZED (SELECT s.position FROM webhook_outbox s"
            f" WHERE s.endpoint = %s AND s.dead = 0 AND {when} AND {_FIRST}"
            f" ORDER BY s.position LIMIT %s{self._db.lock_free})"
            " UPDATE webhook_outbox SET claim = %s, due = %s FROM c"
            " WHERE webhook_outbox.position = c.position"
            " RETURNING webhook_outbox.position, key, id, type, time, data, attempts",
            (endpoint, now, limit, name, now + lease),
        )
        return [
            HookClaim(row[0], row[1], row[2], row[3], row[4], row[5], row[6], name)
            for row in sorted(found)
        ]

    def next_due(self, endpoint: str) -> int | None:
        """When the next event that may be delivered comes due (ms); None when none waits."""
        found = self._db.row(
            "SELECT s.due FROM webhook_outbox s WHERE s.endpoint = %s AND s.dead = 0"
            f" AND {_FIRST} ORDER BY s.due LIMIT 1",
            (endpoint,),
        )
        return found[0] if found else None

    def delivered(self, endpoint: str, claim: HookClaim) -> None:
        """The endpoint took it."""
        self._db.run(
            "DELETE FROM webhook_outbox WHERE position = %s AND claim = %s",
            (claim.position, claim.name),
        )
        self._db.run(
            "UPDATE webhook_endpoints SET failing_since = NULL"
            " WHERE endpoint = %s AND failing_since IS NOT NULL",
            (endpoint,),
        )

    def dropped(self, claim: HookClaim) -> None:
        """It tells of what is not true any more."""
        self._db.run(
            "DELETE FROM webhook_outbox WHERE position = %s AND claim = %s",
            (claim.position, claim.name),
        )

    def failed(
        self, endpoint: str, claim: HookClaim, due: int | None, code: str, now: int, patience: int
    ) -> bool:
        """An attempt failed; the next is at ``due`` (ms), with None the event is dead.

        True when the endpoint has failed for longer than ``patience`` (ms) and is given up: all
        that waits for it becomes dead letters.
        """
        self._db.run(
            "UPDATE webhook_outbox SET attempts = attempts + 1, code = %s, claim = NULL,"
            " due = %s, dead = %s WHERE position = %s AND claim = %s",
            (code[:64], due or now, int(due is None), claim.position, claim.name),
        )
        self._db.run(
            "INSERT INTO webhook_endpoints (endpoint, failing_since) VALUES (%s, %s)"
            " ON CONFLICT (endpoint) DO UPDATE SET failing_since ="
            " coalesce(webhook_endpoints.failing_since, excluded.failing_since)",
            (endpoint, now),
        )
        given_up = self._db.run(
            "UPDATE webhook_endpoints SET disabled = 1"
            " WHERE endpoint = %s AND disabled = 0 AND failing_since <= %s",
            (endpoint, now - patience),
        )
        if given_up:
            self._db.run(
                "UPDATE webhook_outbox SET dead = 1, claim = NULL WHERE endpoint = %s AND dead = 0",
                (endpoint,),
            )
        return bool(given_up)

    def hurry(self, endpoint: str, now: int) -> int:
        """The endpoint is back: what waited for another attempt is due at once."""
        return self._db.run(
            "UPDATE webhook_outbox SET due = %s WHERE endpoint = %s AND dead = 0 AND due > %s"
            " AND attempts > 0 AND claim IS NULL",
            (now, endpoint, now),
        )

    # ---- operators

    def standing(self) -> list[Endpoint]:
        """How each endpoint stands that has something waiting, or trouble."""
        found = self._db.rows(
            "SELECT n.endpoint, n.waiting, n.dead, e.failing_since, coalesce(e.disabled, 0) FROM"
            " (SELECT endpoint, sum(1 - dead) AS waiting, sum(dead) AS dead FROM"
            " (SELECT endpoint, dead FROM webhook_outbox UNION ALL"
            " SELECT endpoint, NULL FROM webhook_endpoints) w GROUP BY endpoint) n"
            " LEFT JOIN webhook_endpoints e ON e.endpoint = n.endpoint ORDER BY n.endpoint"
        )
        return [
            Endpoint(row[0], int(row[1] or 0), int(row[2] or 0), row[3], bool(row[4]))
            for row in found
        ]

    def replay(self, endpoint: str | None, now: int) -> int:
        """Dead letters are due again, in their order; how many there are."""
        where, params = ("AND endpoint = %s", [endpoint]) if endpoint else ("", list[Any]())
        return self._db.run(
            f"UPDATE webhook_outbox SET dead = 0, attempts = 0, due = %s WHERE dead = 1 {where}",
            [now, *params],
        )

    def enable(self, endpoint: str) -> bool:
        """Try an endpoint again that was given up; False when it was not."""
        return bool(
            self._db.run(
                "UPDATE webhook_endpoints SET disabled = 0, failing_since = NULL"
                " WHERE endpoint = %s AND disabled = 1",
                (endpoint,),
            )
        )

    def abandon(self, endpoints: Collection[str], stale: int) -> int:
        """Give up what waits since before ``stale`` (ms) for others; a bounded number at a time."""
        others = f"AND endpoint NOT IN {marks(len(endpoints))}" if endpoints else ""
        return self._db.run(
            "UPDATE webhook_outbox SET dead = 1, claim = NULL, code = 'not_configured'"
            " WHERE position IN (SELECT position FROM webhook_outbox"
            f" WHERE dead = 0 AND due < %s {others} LIMIT %s)",
            (stale, *endpoints, _FORGET),
        )

    def purge(self, before: int) -> int:
        """Forget dead letters from before (ms); a bounded number at a time."""
        return self._db.run(
            "DELETE FROM webhook_outbox WHERE position IN (SELECT position FROM webhook_outbox"
            " WHERE dead = 1 AND due < %s LIMIT %s)",
            (before, _FORGET),
        )
