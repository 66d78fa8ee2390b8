"""Lists and figures of topics that cost the same however many topics there were before.

A page of a user's topics is a range of ``participant_topics``; one of some teams among them is
found session by session from an index, never by sorting all of them; how many are in each state
stands in ``topic_tallies``, and user by user in ``participant_tallies``. Triggers keep all three.
LATERAL, where the database has it, says which way to go, so that no statistics can talk the planner
into reading a whole table. Split from :mod:`imd.storage.topics` by what it answers.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from imd.actions.queries import TopicQuery
from imd.domain.session_types import SESSION_TYPES
from imd.domain.topic import LIVE, STATE_MARKS, ListedTopic
from imd.storage import rows
from imd.storage.engine import Connection, marks, values

_Way = Callable[[TopicQuery, tuple[int, str] | None, int], tuple[str, list[Any]]]
_ORDER = "ORDER BY t.create_time DESC, t.id DESC LIMIT %s"
_ORDER_N = "ORDER BY n.create_time DESC, n.id DESC LIMIT %s OFFSET %s"
_OF_USER = "IN (SELECT q.session_id FROM participants q WHERE q.participant_id = %s)"
_SHOWN = "SELECT t.create_time, t.topic_id AS id FROM participant_topics t"
_SHOWN_ORDER = "ORDER BY t.create_time DESC, t.topic_id DESC LIMIT %s"
_WAITING = "SELECT t.create_time, t.topic_id AS id FROM topics_waiting t"
_LOOK = "SELECT t.create_time, t.id FROM topics t WHERE"
#: a time that nothing is later than
_EVER = 2**63 - 1
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
    """SELECTs on ``topics`` and what triggers keep beside it."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def page(
        self, query: TopicQuery, after: tuple[int, str] | None, limit: int
    ) -> list[ListedTopic]:
        """Newest first, after the key ``(create_time, id)``."""
        newest, params = self._way(query)(query, after, limit)
        # Names, last messages and unread are looked up for the rows of the page only; what the
        # user is no member of is not shown, whatever a list says.
        member = "LEFT JOIN" if query.user_id is None else "JOIN"
        sql = (
            f"SELECT {rows.TOPIC}, {rows.LAST}, s.name, s.counted, p.read_counted"
            f" FROM ({newest}) o"
            " JOIN topics t ON t.id = o.id JOIN sessions s ON s.id = t.session_id"
            f" {member} participants p ON p.session_id = s.id AND p.participant_id = %s"
            " LEFT JOIN messages m ON m.session_id = s.id AND m.seq = s.last_message_seq"
            " ORDER BY t.create_time DESC, t.id DESC"
        )
        return [rows.listed_topic(row) for row in self._db.rows(sql, [*params, query.user_id])]

    def _way(self, query: TopicQuery) -> _Way:
        """Which way finds the ids of a page."""
        if query.session_id is not None:
            return _straight
        if query.latest is not None and query.user_id is None and query.team_codes is None:
            return _of_waiting
        if query.user_id is not None and query.team_codes is None and query.only is None:
            if not _narrowed(query):
                return _of_user
            return _by_marks_of_user if self._db.lateral else _by_each_mark_of_user
        if self._db.lateral and query.user_id is not None:
            return _by_session
        if self._db.lateral and query.team_codes is not None and len(query.team_codes) > 1:
            return _by_team
        return _straight

    def count(self, query: TopicQuery) -> dict[tuple[int, int], int]:
        """How many topics by ``(status, reply)``."""
        if query.start is not None or query.end is not None:
            found, params = self._topics(query)
            sql = f"SELECT t.status, t.reply, count(*) FROM {found} GROUP BY t.status, t.reply"
            return {(row[0], row[1]): row[2] for row in self._db.rows(sql, params)}
        tallies, params = self._tallies(query)
        return _by_marks(query, self._db.row(f"SELECT {_SUMS} FROM {tallies}", params) or ())

    def count_by_team(self, query: TopicQuery) -> dict[str, int]:
        """How many topics each team has."""
        if query.start is not None or query.end is not None:
            found, params = self._topics(query)
            sql = f"SELECT t.team_code, count(*) FROM {found} GROUP BY t.team_code"
            return {row[0]: row[1] for row in self._db.rows(sql, params)}
        tallies, params = self._tallies(query)
        sql = f"SELECT y.team_code, {_SUMS} FROM {tallies} GROUP BY y.team_code"
        sums = {row[0]: _by_marks(query, row[1:]) for row in self._db.rows(sql, params)}
        return {team: sum(numbers.values()) for team, numbers in sums.items()}

    def _topics(self, query: TopicQuery, also: str = "1 = 1") -> tuple[str, list[Any]]:
        """FROM and WHERE of the topics ``t`` that the query asks of."""
        where = _conditions(query)
        where.add(also)
        if query.user_id is None:
            return f"topics t WHERE {where}", where.params
        found = f"topics t WHERE {where} AND t.session_id {_OF_USER}"
        if self._db.lateral:
            found = (
                f"participants q CROSS JOIN LATERAL (SELECT * FROM topics t WHERE {where}"
                " AND t.session_id = q.session_id OFFSET 0) t WHERE q.participant_id = %s"
            )
        return found, [*where.params, query.user_id]

    def _tallies(self, query: TopicQuery) -> tuple[str, list[Any]]:
        """FROM and WHERE of the tallies ``y`` that the query asks of."""
        where = _tallied(query)
        table = "topic_tallies" if query.user_id is None else "participant_tallies"
        where.equal("y.participant_id", query.user_id)
        return f"{table} y WHERE {where}", where.params

    def median_reply(self, query: TopicQuery) -> float | None:
        """The median of reply time less creation, in ms, over answered topics."""
        found, params = self._topics(query, "t.reply = 1 AND t.reply_time IS NOT NULL")
        counted = self._db.row(f"SELECT count(*) FROM {found}", params)
        count = counted[0] if counted else 0
        if not count:
            return None
        sql = f"SELECT t.reply_time - t.create_time FROM {found} ORDER BY 1 LIMIT %s OFFSET %s"
        middle = self._db.rows(sql, [*params, 2 - count % 2, (count - 1) // 2])
        return float(sum(row[0] for row in middle) / len(middle))


def _conditions(query: TopicQuery) -> _Where:
    """What the query asks of ``topics t``, the user apart."""
    where = _Where()
    where.among("t.session_type", query.types)
    where.among("t.team_code", query.team_codes)
    where.among("t.session_id", query.only)
    where.equal("t.session_id", query.session_id)
    where.equal("t.status", query.status)
    where.equal("t.reply", query.reply)
    _within(where, query)
    if query.latest is not None:
        _waiting(where, query.latest)
    return where


def _waiting(where: _Where, latest: Mapping[int, int]) -> None:
    """Waiting for an answer since the time that is given for the session type, or longer."""
    where.add(f"t.status = {LIVE} AND t.reply = 0")
    where.among("t.session_type", latest)
    if latest:
        bounds = " ".join("WHEN %s THEN %s" for _ in latest)
        times = [value for item in latest.items() for value in item]
        # The first bound is for the index, the second for each row.
        bounded = f"t.create_time <= %s AND t.create_time <= CASE t.session_type {bounds} END"
        where.add(bounded, max(latest.values()), *times)


def _within(where: _Where, query: TopicQuery) -> None:
    if query.start is not None:
        where.add("t.create_time >= %s", query.start)
    if query.end is not None:
        where.add("t.create_time < %s", query.end)


def _after(where: _Where, after: tuple[int, str] | None) -> None:
    if after is not None:
        where.add("(t.create_time, t.id) < (%s, %s)", *after)


def _straight(
    query: TopicQuery, after: tuple[int, str] | None, limit: int
) -> tuple[str, list[Any]]:
    """The ids of a page, where one index gives them in order."""
    where = _conditions(query)
    if query.user_id is not None:
        where.add(f"t.session_id {_OF_USER}", query.user_id)
    _after(where, after)
    return f"SELECT t.id FROM topics t WHERE {where} {_ORDER}", [*where.params, limit]


def _of_user(query: TopicQuery, after: tuple[int, str] | None, limit: int) -> tuple[str, list[Any]]:
    """The ids of a page of a user's topics: a range of an index."""
    where = _of_participant(query, after)
    return f"{_SHOWN} WHERE {where} {_SHOWN_ORDER}", [*where.params, limit]


def _by_marks_of_user(
    query: TopicQuery, after: tuple[int, str] | None, limit: int
) -> tuple[str, list[Any]]:
    """The same of some types and marks: the newest of each, then the newest of those."""
    kinds = _kinds(query)
    where = _of_participant(query, after)
    where.add(
        "t.session_type = w.column1 AND t.status = w.column2 AND t.reply = w.column3"
        " AND t.create_time <= w.column4"
    )
    sql = (
        f"SELECT t.id FROM ({values(len(kinds), 4)}) w"
        f" CROSS JOIN LATERAL ({_SHOWN} WHERE {where} {_SHOWN_ORDER}) t {_ORDER}"
    )
    return sql, [*(mark for kind in kinds for mark in kind), *where.params, limit, limit]


def _by_each_mark_of_user(
    query: TopicQuery, after: tuple[int, str] | None, limit: int
) -> tuple[str, list[Any]]:
    """As :func:`_by_marks_of_user`, spelt out where a join cannot look at the rows before it."""
    kinds = _kinds(query)
    where = _of_participant(query, after)
    where.add("t.session_type = %s AND t.status = %s AND t.reply = %s AND t.create_time <= %s")
    one = f"SELECT t.create_time, t.id FROM ({_SHOWN} WHERE {where} {_SHOWN_ORDER}) t"
    sql = f"SELECT t.id FROM ({' UNION ALL '.join([one] * len(kinds))}) t {_ORDER}"
    return sql, [*(value for kind in kinds for value in (*where.params, *kind, limit)), limit]


def _of_waiting(
    query: TopicQuery, after: tuple[int, str] | None, limit: int
) -> tuple[str, list[Any]]:
    """The ids of a page of all overdue topics: each session type's newest, then those of them."""
    where = _Where()
    _within(where, query)
    if after is not None:
        where.add("(t.create_time, t.topic_id) < (%s, %s)", *after)
    where.add("t.session_type = %s AND t.create_time <= %s")
    one = f"SELECT t.create_time, t.id FROM ({_WAITING} WHERE {where} {_SHOWN_ORDER}) t"
    kinds = [(kind[0], kind[3]) for kind in _kinds(query)]
    sql = f"SELECT t.id FROM ({' UNION ALL '.join([one] * len(kinds))}) t {_ORDER}"
    return sql, [*(value for kind in kinds for value in (*where.params, *kind, limit)), limit]


def _kinds(query: TopicQuery) -> list[tuple[int, int, int, int]]:
    """Session type, status, reply and latest creation of what is wanted; there are few."""
    wanted = SESSION_TYPES.keys() if query.types is None else {*query.types} & SESSION_TYPES.keys()
    latest = dict.fromkeys(wanted, _EVER) if query.latest is None else query.latest
    marks_of = [pair for pair in STATE_MARKS.values() if _wants(query, *pair)]
    kinds = [(t, *pair, latest[t]) for t in sorted(wanted & latest.keys()) for pair in marks_of]
    # Of no kind there are no topics, but there has to be something to ask for.
    return kinds or [(-1, -1, -1, -1)]


def _of_participant(query: TopicQuery, after: tuple[int, str] | None) -> _Where:
    """Whose topics, and where the page begins and the window ends."""
    where = _Where()
    where.equal("t.participant_id", query.user_id)
    _within(where, query)
    if after is not None:
        where.add("(t.create_time, t.topic_id) < (%s, %s)", *after)
    return where


def _narrowed(query: TopicQuery) -> bool:
    """Whether the query asks for some types or marks only."""
    return (query.types, query.status, query.reply, query.latest) != (None, None, None, None)


def _by_session(
    query: TopicQuery, after: tuple[int, str] | None, limit: int
) -> tuple[str, list[Any]]:
    """The ids of a page of a user's topics of some teams, or in some sessions.

    They lie in the sessions whose newest topic is newest: those are found with one look into the
    index for each of the user's sessions, and the page is made from them alone; when there are
    enough of them, nothing on it is older than the newest of the last of them. Sessions without a
    topic of the wanted kind are told by the user's tallies.
    """
    where = _conditions(query)
    _after(where, after)
    tallied = _tallied(query)
    tallied.equal("y.participant_id", query.user_id)
    wanted = [state for state, pair in STATE_MARKS.items() if _wants(query, *pair)]
    tallied.add(f"{' + '.join(f'y.{state}' for state in wanted) or '0'} > 0")
    some = f"SELECT DISTINCT y.session_id FROM participant_tallies y WHERE {tallied}"
    sql = (
        f"WITH n AS (SELECT q.session_id, t.create_time, t.id FROM ({some}) q CROSS JOIN LATERAL"
        f" ({_LOOK} {where} AND t.session_id = q.session_id {_ORDER}) t {_ORDER})"
        f" SELECT t.id FROM n CROSS JOIN LATERAL ({_LOOK} {where} AND t.session_id = n.session_id"
        f" AND t.create_time >= coalesce((SELECT n.create_time FROM n {_ORDER_N}), 0) {_ORDER}) t"
        f" {_ORDER}"
    )
    first = [*tallied.params, *where.params, 1, limit]
    return sql, [*first, *where.params, 1, limit - 1, limit, limit]


def _by_team(query: TopicQuery, after: tuple[int, str] | None, limit: int) -> tuple[str, list[Any]]:
    """The ids of a page of several teams' topics: each team's newest, then the newest of those."""
    teams = sorted(set(query.team_codes or ()))
    where = _conditions(query._replace(team_codes=None))
    _after(where, after)
    sql = (
        f"SELECT t.id FROM ({values(len(teams), 1)}) w"
        f" CROSS JOIN LATERAL ({_LOOK} {where} AND t.team_code = w.column1 {_ORDER}) t {_ORDER}"
    )
    return sql, [*teams, *where.params, limit, limit]


def _tallied(query: TopicQuery) -> _Where:
    """What the query asks of ``topic_tallies y``, the user apart."""
    where = _Where()
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
        if _wants(query, status, reply)
    }


def _wants(query: TopicQuery, status: int, reply: int) -> bool:
    """Whether the query asks for topics with these marks."""
    return query.status in (None, status) and query.reply in (None, reply)
