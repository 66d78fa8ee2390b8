"""Topics that wait too long for a doctor: told of once, counted, looked at again (page 4.4).

``topics_waiting`` holds the live topics without an answer, kept by triggers. What is overdue among
them is a range for each session type, whose bound is the caller's: see
:meth:`imd.domain.reply_clock.ReplyClock.latest`. The post office asks; no topic is changed here.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from imd.domain.events import EventType
from imd.domain.topic import LIVE, Topic
from imd.storage.engine import Connection
from imd.storage.transaction import Transaction

#: topics of one session type that one round tells of
_MOST = 200
#: more than this many are not counted
COUNTED = 10_000


def note_overdue(transaction: Transaction, latest: Mapping[int, int]) -> int:
    """Events for overdue topics that had none; how many.

    ``latest`` is the last time of creation (ms) by session type. Of several processes that ask at
    once each tells of others.
    """
    db, told = transaction.connection, 0
    for session_type, time in latest.items():
        found = db.rows(
            "WITH c AS MATERIALIZED (SELECT s.topic_id FROM topics_waiting s WHERE s.told = 0"
            " AND s.session_type = %s AND s.create_time <= %s"
            f" ORDER BY s.create_time LIMIT %s{db.lock_free})"
            " UPDATE topics_waiting SET told = 1 FROM c WHERE topics_waiting.topic_id = c.topic_id"
            " RETURNING topics_waiting.create_time, topics_waiting.topic_id",
            (session_type, time, _MOST),
        )
        for _, topic_id in sorted(found):
            topic = transaction.topics.get(topic_id)
            if topic is not None:
                carried = partial(_still_waiting, transaction, topic_id)
                transaction.events.note(
                    EventType.TOPIC_OVERDUE, topic.session_id, topic_id, carried
                )
                told += 1
    return told


def _still_waiting(transaction: Transaction, topic_id: str) -> Topic | None:
    """The topic as it is when its event is written; None when it was answered meanwhile."""
    topic = transaction.topics.get(topic_id)
    return topic if topic is not None and (topic.status, topic.reply) == (LIVE, 0) else None


def count_overdue(db: Connection, latest: Mapping[int, int]) -> int:
    """How many topics are overdue, up to COUNTED of each session type."""
    total = 0
    for session_type, time in latest.items():
        found = db.row(
            "SELECT count(*) FROM (SELECT 1 FROM topics_waiting w WHERE w.session_type = %s"
            " AND w.create_time <= %s LIMIT %s) c",
            (session_type, time, COUNTED),
        )
        total += found[0] if found else 0
    return total


def waits(db: Connection, topic_id: str) -> bool:
    """Whether a topic is live and nobody answered it."""
    sql = "SELECT 1 FROM topics_waiting WHERE topic_id = %s"
    return db.row(sql, (topic_id,)) is not None
