"""The log: how messages get their place, and what moves with them (page 4.2).

The one function that stores a message, for REST, socket and server-made messages alike. The
grouping writer calls it with drafts of many sessions, an action's transaction with those of one;
either way the sessions are locked. In one go it gives out seqs and timestamps, inserts, and moves
the session's end, the sender's marks and the topic's reply. It tells nobody: that follows the
commit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from imd.actions.ports import Committed
from imd.domain.message import Draft, Message
from imd.domain.message_types import counts
from imd.domain.session import Head
from imd.domain.session_types import channel_of
from imd.domain.topic import LIVE, Topic, answers
from imd.storage import rows
from imd.storage.engine import Bulk, Connection, marks
from imd.storage.message_events import MessageEvents
from imd.storage.outbox import Outbox

_INSERT = Bulk(
    "log_insert",
    (
        *("text", "text", "bigint", "text", "text", "text", "text", "integer", "text"),
        *("smallint", "bigint", "text", "text", "smallint", "integer", "smallint", "bigint"),
    ),
    "INSERT INTO messages (id, session_id, seq, channel, topic_id, sender_id, sender_name, type,"
    " content, structured, timestamp, client_msg_id, fingerprint, business_type, version,"
    " recalled, counted) SELECT v.* FROM {rows}",
)

_FACTS = Bulk(
    "log_facts",
    ("integer", "text", "text", "text"),
    f"SELECT v.column1, p.role, u.kind, u.name, {rows.MESSAGE}, m.fingerprint FROM {{rows}}"
    " LEFT JOIN participants p ON p.session_id = v.column2 AND p.participant_id = v.column3"
    " LEFT JOIN users u ON u.id = v.column3"
    " LEFT JOIN messages m ON m.session_id = v.column2 AND m.sender_id = v.column3"
    " AND m.client_msg_id = v.column4",
)
_UNANSWERED = Bulk(
    "log_unanswered",
    ("text",),
    f"SELECT {rows.TOPIC} FROM {{rows}} JOIN topics t ON t.id = v.column1"
    f" WHERE t.status = {LIVE} AND t.reply = 0",
)
_MOVE_ENDS = Bulk(
    "log_move_ends",
    ("text", "bigint", "bigint", "bigint", "bigint", "bigint", "text"),
    "UPDATE sessions SET last_seq = v.column2, counted = v.column3, last_timestamp = v.column4,"
    " last_message_seq = v.column5, last_message_time = v.column6, first_message_id = v.column7"
    " FROM {rows} WHERE sessions.id = v.column1",
)
_MOVE_SENDERS = Bulk(
    "log_move_senders",
    ("text", "text", "bigint", "bigint", "bigint", "bigint"),
    "UPDATE participants SET read_seq = v.column3, delivered_seq = v.column3,"
    " read_counted = v.column4, last_fetch_time = v.column5, active_time = v.column5,"
    " reply_time = coalesce(v.column6, participants.reply_time)"
    " FROM {rows} WHERE participants.session_id = v.column1"
    " AND participants.participant_id = v.column2",
)


class Facts(NamedTuple):
    """What the store knows about a draft's sender and key.

    ``role`` is None for no member; ``former`` is the message that used the same key (or the same
    id) before, ``fingerprint`` what it was made of.
    """

    role: str | None
    kind: str | None
    name: str | None
    former: Message | None
    fingerprint: str | None


class Entry(NamedTuple):
    """A draft that has been judged, with what is known of its sender."""

    draft: Draft
    facts: Facts
    origin: object = None


class _End:
    """The end of one session's log while drafts are being added to it."""

    __slots__ = ("channel", "counted", "first_id", "head", "last", "marks", "seq", "stamp")

    def __init__(self, head: Head) -> None:
        self.head, self.seq, self.counted, self.stamp = (
            head,
            head.last_seq,
            head.counted,
            head.last_timestamp,
        )
        self.first_id = head.first_message_id
        self.channel = str(channel_of(head.type))
        self.last: tuple[int | None, int | None] = (head.last_message_seq, head.last_message_time)
        #: sender -> (seq, counted, timestamp, time of the last message in a topic or None)
        self.marks: dict[str, tuple[int, int, int, int | None]] = {}

    def add(self, entry: Entry, now: int) -> tuple[Message, int]:
        """The message that the draft becomes, and the running total with it."""
        draft, head = entry.draft, self.head
        self.seq += 1
        self.stamp = max(now, self.stamp + 1)
        counted = counts(draft.type)
        self.counted += counted
        id_, self.first_id = self.first_id or draft.id, None
        topic_id = draft.topic_id if draft.topic_id is not None else head.current_topic_id
        message = Message(
            id_,
            head.id,
            self.seq,
            topic_id,
            draft.sender_id,
            draft.sender_name if draft.sender_name is not None else entry.facts.name,
            draft.type,
            draft.content,
            self.stamp,
            draft.client_msg_id,
            draft.business_type if draft.business_type is not None else head.business_type,
            1,
            False,
        )
        if counted:
            self.last = (self.seq, self.stamp)
        spoke = self.stamp if counted and topic_id is not None else None
        if spoke is None and draft.sender_id in self.marks:
            spoke = self.marks[draft.sender_id][3]
        self.marks[draft.sender_id] = (self.seq, self.counted, self.stamp, spoke)
        return message, self.counted

    def moved(self) -> Head:
        """The head as it will be after the commit."""
        return self.head._replace(
            last_seq=self.seq,
            counted=self.counted,
            last_timestamp=self.stamp,
            last_message_seq=self.last[0],
            last_message_time=self.last[1],
            first_message_id=self.first_id,
        )


