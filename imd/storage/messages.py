"""Reading the log, and the two ways in which a stored message may still change.

Every list is a keyset on ``seq``, so a page in a session of a million messages costs what it costs
in a session of a thousand. New messages are written by :mod:`imd.storage.log` alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from imd.actions.ports import Committed
from imd.actions.queries import MessageQuery
from imd.domain.events import EventType
from imd.domain.message import Message
from imd.domain.message_types import UNCOUNTED_TYPES
from imd.storage import rows
from imd.storage.engine import Bulk, Connection, Row, marks
from imd.storage.events import Events

#: the types that do not count, as SQL
UNCOUNTED = "(" + ", ".join(str(int(number)) for number in sorted(UNCOUNTED_TYPES)) + ")"

_RANGES = Bulk(
    "messages_ranges",
    ("text", "bigint", "bigint"),
    f"SELECT {rows.MESSAGE}, s.type, m.counted, s.roster, {rows.TOPIC} FROM {{rows}}"
    " JOIN messages m ON m.session_id = v.column1"
    " AND m.seq > v.column2 AND m.seq <= v.column3"
    " JOIN sessions s ON s.id = m.session_id"
    " LEFT JOIN topics t ON t.id = m.topic_id AND t.reply_message_id = m.id"
    " ORDER BY m.session_id, m.seq",
)


def _committed(row: Row) -> Committed:
    """A row of _RANGES."""
    width = rows.MESSAGE_WIDTH
    type_, counted, roster = row[width : width + 3]
    answered = rows.topic(row[width + 3 :]) if row[width + 3] is not None else None
    return Committed(rows.message(row), type_, counted, roster, answered)


class Messages:
    """SQL on ``messages`` for readers, recalls and card changes."""

    def __init__(self, connection: Connection, events: Events) -> None:
        self._db, self._events = connection, events

    def get(self, session_id: str, message_id: str) -> Message | None:
        sql = f"SELECT {rows.MESSAGE} FROM messages m WHERE m.id = %s AND m.session_id = %s"
        found = self._db.row(sql, (message_id, session_id))
        return rows.message(found) if found else None

    def page(self, query: MessageQuery) -> list[Message]:
        """At most ``limit`` messages within the bounds, in the query's order."""
        where = ["m.session_id = %s"]
        params: list[Any] = [query.session_id]
        for condition, value in (
            ("m.topic_id = %s", query.topic_id),
            ("m.seq > %s", query.above),
            ("m.seq < %s", query.below),
            ("m.sender_id <> %s", query.not_by),
        ):
            if value is not None:
                where.append(condition)
                params.append(value)
        if query.types is not None:
            where.append(f"m.type IN {marks(len(query.types))}" if query.types else "1 = 0")
            params.extend(query.types)
        if query.counted_only:
            where.append(f"m.type NOT IN {UNCOUNTED}")
        order = "ASC" if query.ascending else "DESC"
        sql = (
            f"SELECT {rows.MESSAGE} FROM messages m WHERE {' AND '.join(where)}"
            f" ORDER BY m.seq {order} LIMIT %s"
        )
        return [rows.message(row) for row in self._db.rows(sql, [*params, query.limit])]

    def ranges(self, wanted: Sequence[tuple[str, int]], most: int) -> list[Committed]:
        """The ``most`` messages after the given seq of each session, oldest first.

        With each the topic that it answered, and its session's roster, as these are now. Seqs are
        dense, so a range of them is a number of messages.
        """
        asked = [(session_id, seq, seq + most) for session_id, seq in wanted]
        return [_committed(row) for row in self._db.rows_of(_RANGES, asked)] if asked else []

    def edit(self, message: Message) -> None:
        """Store the content and version of a changed card."""
        text, structured = rows.content_columns(message.content)
        sql = "UPDATE messages SET content = %s, structured = %s, version = %s WHERE id = %s"
        self._db.later(sql, (text, structured, message.version, message.id))
        self._events.note(
            EventType.MESSAGE_UPDATED, message.session_id, message.id, lambda: message
        )

    def recall(self, message: Message, by: str | None, now: int) -> Message:
        """Empty the content, keeping the original apart; the message as it is now."""
        text, structured = rows.content_columns(message.content)
        params: list[Any] = [message.id, message.session_id, text, structured, by, now]
        self._db.later(
            "INSERT INTO recalls (message_id, session_id, content, structured, recalled_by,"
            f" recall_time) VALUES {marks(6)}",
            params,
        )
        sql = "UPDATE messages SET recalled = 1, content = NULL, structured = 0 WHERE id = %s"
        self._db.later(sql, (message.id,))
        recalled = replace(message, recalled=True, content=None)
        self._events.note(
            EventType.MESSAGE_RECALLED, message.session_id, message.id, lambda: recalled, now
        )
        self._events.scrub(message.session_id, message.id, recalled)
        return recalled
