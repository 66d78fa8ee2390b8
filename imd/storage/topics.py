"""Topics, the consults inside sessions (page 2.6)."""

from __future__ import annotations

from dataclasses import astuple, fields
from typing import Any

from imd.actions.ports import TopicQuery
from imd.domain.message import Message
from imd.domain.message_types import MessageType
from imd.domain.topic import ListedTopic, Topic
from imd.storage import rows
from imd.storage.engine import Connection, marks

_NAMES = [field.name for field in fields(Topic)]
_INSERT = (
    f"INSERT INTO topics ({', '.join(_NAMES)}) VALUES {marks(len(_NAMES))}"
    " ON CONFLICT (id) DO NOTHING"
)
_CHANGING = [n for n in _NAMES if n not in ("id", "session_id", "session_type", "create_time")]
_UPDATE = f"UPDATE topics SET {', '.join(f'{n} = %s' for n in _CHANGING)} WHERE id = %s"


class Topics:
    """SQL on ``topics``; whoever writes holds the session's lock."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def get(self, topic_id: str) -> Topic | None:
        found = self._db.row(f"SELECT {rows.TOPIC} FROM topics t WHERE t.id = %s", (topic_id,))
        return rows.topic(found) if found else None

    def last_of(self, session_id: str) -> Topic | None:
        """The topic that was started last in the session."""
        sql = (
            f"SELECT {rows.TOPIC} FROM topics t WHERE t.session_id = %s"
            " ORDER BY t.create_time DESC, t.start_seq DESC LIMIT 1"
        )
        found = self._db.row(sql, (session_id,))
        return rows.topic(found) if found else None

    def insert(self, topic: Topic) -> bool:
        """False when the id is taken."""
        return self._db.run(_INSERT, astuple(topic)) == 1

    def update(self, topic: Topic) -> None:
        self._db.later(_UPDATE, [*(getattr(topic, name) for name in _CHANGING), topic.id])

    def entry_of(self, topic_id: str, user_id: str, since: int) -> Message | None:
        """The user's newest TOPIC_INTO in the topic after ``since`` (ms)."""
        sql = (
            f"SELECT {rows.MESSAGE} FROM messages m WHERE m.topic_id = %s AND m.type = %s"
            " AND m.sender_id = %s AND m.timestamp > %s ORDER BY m.seq DESC LIMIT 1"
        )
        found = self._db.row(sql, (topic_id, int(MessageType.TOPIC_INTO), user_id, since))
        return rows.message(found) if found else None

    # ---- lists and figures

    def page(
        self, query: TopicQuery, after: tuple[int, str] | None, limit: int
    ) -> list[ListedTopic]:
        """Newest first, after the key ``(create_time, id)``."""
        source, params = _source(query)
        if after is not None:
            source += " AND (t.create_time, t.id) < (%s, %s)"
            params += after
        # Names, last messages and unread are looked up for the rows of the page only.
        sql = (
            f"SELECT {rows.TOPIC}, {rows.LAST}, s.name, s.counted, p.read_counted"
            f" FROM (SELECT t.id {source} ORDER BY t.create_time DESC, t.id DESC LIMIT %s) o"
            " JOIN topics t ON t.id = o.id JOIN sessions s ON s.id = t.session_id"
            " LEFT JOIN participants p ON p.session_id = s.id AND p.participant_id = %s"
            " LEFT JOIN messages m ON m.session_id = s.id AND m.seq = s.last_message_seq"
            " ORDER BY t.create_time DESC, t.id DESC"
        )
        found = self._db.rows(sql, [*params, limit, query.user_id])
        return [rows.listed_topic(row) for row in found]

    def count(self, query: TopicQuery) -> dict[tuple[int, int], int]:
        """How many topics by ``(status, reply)``."""
        source, params = _source(query)
        sql = f"SELECT t.status, t.reply, count(*) {source} GROUP BY t.status, t.reply"
        return {(row[0], row[1]): row[2] for row in self._db.rows(sql, params)}

    def count_by_team(self, query: TopicQuery) -> dict[str, int]:
        source, params = _source(query)
        sql = f"SELECT t.team_code, count(*) {source} GROUP BY t.team_code"
        return {row[0]: row[1] for row in self._db.rows(sql, params)}

    def median_reply(self, query: TopicQuery) -> float | None:
        """The median of reply time less creation, in ms, over answered topics."""
        source, params = _source(query)
        source += " AND t.reply = 1 AND t.reply_time IS NOT NULL"
        counted = self._db.row(f"SELECT count(*) {source}", params)
        count = counted[0] if counted else 0
        if not count:
            return None
        sql = f"SELECT t.reply_time - t.create_time {source} ORDER BY 1 LIMIT %s OFFSET %s"
        middle = self._db.rows(sql, [*params, 2 - count % 2, (count - 1) // 2])
        return float(sum(row[0] for row in middle) / len(middle))


def _source(query: TopicQuery) -> tuple[str, list[Any]]:
    """FROM and WHERE over ``topics t``, joined to the viewer's memberships, with parameters."""
    source, where = "FROM topics t", ["1 = 1"]
    params: list[Any] = []
    if query.user_id is not None:
        source += " JOIN participants q ON q.session_id = t.session_id"
        where.append("q.participant_id = %s")
        params.append(query.user_id)
    for column, wanted in (
        ("t.session_type", query.types),
        ("t.team_code", query.team_codes),
        ("t.session_id", query.only),
    ):
        if wanted is not None:
            where.append(f"{column} IN {marks(len(wanted))}" if wanted else "1 = 0")
            params.extend(wanted)
    for condition, value in (
        ("t.session_id = %s", query.session_id),
        ("t.status = %s", query.status),
        ("t.reply = %s", query.reply),
        ("t.create_time >= %s", query.start),
        ("t.create_time < %s", query.end),
    ):
        if value is not None:
            where.append(condition)
            params.append(value)
    return f"{source} WHERE {' AND '.join(where)}", params