class Log:
    """Adds to the logs of sessions that the transaction has locked."""

    def __init__(self, connection: Connection, outbox: Outbox, events: MessageEvents) -> None:
        self._db, self._outbox, self._events = connection, outbox, events

    def append(self, head: Head, drafts: Sequence[Draft], now: int) -> list[Committed]:
        """Store drafts at the end of one locked session's log.

        Membership has been judged by the caller. ``now`` is in ms.
        """
        facts = self.facts(drafts)
        entries = [Entry(draft, known) for draft, known in zip(drafts, facts, strict=True)]
        return self.store({head.id: head}, entries, now)[0]

    def facts(self, drafts: Sequence[Draft]) -> list[Facts]:
        """What is known about each draft, in one query."""
        asked = [
            (place, draft.session_id, draft.sender_id, draft.client_msg_id)
            for place, draft in enumerate(drafts)
        ]
        found: list[Facts] = [Facts(None, None, None, None, None)] * len(drafts)
        for row in self._db.rows_of(_FACTS, asked):
            former = rows.message(row[4:18]) if row[4] is not None else None
            found[row[0]] = Facts(row[1], row[2], row[3], former, row[18])
        return found

    def by_ids(self, ids: Sequence[str]) -> dict[str, Committed]:
        """Messages that an earlier attempt with an unknown outcome may have stored."""
        sql = (
            f"SELECT {rows.MESSAGE}, s.type, m.counted FROM messages m"
            f" JOIN sessions s ON s.id = m.session_id WHERE m.id IN {marks(len(ids))}"
        )
        found = self._db.rows(sql, ids)
        return {row[0]: Committed(rows.message(row), row[-2], row[-1]) for row in found}

    def store(
        self, heads: Mapping[str, Head], entries: Sequence[Entry], now: int
    ) -> tuple[list[Committed], dict[str, Head]]:
        """Store judged drafts of locked sessions; the messages in order, and the new heads."""
        ends = {session_id: _End(head) for session_id, head in heads.items()}
        live = self._unanswered(heads.values())
        answered: dict[str, Topic] = {}
        stored: list[Committed] = []
        new_rows: list[tuple[Any, ...]] = []
        for entry in entries:
            end = ends[entry.draft.session_id]
            message, counted = end.add(entry, now)
            topic = self._answer(message, entry, live)
            if topic is not None:
                answered[topic.id] = topic
            stored.append(Committed(message, end.head.type, counted, topic, entry.origin))
            new_rows.append(_row(message, end.channel, entry.draft, counted))
        if entries:
            self._db.later_of(_INSERT, new_rows)
            touched = [end for end in ends.values() if end.marks]
            self._move_ends(touched)
            self._move_senders(touched)
            self._outbox.owe(stored)
            self._events.stored(stored)
            for topic in answered.values():
                self._db.later(
                    "UPDATE topics SET reply = 1, reply_by = %s, reply_time = %s,"
                    " reply_message_id = %s WHERE id = %s AND reply = 0",
                    (topic.reply_by, topic.reply_time, topic.reply_message_id, topic.id),
                )
        return stored, {session_id: end.moved() for session_id, end in ends.items()}

    def _unanswered(self, heads: Iterable[Head]) -> dict[str, Topic]:
        """The live topics of these sessions that still wait for a doctor."""
        ids = [head.current_topic_id for head in heads if head.current_topic_id is not None]
        if not ids:
            return {}
        found = self._db.rows_of(_UNANSWERED, [(id_,) for id_ in ids])
        return {row[0]: rows.topic(row) for row in found}

    @staticmethod
    def _answer(message: Message, entry: Entry, live: dict[str, Topic]) -> Topic | None:
        """The topic that this message answers, as it is afterwards; it is answered only once."""
        topic = live.get(message.topic_id) if message.topic_id is not None else None
        if topic is None:
            return None
        facts, sender = entry.facts, message.sender_id
        role = "doctor" if entry.draft.token_role == "doctor" else facts.role
        if not answers(message.type, sender, facts.kind, role, topic.start_by):
            return None
        del live[topic.id]
        return topic.answered_by(sender, message.timestamp, message.id)

    def _move_ends(self, ends: Sequence[_End]) -> None:
        self._db.later_of(
            _MOVE_ENDS,
            [
                (end.head.id, end.seq, end.counted, end.stamp, *end.last, end.first_id)
                for end in ends
            ],
        )

    def _move_senders(self, ends: Sequence[_End]) -> None:
        """A sender has read and received what it sent, and all before it (page 2.5)."""
        self._db.later_of(
            _MOVE_SENDERS,
            [(end.head.id, sender, *marks) for end in ends for sender, marks in end.marks.items()],
        )


def _row(message: Message, channel: str, draft: Draft, counted: int) -> tuple[Any, ...]:
    text, structured = rows.content_columns(message.content)
    return (
        message.id,
        message.session_id,
        message.seq,
        channel,
        message.topic_id,
        message.sender_id,
        message.sender_name,
        message.type,
        text,
        structured,
        message.timestamp,
        message.client_msg_id,
        draft.fingerprint if draft.client_msg_id is not None else None,
        message.business_type,
        message.version,
        int(message.recalled),
        counted,
    )
