"""Events for webhooks, kept with the change that they tell of (page 4.4).

The stores say what they changed; what an event carries is read when the transaction's work is
done, so that several changes of one thing are one event of its last state. Where no endpoint
wants an event, nothing is read and nothing is written. The push room delivers; this module knows
no endpoint but by its name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

from imd.domain.events import ALL, EventType
from imd.domain.push import Outbound
from imd.storage.engine import Connection, values
from imd.wire.codec import encode

_COLUMNS = "endpoint, key, id, type, time, data, due"
_WIDTH = 8
#: rows in one statement; SQLite counts its parameters
_MOST = 1_000
#: gives what an event carries, when it is written
Carried = Callable[[], object]


class Events:
    """Gathers the events of one transaction."""

    def __init__(self, connection: Connection, outbound: Outbound) -> None:
        self._db, self._endpoints, self._now = connection, outbound.endpoints, outbound.now
        self._noted: dict[tuple[EventType, str, str], tuple[int | None, Carried]] = {}

    @property
    def on(self) -> bool:
        """Whether there is any endpoint."""
        return bool(self._endpoints)

    def wants(self, type_: EventType) -> bool:
        """Whether any endpoint does."""
        return any(type_ in wanted or ALL in wanted for _, wanted in self._endpoints)

    def note(
        self, type_: EventType, key: str, what: str, carried: Carried, time: int | None = None
    ) -> None:
        """Something happened to ``what`` under ``key`` (a session or a user), at ``time`` (ms)."""
        if self._endpoints and self.wants(type_):
            place = (type_, key, what)
            self._noted.pop(place, None)
            self._noted[place] = (time, carried)

    def scrub(self, session_id: str, message_id: str, recalled: object) -> None:
        """What still waits to tell of a message no longer says what it said."""
        data = encode(recalled).decode() if self._endpoints else ""
        for endpoint, _ in self._endpoints:
            self._db.later(
                "UPDATE webhook_outbox SET data = %s WHERE endpoint = %s AND key = %s"
                " AND type IN ('message.created', 'message.updated') AND data LIKE %s",
                (data, endpoint, session_id, f'{{"id":"{message_id}",%'),
            )

    def flush(self) -> None:
        """Write what gathered; called once, before the commit."""
        if not self._noted:
            return
        noted, self._noted = self._noted, {}
        now = self._now()
        rows: list[tuple[Any, ...]] = []
        for (type_, key, what), (time, carried) in noted.items():
            object_ = carried()
            if object_ is None:
                continue
            data = encode(object_).decode()
            at = now if time is None else time
            id_ = hashlib.sha256(repr((type_, key, what, at, data)).encode()).hexdigest()[:32]
            for endpoint, wanted in self._endpoints:
                if type_ in wanted or ALL in wanted:
                    rows.append((endpoint, key, id_, type_, at, data, now, len(rows)))
        for start in range(0, len(rows), _MOST):
            self._insert(rows[start : start + _MOST])

    def _insert(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """An endpoint that was given up on gets nothing until it is enabled again."""
        columns = (
            "v.column1, v.column2, v.column3, v.column4, CAST(v.column5 AS bigint), v.column6,"
            " CAST(v.column7 AS bigint)"
        )
        self._db.later(
            f"INSERT INTO webhook_outbox ({_COLUMNS}) SELECT {columns}"
            f" FROM ({values(len(rows), _WIDTH)}) AS v"
            " WHERE NOT EXISTS (SELECT 1 FROM webhook_endpoints e"
            " WHERE e.endpoint = v.column1 AND e.disabled = 1)"
            " ORDER BY v.column8",  # positions are given out in this order
            [value for row in rows for value in row],
        )
