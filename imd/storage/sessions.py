"""Sessions and a user's view of them.

A page of a user's sessions looks at few of them: ``list_period`` of a member's row tells the hour
of the session's last message, and triggers keep it. No message but the first of an hour touches
another member's row, and none that of a user with few sessions.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cache, partial
from typing import Any

from imd.actions.queries import SessionQuery
from imd.domain.events import EventType
from imd.domain.session import Head, OwnSession, Session, unread
from imd.storage import rows
from imd.storage.engine import Bulk, Connection, marks
from imd.storage.events import Events

_LAST_JOIN = " LEFT JOIN messages m ON m.session_id = s.id AND m.seq = s.last_message_seq"
#: the session of each of a member's rows ``p``, found one by one: what a user's list costs is
#: told by the number of the user's sessions, whatever the planner thinks of all the others
_EACH = " CROSS JOIN LATERAL (SELECT * FROM sessions z WHERE z.id = p.session_id OFFSET 0) s"
_JOIN = " JOIN sessions s ON s.id = p.session_id"
_SORT_TIME = "coalesce(s.last_message_time, s.create_time)"
#: ms of a period, and what stands for one where the session is looked at for every page: for a
#: user of few sessions, or one of very many members. Both are what step 0007 says.
_PERIOD, _ALWAYS = 3_600_000, 2**63 - 1
_ALL = "1 = 1"
#: before every period
_NEVER = -(2**63)
#: for each row of a page so many sessions are looked at first, since some may not be wanted
_SPARE = 3

_BEYOND = Bulk(
    "sessions_beyond",
    ("text", "bigint"),
    "SELECT s.id, s.last_seq FROM {rows} JOIN sessions s ON s.id = v.column1"
    " WHERE s.last_seq > v.column2",
)


@cache
def _locking_free(lock: str) -> Bulk:
    """The statement of :meth:`Sessions.lock_free` on a kind of connection."""
    sql = "SELECT 1 FROM {rows} JOIN sessions s ON s.id = v.column1" + lock
    return Bulk("sessions_lock_free", ("text",), sql)


class Sessions:
    """SQL on ``sessions``, joined to ``participants`` where it is a member who asks."""

    def __init__(self, connection: Connection, events: Events) -> None:
        self._db, self._events = connection, events
        self._each = _EACH if connection.lateral else _JOIN
        # Planned by itself, or several processes may be set to work for a page.
        self._alone = " OFFSET 0" if connection.lateral else ""

    def lock(self, session_id: str) -> Head | None:
        """The head, locked until the transaction ends; None when there is no such session."""
        sql = f"SELECT {rows.HEAD} FROM sessions s WHERE s.id = %s{self._db.lock}"
        found = self._db.row(sql, (session_id,))
        return rows.head(found) if found else None

    def lock_free(self, session_ids: Sequence[str]) -> None:
        """Lock those sessions that no other transaction holds, before the next read.

        That read tells by ``held`` of the connection which they were.
        """
        if self._db.row_locks:
            bulk = _locking_free(self._db.lock_free)
            self._db.later_of(bulk, [(session_id,) for session_id in session_ids])

    def head(self, session_id: str) -> Head | None:
        found = self._db.row(f"SELECT {rows.HEAD} FROM sessions s WHERE s.id = %s", (session_id,))
        return rows.head(found) if found else None

    def view(self, session_id: str) -> Session | None:
        sql = f"SELECT {rows.SESSION}, {rows.LAST} FROM sessions s{_LAST_JOIN} WHERE s.id = %s"
        found = self._db.row(sql, (session_id,))
        return rows.session(found) if found else None

    def own(self, session_id: str, user_id: str) -> tuple[OwnSession, int] | None:
        """With its roster; None when there is no such session or the user is no member."""
        sql = (
            f"SELECT {rows.SESSION}, {rows.LAST}, {rows.OWN}, s.roster FROM sessions s"
            f" JOIN participants p ON p.session_id = s.id AND p.participant_id = %s{_LAST_JOIN}"
            " WHERE s.id = %s"
        )
        found = self._db.row(sql, (user_id, session_id))
        return (rows.own_session(found), found[-1]) if found else None

    def rosters(self, session_ids: Collection[str]) -> dict[str, int]:
        """How often it has changed who is a member, for each of these sessions."""
        if not session_ids:
            return {}
        sql = f"SELECT s.id, s.roster FROM sessions s WHERE s.id IN {marks(len(session_ids))}"
        return {row[0]: row[1] for row in self._db.rows(sql, tuple(session_ids))}

    def page(
        self,
        query: SessionQuery,
        after: tuple[int, int, str] | None,
        limit: int,
        sticky_first: bool,
    ) -> list[tuple[OwnSession, tuple[int, int, str]]]:
        """Rows with their sort keys ``(sticky, time, id)``, after the key ``after``."""
        high = _ALWAYS - 1 if after is None or after[0] else _period(after[1])
        floor = _NEVER if query.since is None else _period(query.since)
        low = max(floor, self._low(query, high, _SPARE * limit))
        found = self._within(query, after, limit, sticky_first, (low, high))
        # Whatever is in a lower period is older than the last row; else it may belong here.
        if low > floor and (len(found) < limit or _before(found[-1][1], low)):
            found = self._within(query, after, limit, sticky_first, (floor, high))
        return found

    def _low(self, query: SessionQuery, high: int, many: int) -> int:
        """The period down to which there are so many of the user's sessions."""
        where, params = _own(query)
        found = self._db.row(
            f"SELECT p.list_period FROM participants p WHERE {where} AND p.sticky = 0"
            " AND p.list_period <= %s ORDER BY p.list_period DESC LIMIT 1 OFFSET %s",
            [*params, high, many - 1],
        )
        return found[0] if found else _NEVER

    def _within(
        self,
        query: SessionQuery,
        after: tuple[int, int, str] | None,
        limit: int,
        sticky_first: bool,
        periods: tuple[int, int],
    ) -> list[tuple[OwnSession, tuple[int, int, str]]]:
        """As :meth:`page`, of what is pinned or always looked at, and of a range of periods."""
        own, whose = _own(query)
        one = f"SELECT p.session_id, p.sticky FROM participants p WHERE {own}"
        where, wanted = _conditions(query)
        pinned = "p.sticky" if sticky_first else "0"
        key = f"({pinned}, {_SORT_TIME}, s.id)"
        if after is not None:
            where += f" AND {key} < (%s, %s, %s)"
            wanted.extend(after)
        # The last message is looked up for the rows of the page only.
        sql = (
            f"SELECT {rows.SESSION}, {rows.LAST}, {rows.OWN}, o.pinned, o.sorted FROM ("
            f"SELECT s.id, {pinned} AS pinned, {_SORT_TIME} AS sorted FROM ("
            f"{one} AND p.sticky = 1"
            f" UNION ALL {one} AND p.sticky = 0 AND p.list_period = {_ALWAYS}"
            f" UNION ALL {one} AND p.sticky = 0 AND p.list_period BETWEEN %s AND %s"
            f"{self._alone}) p{self._each} WHERE {where}"
            " ORDER BY 2 DESC, 3 DESC, 1 DESC LIMIT %s) o"
            " JOIN sessions s ON s.id = o.id"
            f" JOIN participants p ON p.session_id = s.id AND p.participant_id = %s{_LAST_JOIN}"
            " ORDER BY o.pinned DESC, o.sorted DESC, s.id DESC"
        )
        params = [*whose * 3, *periods, *wanted, limit, query.user_id]
        return [
            (rows.own_session(row), (row[23], row[24], row[0]))
            for row in self._db.rows(sql, params)
        ]

    def count_by_type(self, query: SessionQuery) -> dict[int, int]:
        own, params = _own(query)
        where, wanted = _conditions(query)
        # Which sessions of which type a user has stands with the member's rows.
        looked = f"{self._each} WHERE {own} AND {where}" if where != _ALL else f" WHERE {own}"
        sql = f"SELECT p.list_type, count(*) FROM participants p{looked} GROUP BY p.list_type"
        return {row[0]: row[1] for row in self._db.rows(sql, [*params, *wanted])}

    def with_members(self, type_: int, members: Sequence[str]) -> str | None:
        """A session of this type with exactly these members, the oldest when there are several."""
        sql = (
            "SELECT p.session_id FROM participants p"
            " JOIN sessions s ON s.id = p.session_id AND s.type = %s"
            f" WHERE p.participant_id IN {marks(len(members))}"
            " GROUP BY p.session_id HAVING count(*) = %s AND count(*) ="
            " (SELECT count(*) FROM participants q WHERE q.session_id = p.session_id)"
            " ORDER BY min(s.create_time), p.session_id LIMIT 1"
        )
        found = self._db.row(sql, (type_, *members, len(members)))
        return found[0] if found else None

    def insert(self, head: Head) -> Head | None:
        """Make a session; its head, None when the id is taken.

        One that retention has deleted goes on with its numbers.
        """
        sql = (
            "INSERT INTO sessions (id, name, type, business_type, status, create_time,"
            " last_timestamp, first_message_id) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)"
            " ON CONFLICT (id) DO NOTHING"
        )
        made = self._db.run(
            sql,
            (
                head.id,
                head.name,
                head.type,
                head.business_type,
                head.status,
                head.create_time,
                head.last_timestamp,
                head.first_message_id,
            ),
        )
        if made != 1:
            return None
        created = EventType.SESSION_CREATED
        self._events.note(created, head.id, head.id, partial(self.view, head.id))
        return self._continued(head)

    def _continued(self, head: Head) -> Head:
        """A session that has just been made, behind the last number that its id ever gave out."""
        row = self._db.row(
            "SELECT last_seq, counted, last_timestamp, roster FROM retention_sessions"
            " WHERE session_id = %s",
            (head.id,),
        )
        if row is None:
            return head
        seq, counted, time, roster = row[0], row[1], max(head.last_timestamp, row[2]), row[3]
        self._db.later(
            "UPDATE sessions SET last_seq = %s, counted = %s, last_timestamp = %s, roster = %s"
            " WHERE id = %s",
            (seq, counted, time, roster, head.id),
        )
        return head._replace(last_seq=seq, counted=counted, last_timestamp=time, roster=roster)

    def _updated(self, session_id: str) -> None:
        view = partial(self.view, session_id)
        self._events.note(EventType.SESSION_UPDATED, session_id, session_id, view)

    def rename(self, session_id: str, name: str) -> None:
        self._updated(session_id)
        self._db.later("UPDATE sessions SET name = %s WHERE id = %s", (name, session_id))

    def set_status(self, session_id: str, status: int) -> None:
        self._updated(session_id)
        self._db.later("UPDATE sessions SET status = %s WHERE id = %s", (status, session_id))

    def set_topic(self, session_id: str, topic_id: str | None, status: int) -> None:
        """Name the live topic, or none."""
        self._updated(session_id)
        sql = "UPDATE sessions SET current_topic_id = %s, status = %s WHERE id = %s"
        self._db.later(sql, (topic_id, status, session_id))

    def unread(self, user_id: str, only: Collection[str] | None = None) -> dict[str, int]:
        """Unread by session, only where there is any; one look at each of the user's sessions."""
        where, params = _own(SessionQuery(user_id, only=only))
        sql = (
            f"SELECT s.id, s.counted, p.read_counted FROM participants p{self._each}"
            f" WHERE {where} AND s.counted > p.read_counted"
        )
        return {row[0]: unread(row[1], row[2]) for row in self._db.rows(sql, params)}

    def beyond(self, known: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
        """``(session_id, last_seq)`` of those sessions whose log goes beyond the given seq."""
        return [(row[0], row[1]) for row in self._db.rows_of(_BEYOND, known)] if known else []

    def spoken_since(self, user_ids: Collection[str], since: int) -> list[tuple[str, int]]:
        """``(session_id, seq)`` of the last counted message where it came after ``since`` (ms)."""
        sql = (
            f"SELECT DISTINCT s.id, s.last_message_seq FROM participants p{self._each}"
            f" WHERE p.participant_id IN {marks(len(user_ids))} AND p.list_period >= %s"
            " AND s.last_message_time > %s"
        )
        found = self._db.rows(sql, (*user_ids, _period(since), since))
        return [(row[0], row[1]) for row in found]


def _period(time: int) -> int:
    """The period of a time in ms; SQL cuts a quotient off, towards nought."""
    return time // _PERIOD if time >= 0 else -(-time // _PERIOD)


def _before(key: tuple[int, int, str], period: int) -> bool:
    """Whether a row of a page lies before a period, or could."""
    pinned, time, _ = key
    return not pinned and time < period * _PERIOD


def _own(query: SessionQuery) -> tuple[str, list[Any]]:
    """A WHERE clause over ``participants p`` alone: whose sessions, which, and of which types."""
    where = ["p.participant_id = %s"]
    params: list[Any] = [query.user_id]
    for column, wanted in (("p.list_type", query.types), ("p.session_id", query.only)):
        if wanted is not None:
            where.append(f"{column} IN {marks(len(wanted))}" if wanted else "1 = 0")
            params.extend(wanted)
    return " AND ".join(where), params


def _conditions(query: SessionQuery) -> tuple[str, list[Any]]:
    """What the query asks of ``sessions s``, with its parameters."""
    where = [_ALL]
    params: list[Any] = []
    for column, value in (("business_type", query.business_type), ("status", query.status)):
        if value is not None:
            where.append(f"s.{column} = %s")
            params.append(value)
    if query.with_message:
        where.append("s.last_message_time IS NOT NULL")
    if query.since is not None:
        where.append("s.last_message_time >= %s")
        params.append(query.since)
    return " AND ".join(where), params
