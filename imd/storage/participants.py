"""Members and their marks.

Whoever changes a row here holds the session's lock (page 4.2), so marks and counters move
together.
"""

from __future__ import annotations

import builtins
from collections.abc import Collection, Sequence
from functools import partial

from imd.domain.events import EventType
from imd.domain.participant import Avatar, Membership, Participant, Seat
from imd.domain.session import Head
from imd.storage import rows
from imd.storage.engine import Bulk, Connection, marks, values
from imd.storage.events import Events
from imd.storage.outbox import Outbox

_READ_SEQS = Bulk(
    "participants_read_seqs",
    ("text", "text"),
    "SELECT p.session_id, p.participant_id, p.read_seq FROM {rows} JOIN participants p"
    " ON p.session_id = v.column1 AND p.participant_id = v.column2",
)
_STRANGERS = Bulk(
    "participants_strangers",
    ("text", "text"),
    "SELECT v.column1, v.column2 FROM {rows} LEFT JOIN participants p"
    " ON p.session_id = v.column1 AND p.participant_id = v.column2"
    " WHERE p.session_id IS NULL",
)


def _same(participant: Participant) -> Participant:
    return participant


class Participants:
    """SQL on ``participants``."""

    def __init__(self, connection: Connection, outbox: Outbox, events: Events) -> None:
        self._db, self._outbox, self._events = connection, outbox, events

    def get(self, session_id: str, user_id: str) -> Membership | None:
        sql = (
            f"SELECT {rows.MEMBERSHIP} FROM participants p"
            " WHERE p.session_id = %s AND p.participant_id = %s"
        )
        found = self._db.row(sql, (session_id, user_id))
        return rows.membership(found) if found else None

    def list(
        self, session_id: str, ids: Collection[str] | None = None
    ) -> builtins.list[Participant]:
        """Members by id, ``online`` not filled in."""
        only = f" AND p.participant_id IN {marks(len(ids))}" if ids is not None else ""
        sql = (
            f"SELECT {rows.PARTICIPANT} FROM participants p"
            " LEFT JOIN users u ON u.id = p.participant_id"
            f" WHERE p.session_id = %s{only} ORDER BY p.participant_id"
        )
        found = self._db.rows(sql, (session_id, *(ids or ())))
        return [rows.participant(row) for row in found]

    def avatars(self, session_id: str) -> builtins.list[Avatar]:
        return [Avatar(p.participant_id, p.name, p.avatar) for p in self.list(session_id)]

    def ids(self, session_id: str) -> builtins.list[str]:
        sql = "SELECT participant_id FROM participants WHERE session_id = %s ORDER BY 1"
        return [row[0] for row in self._db.rows(sql, (session_id,))]

    def add(self, head: Head, seats: Sequence[Seat], now: int) -> builtins.list[str]:
        """Add those who are no members, everything before read; the ids that were added."""
        there = set(self.ids(head.id))
        new = [seat for seat in seats if seat.user_id not in there]
        if not new:
            return []
        fetched = head.last_timestamp if head.last_seq else now
        sql = (
            "INSERT INTO participants (session_id, participant_id, role, create_time,"
            " last_fetch_time, read_seq, delivered_seq, read_counted) " + values(len(new), 8)
        )
        params: builtins.list[object] = []
        for seat in new:
            params += (head.id, seat.user_id, seat.role, now, fetched)
            params += (head.last_seq, head.last_seq, head.counted)
        self._db.run(sql, params)
        if fetched > head.last_timestamp:  # the first message is to be later than every joining
            self._db.later(
                "UPDATE sessions SET last_timestamp = %s WHERE id = %s", (fetched, head.id)
            )
        for seat in new:
            member = partial(self._one, head.id, seat.user_id)
            self._events.note(EventType.PARTICIPANT_ADDED, head.id, seat.user_id, member, now)
        return [seat.user_id for seat in new]

    def _one(self, session_id: str, user_id: str) -> Participant | None:
        found = self.list(session_id, [user_id])
        return found[0] if found else None

    def set_role(self, session_id: str, user_ids: Collection[str], role: str) -> None:
        sql = (
            "UPDATE participants SET role = %s WHERE session_id = %s"
            f" AND participant_id IN {marks(len(user_ids))}"
        )
        self._db.later(sql, (role, session_id, *user_ids))

    def remove(self, session_id: str, user_ids: Collection[str]) -> builtins.list[str]:
        """The ids that were members."""
        for gone in self._gone(session_id, user_ids):
            self._events.note(
                EventType.PARTICIPANT_REMOVED,
                session_id,
                gone.participant_id,
                partial(_same, gone),
            )
        sql = (
            f"DELETE FROM participants WHERE session_id = %s"
            f" AND participant_id IN {marks(len(user_ids))} RETURNING participant_id"
        )
        removed = [row[0] for row in self._db.rows(sql, (session_id, *user_ids))]
        if removed:
            self._outbox.cancel(session_id, removed)
        return removed

    def _gone(self, session_id: str, user_ids: Collection[str]) -> builtins.list[Participant]:
        """The members as they were, where somebody wants to know."""
        if not self._events.wants(EventType.PARTICIPANT_REMOVED):
            return []
        return self.list(session_id, user_ids)

    def set_sticky(self, session_id: str, user_id: str, sticky: bool) -> None:
        sql = "UPDATE participants SET sticky = %s WHERE session_id = %s AND participant_id = %s"
        self._db.later(sql, (int(sticky), session_id, user_id))

    def set_muted(self, session_id: str, user_id: str, muted: bool) -> None:
        """Whether the member is pushed nothing of this session; what waits is cancelled."""
        sql = "UPDATE participants SET muted = %s WHERE session_id = %s AND participant_id = %s"
        self._db.later(sql, (int(muted), session_id, user_id))
        if muted:
            self._outbox.cancel(session_id, [user_id])

    def share_session(self, one: str, other: str, only: Collection[str] | None = None) -> bool:
        params: builtins.list[object] = [other, one]
        where = "a.participant_id = %s"
        if only is not None:
            where += f" AND a.session_id IN {marks(len(only))}" if only else " AND 1 = 0"
            params.extend(only)
        sql = (
            "SELECT 1 FROM participants a JOIN participants b ON b.session_id = a.session_id"
            f" AND b.participant_id = %s WHERE {where} LIMIT 1"
        )
        return self._db.row(sql, params) is not None

    def audience(
        self, session_ids: Collection[str], user_ids: Collection[str]
    ) -> builtins.list[tuple[str, str, int]]:
        """``(session_id, user_id, read_counted)`` for each of these users' memberships there."""
        # Sessions have few members, a process may have thousands of outer sockets: so the query
        # names the sessions only, and who is connected is looked up here.
        sql = (
            "SELECT session_id, participant_id, read_counted FROM participants"
            f" WHERE session_id IN {marks(len(session_ids))}"
        )
        wanted = frozenset(user_ids)
        found = self._db.rows(sql, tuple(session_ids))
        return [(row[0], row[1], row[2]) for row in found if row[1] in wanted]

    def read_seqs(self, pairs: Sequence[tuple[str, str]]) -> builtins.list[tuple[str, str, int]]:
        """``(session_id, user_id, read_seq)`` for those of the pairs that are memberships."""
        found = self._db.rows_of(_READ_SEQS, pairs) if pairs else []
        return [(row[0], row[1], row[2]) for row in found]

    def strangers(self, pairs: Sequence[tuple[str, str]]) -> builtins.list[tuple[str, str]]:
        """Those pairs ``(session_id, user_id)`` of which the user is no member (any more)."""
        found = self._db.rows_of(_STRANGERS, pairs) if pairs else []
        return [(row[0], row[1]) for row in found]
