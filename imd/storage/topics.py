"""Topics, the consults inside sessions (page 2.6)."""

from __future__ import annotations

from dataclasses import astuple, fields

from imd.domain.topic import Topic
from imd.storage import rows
from imd.storage.engine import Connection, marks

_NAMES = [field.name for field in fields(Topic)]
_INSERT = f"INSERT INTO topics ({', '.join(_NAMES)}) VALUES {marks(len(_NAMES))}"
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

    def insert(self, topic: Topic) -> None:
        self._db.run(_INSERT, astuple(topic))

    def update(self, topic: Topic) -> None:
        self._db.later(_UPDATE, [*(getattr(topic, name) for name in _CHANGING), topic.id])
