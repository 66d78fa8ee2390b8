"""Topics, the consults inside sessions (page 2.6)."""

from __future__ import annotations

from dataclasses import astuple, fields

from imd.domain.message import Message
from imd.domain.message_types import MessageType
from imd.domain.topic import Topic
from imd.storage import rows
from imd.storage.engine import marks
from imd.storage.topic_lists import TopicLists

_NAMES = [field.name for field in fields(Topic)]
_INSERT = (
    f"INSERT INTO topics ({', '.join(_NAMES)}) VALUES {marks(len(_NAMES))} ON CONFLICT DO NOTHING"
)
#: written out, so that the index of entries serves the query
_INTO = int(MessageType.TOPIC_INTO)
_CHANGING = [n for n in _NAMES if n not in ("id", "session_id", "session_type", "create_time")]
_UPDATE = f"UPDATE topics SET {', '.join(f'{n} = %s' for n in _CHANGING)} WHERE id = %s"


class Topics(TopicLists):
    """SQL on ``topics``; whoever writes holds the session's lock."""

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
        """False when the id is taken, or another topic is live in the session."""
        return self._db.run(_INSERT, astuple(topic)) == 1

    def update(self, topic: Topic) -> None:
        self._db.later(_UPDATE, [*(getattr(topic, name) for name in _CHANGING), topic.id])

    def entry_of(self, topic_id: str, user_id: str, since: int) -> Message | None:
        """The user's newest TOPIC_INTO in the topic after ``since`` (ms)."""
        sql = (
            f"SELECT {rows.MESSAGE} FROM messages m WHERE m.topic_id = %s AND m.type = {_INTO}"
            " AND m.sender_id = %s AND m.timestamp > %s ORDER BY m.seq DESC LIMIT 1"
        )
        found = self._db.row(sql, (topic_id, user_id, since))
        return rows.message(found) if found else None
