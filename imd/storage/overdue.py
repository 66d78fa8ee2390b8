"""Topics that wait too long for a doctor, each told of once (page 4.4, ``topic.overdue``).

Wiring repeats it where a webhook wants to know. Nothing of the topic itself changes.
"""

from __future__ import annotations

from functools import partial

from imd.domain.events import EventType
from imd.domain.topic import LIVE
from imd.storage.transaction import Transaction

#: topics that one round tells of
_MOST = 200


def note_overdue(transaction: Transaction, before: int) -> int:
    """Events for unanswered live topics that began before (ms) and had none; how many."""
    db, told = transaction.connection, 0
    found = db.rows(
        f"SELECT t.id, t.session_id FROM topics t WHERE t.status = {LIVE} AND t.reply = 0"
        " AND t.create_time <= %s AND NOT EXISTS"
        " (SELECT 1 FROM topics_overdue o WHERE o.topic_id = t.id) ORDER BY t.create_time LIMIT %s",
        (before, _MOST),
    )
    for topic_id, session_id in found:
        new = db.run(
            "INSERT INTO topics_overdue (topic_id) VALUES (%s) ON CONFLICT (topic_id) DO NOTHING",
            (topic_id,),
        )
        if new:
            topic = partial(transaction.topics.get, topic_id)
            transaction.events.note(EventType.TOPIC_OVERDUE, session_id, topic_id, topic)
            told += 1
    return told
