"""Lists and figures of topics that cost the same however many topics there were before.

A user's newest topics are found session by session from an index, never by sorting all of them;
how many are in each state stands in ``topic_tallies``, which triggers keep. Split from
:mod:`imd.storage.topics` by what it answers.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from imd.actions.ports import TopicQuery
from imd.domain.topic import STATE_MARKS, ListedTopic
from imd.storage import rows
from imd.storage.engine import Connection, marks

_ORDER = "ORDER BY t.create_time DESC, t.id DESC LIMIT %s"
_OF_USER = "IN (SELECT q.session_id FROM participants q WHERE q.participant_id = %s)"
_SUMS = ", ".join(f"coalesce(sum(y.{state}), 0)" for state in STATE_MARKS)


class _Where:
    """Conditions joined by AND, with their parameters in order."""

    def __init__(self) -> None:
        self.parts: list[str] = ["1 = 1"]
        self.params: list[Any] = []

    def __str__(self) -> str:
        return " AND ".join(self.parts)

    def add(self, condition: str, *params: Any) -> None:
        self.parts.append(condition)
        self.params.extend(params)

    def among(self, column: str, wanted: Collection[Any] | None) -> None:
        """The column is one of these; None means any."""
        if wanted is not None:
            self.add(f"{column} IN {marks(len(wanted))}" if wanted else "1 = 0", *wanted)

    def equal(self, column: str, value: Any) -> None:
        """The column is this; None means any."""
        if value is not None:
            self.add(f"{column} = %s", value)


class TopicLists:
    """SELECTs on ``topics`` and ``topic_tallies``."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def page(
        self, query: TopicQuery, after: tuple[int, str] | None, limit: int
    ) -> list[ListedTopic]:
        """Newest first, after the key ``(create_time, id)``."""
        by_session = query.user_id is not None and query.session_id is None and self._db.lateral
        newest, params = (_by_session if by_session else _straight)(query, after, limit)
        # Names, last messages and unread are looked up for the rows of the page only.
        sql = (
            f"SELECT {rows.TOPIC}, {rows.LAST}, s.name, s.counted, p.read_counted"
            f" FROM ({newest}) o"
            " JOIN topics t ON t.id = o.id JOIN sessions s ON s.id = t.session_id"
            " LEFT JOIN participants p ON p.session_id = s.id AND p.participant_id = %s"
            " LEFT JOIN messages m ON m.session_id = s.id AND m.seq = s.last_message_seq"
            " ORDER BY t.create_time DESC, t.id DESC"
        )
        return [rows.listed_topic(row) for row in self._db.rows(sql, [*params, query.user_id])]

    def count(self, query: TopicQuery) -> dict[tuple[int, int], int]:
        """How many topics by ``(status, reply)``."""
        if query.start is not None or query.end is not None:
            where = _conditions(query)
            sql = (
                f"SELECT t.status, t.reply, count(*) FROM topics t WHERE {where}"
                " GROUP BY t.status, t.reply"
            )
            return {(row[0], row[1]): row[2] for row in self._db.rows(sql, where.params)}
        where = _tallied(query)
        found = self._db.row(f"SELECT {_SUMS} FROM topic_tallies y WHERE {where}", where.params)
        return _by_marks(query, found or ())

    def count_by_team(self, query: TopicQuery) -> dict[str, int]:
        """How many topics each team has."""
        if query.start is not None or query.end is not None:
            where = _conditions(query)
            sql = f"SELECT t.team_code, count(*) FROM topics t WHERE {where} GROUP BY t.team_code"
            return {row[0]: row[1] for row in self._db.rows(sql, where.params)}
        where = _tallied(query)
        sql = f"SELECT y.team_code, {_SUMS} FROM topic_tallies y WHERE {where} GROUP BY y.team_code"
        found = self._db.rows(sql, where.params)
        return {row[0]: sum(_by_marks(query, row[1:]).values()) for row in found}

    def median_reply(self, query: TopicQuery) -> float | None:
        """The median of reply time less creation, in ms, over answered topics."""
        where = _conditions(query)
        where.add("t.reply = 1 AND t.reply_time IS NOT NULL")
        counted = self._db.row(f"SELECT count(*) FROM topics t WHERE {where}", where.params)
        count = counted[0] if counted else 0
        if not count:
            return None
        sql = (
            f"SELECT t.reply_time - t.create_time FROM topics t WHERE {where}"
            " ORDER BY 1 LIMIT %s OFFSET %s"
        )
        middle = self._db.rows(sql, [*where.params, 2 - count % 2, (count - 1) // 2])
        return float(sum(row[0] for row in middle) / len(middle))


def _conditions(query: TopicQuery, *, of_user: bool = True) -> _Where:
    """What the query asks of ``topics t``; ``of_user``: membership among it."""
    where = _Where()
    if of_user:
        if query.user_id is not None:
            where.add(f"t.session_id {_OF_USER}", query.user_id)
        where.among("t.session_type", query.types)
    where.among("t.team_code", query.team_codes)
    where.among("t.session_id", query.only)
    where.equal("t.session_id", query.session_id)
    where.equal("t.status", query.status)
    where.equal("t.reply", query.reply)
    if query.start is not None:
        where.add("t.create_time >= %s", query.start)
    if query.end is not None:
        where.add("t.create_time < %s", query.end)
    return where


def _after(where: _Where, after: tuple[int, str] | None) -> None:
    if after is not None:
        where.add("(t.create_time, t.id) < (%s, %s)", *after)


def _straight(
    query: TopicQuery, after: tuple[int, str] | None, limit: int
) -> tuple[str, list[Any]]:
    """The ids of a page, where one index gives them in order."""
    where = _conditions(query)
    _after(where, after)
    return f"SELECT t.id FROM topics t WHERE {where} {_ORDER}", [*where.params, limit]


def _by_session(
    query: TopicQuery, after: tuple[int, str] | None, limit: int
) -> tuple[str, list[Any]]:
    """The ids of a page of a user's topics.

    They lie in the sessions whose newest topic is newest: those are found with one look into the
    index for each of the user's sessions, and the page is made from them alone.
    """
    where = _conditions(query, of_user=False)
    _after(where, after)
    typed = _Where()
    typed.among("z.type", query.types)
    join = f" JOIN sessions z ON z.id = q.session_id AND {typed}" if query.types is not None else ""
    look = f"SELECT t.create_time, t.id FROM topics t WHERE {where} AND t.session_id ="
    sql = (
        "SELECT t.id FROM (SELECT q.session_id, t.create_time, t.id"
        f" FROM participants q{join} CROSS JOIN LATERAL ({look} q.session_id {_ORDER}) t"
        f" WHERE q.participant_id = %s {_ORDER}) n"
        f" CROSS JOIN LATERAL ({look} n.session_id {_ORDER}) t {_ORDER}"
    )
    first = [*typed.params, *where.params, 1, query.user_id, limit]
    return sql, [*first, *where.params, limit, limit]


def _tallied(query: TopicQuery) -> _Where:
    """What the query asks of ``topic_tallies y``."""
    where = _Where()
    if query.user_id is not None:
        where.add(f"y.session_id {_OF_USER}", query.user_id)
    where.among("y.session_type", query.types)
    where.among("y.team_code", query.team_codes)
    where.among("y.session_id", query.only)
    where.equal("y.session_id", query.session_id)
    return where


def _by_marks(query: TopicQuery, sums: Sequence[int]) -> dict[tuple[int, int], int]:
    """The sums of the tallies by ``(status, reply)``, as far as the query wants them."""
    return {
        (status, reply): int(number)
        for (status, reply), number in zip(STATE_MARKS.values(), sums, strict=False)
        if query.status in (None, status) and query.reply in (None, reply)
    }
