"""The outbox as operators see it: lists, dead letters, figures, and why somebody was (not) told.

``imdctl push`` and the metrics ask it. It changes nothing but what an operator wants tried again,
and forgets what has become old.
"""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Any, NamedTuple

from imd.domain.message_types import counts
from imd.domain.push import State
from imd.storage.engine import Connection, Row, marks

_WAITING = "session_id, user_id, channel, first_seq, upto_seq"
#: rows that are forgotten in one transaction
_FORGET = 5_000


class Waiting(NamedTuple):
    """A row of the outbox; ``claimed`` while a process holds it. Times are ms."""

    session_id: str
    user_id: str
    channel: str
    first_seq: int
    upto_seq: int
    due: int
    attempts: int
    code: str | None
    claimed: bool


class Ended(NamedTuple):
    """What became of a push."""

    id: str
    session_id: str
    user_id: str
    channel: str
    first_seq: int
    upto_seq: int
    state: str
    code: str | None
    attempts: int
    end_time: int


class Explained(NamedTuple):
    """All that bears on whether a user was told of a message; None where nothing is known."""

    seq: int
    session_id: str
    counted: bool
    recalled: bool
    timestamp: int
    own: bool
    member: bool
    muted: bool
    kind: str | None
    has_openid: bool
    refused: str | None
    devices: int
    read_seq: int
    seen_seq: int
    waiting: list[Waiting]
    ended: list[Ended]


def _row(row: Row) -> Waiting:
    return Waiting(
        row[0], row[1], row[2], row[3], row[4], row[5], row[6], row[7], bool(row[8])
    )  # fmt: skip


class OutboxViews:
    """SQL on ``outbox`` and ``pushes`` for people."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def waiting(self, channel: str | None, limit: int) -> builtins.list[Waiting]:
        """What waits, the next due first."""
        where, params = ("WHERE channel = %s", [channel]) if channel else ("", [])
        sql = (
            f"SELECT {_WAITING}, due, attempts, code, claim IS NOT NULL FROM outbox {where}"
            " ORDER BY due LIMIT %s"
        )
        return [_row(row) for row in self._db.rows(sql, [*params, limit])]

    def ended(self, state: str | None, channel: str | None, limit: int) -> builtins.list[Ended]:
        """What became of pushes, the newest first."""
        where, params = ["1 = 1"], list[Any]()
        for column, value in (("state", state), ("channel", channel)):
            if value is not None:
                where.append(f"{column} = %s")
                params.append(value)
        sql = (
            f"SELECT id, {_WAITING}, state, code, attempts, end_time FROM pushes"
            f" WHERE {' AND '.join(where)} ORDER BY end_time DESC, id LIMIT %s"
        )
        return [Ended(*row) for row in self._db.rows(sql, [*params, limit])]

    def revive(self, ids: Sequence[str] | None, channel: str | None, now: int, most: int) -> int:
        """Dead letters into the outbox again, due now; all of them without ``ids``.

        A user whom WeChat had refused is tried again too. How many there were; those of members
        that have left are only forgotten.
        """
        where, params = [f"state = '{State.DEAD}'"], list[Any]()
        if ids is not None:
            where.append(f"id IN {marks(len(ids))}")
            params += ids
        if channel is not None:
            where.append("channel = %s")
            params.append(channel)
        found = self._db.rows(
            f"SELECT id, {_WAITING} FROM pushes WHERE {' AND '.join(where)}"
            f" ORDER BY end_time, id LIMIT %s{self._db.lock}",
            [*params, most],
        )
        for row in found:
            self._db.run(
                f"INSERT INTO outbox ({_WAITING}, due, create_time)"
                " SELECT session_id, participant_id, %s, %s, %s, %s, %s FROM participants"
                " WHERE session_id = %s AND participant_id = %s"
                " ON CONFLICT (session_id, user_id, channel) DO UPDATE SET first_seq ="
                " CASE WHEN excluded.first_seq < outbox.first_seq THEN excluded.first_seq"
                " ELSE outbox.first_seq END, due = excluded.due WHERE outbox.claim IS NULL",
                (row[3], row[4], row[5], now, now, row[1], row[2]),
            )
            self._db.run("UPDATE users SET push_refused = NULL WHERE id = %s", (row[2],))
            self._db.run("DELETE FROM pushes WHERE id = %s", (row[0],))
        return len(found)

    def totals(self) -> dict[tuple[str, str], int]:
        """How many by channel and state: those that wait, and those that are dead.

        An endpoint of webhooks is a channel of its own, ``webhook NAME``.
        """
        found = self._db.rows("SELECT channel, count(*) FROM outbox GROUP BY channel")
        dead = self._db.rows(
            f"SELECT channel, count(*) FROM pushes WHERE state = '{State.DEAD}' GROUP BY channel"
        )
        totals = {(channel, "pending"): number for channel, number in found}
        totals |= {(channel, "dead"): number for channel, number in dead}
        events = "SELECT endpoint, dead, count(*) FROM webhook_outbox GROUP BY endpoint, dead"
        for endpoint, given_up, number in self._db.rows(events):
            totals[f"webhook {endpoint}", "dead" if given_up else "pending"] = number
        return totals

    def oldest_due(self) -> int | None:
        """When the row that has been due for longest came due (ms)."""
        found = self._db.rows(
            "SELECT min(due) FROM outbox"
            " UNION ALL SELECT min(due) FROM webhook_outbox WHERE dead = 0"
        )
        return min((row[0] for row in found if row[0] is not None), default=None)

    def purge(self, before: int, stale: int) -> int:
        """Forget what ended before (ms); a bounded number at a time.

        What has waited since before ``stale`` is of a channel that is configured no more.
        """
        self._db.run("DELETE FROM outbox WHERE create_time < %s AND due < %s", (stale, stale))
        return self._db.run(
            "DELETE FROM pushes WHERE id IN"
            " (SELECT id FROM pushes WHERE end_time < %s ORDER BY end_time LIMIT %s)",
            (before, _FORGET),
        )

    def credit(self, user_id: str, openid: str, credits_: int) -> None:
        """How many subscribe messages of the mini-program a user still agreed to get."""
        self._db.run(
            "INSERT INTO push_credits (user_id, openid, credits) VALUES (%s, %s, %s)"
            " ON CONFLICT (user_id) DO UPDATE SET openid = excluded.openid,"
            " credits = excluded.credits",
            (user_id, openid, credits_),
        )

    def explain(self, message_id: str, user_id: str) -> Explained | None:
        """Why a user was told of a message, or not; None for an unknown message."""
        message = self._db.row(
            "SELECT seq, session_id, type, recalled, timestamp, sender_id FROM messages"
            " WHERE id = %s",
            (message_id,),
        )
        if message is None:
            return None
        seq, session_id = message[:2]
        place = self._db.row(
            "SELECT muted, read_seq, seen_seq FROM participants"
            " WHERE session_id = %s AND participant_id = %s",
            (session_id, user_id),
        )
        user = self._db.row(
            "SELECT kind, openid, push_refused FROM users WHERE id = %s", (user_id,)
        )
        devices = self._db.row("SELECT count(*) FROM devices WHERE user_id = %s", (user_id,))
        kind, openid, refused = user or (None, None, None)
        of = "session_id = %s AND user_id = %s AND upto_seq >= %s AND first_seq <= %s"
        params = (session_id, user_id, seq, seq)
        waiting = self._db.rows(
            f"SELECT {_WAITING}, due, attempts, code, claim IS NOT NULL FROM outbox WHERE {of}",
            params,
        )
        ended = self._db.rows(
            f"SELECT id, {_WAITING}, state, code, attempts, end_time FROM pushes WHERE {of}"
            " ORDER BY end_time LIMIT 20",
            params,
        )
        return Explained(
            seq,
            session_id,
            counts(message[2]),
            bool(message[3]),
            message[4],
            message[5] == user_id,
            place is not None,
            bool(place and place[0]),
            kind,
            bool(openid),
            refused,
            devices[0] if devices else 0,
            place[1] if place else 0,
            place[2] if place else 0,
            [_row(row) for row in waiting],
            [Ended(*row) for row in ended],
        )
