"""The log: how messages get their place, and what moves with them (page 4.2).

The one function that stores a message, for REST, socket and server-made messages alike. The
grouping writer calls it with drafts of many sessions, an action's transaction with those of one;
either way the sessions are locked. In one go it gives out seqs and timestamps, inserts, and moves
the session's end, the sender's marks and the topic's reply. It tells nobody: that follows the
commit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from imd.actions.ports import Committed
from imd.domain.message import Draft, Message
from imd.domain.message_types import counts
from imd.domain.session import Head
from imd.domain.session_types import channel_of
from imd.domain.topic import LIVE, answers
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

_FACTS = (
    "SELECT v.column1, p.role, u.kind, u.name, m.seq, m.fingerprint, t.id, t.start_by, {held},"
    f" {rows.HEAD} FROM {{{{rows}}}}"
    " LEFT JOIN sessions s ON s.id = v.column2"
    " LEFT JOIN participants p ON p.session_id = v.column2 AND p.participant_id = v.column3"
    " LEFT JOIN users u ON u.id = v.column3"
    " LEFT JOIN messages m ON m.session_id = v.column2 AND m.sender_id = v.column3"
    " AND m.client_msg_id = v.column4"
    f" LEFT JOIN topics t ON t.id = s.current_topic_id AND t.status = {LIVE} AND t.reply = 0"
)
_HEAD = 9
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
    """What the store knows about a draft: its sender, its key, its session.

    ``role`` is None for no member; ``former_seq`` is where the message stands that used the same
    key before, ``fingerprint`` what it was made of; ``unanswered`` is the session's live topic
    while it waits for a doctor, ``start_by`` who started it; ``head`` is None for no session,
    ``held`` tells whether this transaction has locked it.
    """

    role: str | None
    kind: str | None
    name: str | None
    former_seq: int | None
    fingerprint: str | None
    unanswered: str | None
    start_by: str | None
    held: bool
    head: Head | None


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


class Log:
    """Adds to the logs of sessions that the transaction has locked."""

    def __init__(self, connection: Connection, outbox: Outbox, events: MessageEvents) -> None:
        self._db, self._outbox, self._events = connection, outbox, events
        self._facts = _asking(connection.held)

    def append(self, head: Head, drafts: Sequence[Draft], now: int) -> list[Committed]:
        """Store drafts at the end of one locked session's log.

        Membership has been judged by the caller. ``now`` is in ms.
        """
        facts = self.facts(drafts)
        entries = [Entry(draft, known) for draft, known in zip(drafts, facts, strict=True)]
        return self.store({head.id: head}, entries, now)

    def facts(self, drafts: Sequence[Draft]) -> list[Facts]:
        """What is known about each draft, in one query."""
        asked = [
            (place, draft.session_id, draft.sender_id, draft.client_msg_id)
            for place, draft in enumerate(drafts)
        ]
        return [_facts(row) for row in sorted(self._db.rows_of(self._facts, asked), key=_place)]

    def at(self, session_id: str, seq: int) -> Message:
        """The message that is known to stand there."""
        sql = f"SELECT {rows.MESSAGE} FROM messages m WHERE m.session_id = %s AND m.seq = %s"
        return rows.message(self._db.rows(sql, (session_id, seq))[0])

    def by_ids(self, ids: Sequence[str]) -> dict[str, Committed]:
        """Messages that an earlier attempt with an unknown outcome may have stored."""
        sql = (
            f"SELECT {rows.MESSAGE}, s.type, m.counted, s.roster FROM messages m"
            f" JOIN sessions s ON s.id = m.session_id WHERE m.id IN {marks(len(ids))}"
        )
        found = self._db.rows(sql, ids)
        return {row[0]: Committed(rows.message(row), *row[rows.MESSAGE_WIDTH :]) for row in found}

    def store(
        self, heads: Mapping[str, Head], entries: Sequence[Entry], now: int
    ) -> list[Committed]:
        """Store judged drafts of locked sessions, whose heads these are; the messages in order."""
        ends = {session_id: _End(head) for session_id, head in heads.items()}
        stored: list[Committed] = []
        new_rows: list[tuple[Any, ...]] = []
        #: which message is the first to answer which topic
        answering: dict[str, int] = {}
        for entry in entries:
            end = ends[entry.draft.session_id]
            message, counted = end.add(entry, now)
            if _is_answer(message, entry):
                answering.setdefault(str(message.topic_id), len(stored))
            known = entry.facts.head
            roster = known.roster if known is not None else end.head.roster
            stored.append(Committed(message, end.head.type, counted, roster, None, entry.origin))
            new_rows.append(_row(message, end.channel, entry.draft, counted))
        if entries:
            self._db.later_of(_INSERT, new_rows)
            touched = [end for end in ends.values() if end.marks]
            self._move_ends(touched)
            self._move_senders(touched)
        if answering:
            self._answer(answering, stored)
        if stored:
            self._outbox.owe(stored)
            self._events.stored(stored)
        return stored

    def _answer(self, answering: Mapping[str, int], stored: list[Committed]) -> None:
        """Note with the topics, and with the messages, what has been answered."""
        for row in self._db.rows_of(_UNANSWERED, [(id_,) for id_ in answering]):
            place = answering[row[0]]
            message = stored[place].message
            topic = rows.topic(row).answered_by(message.sender_id, message.timestamp, message.id)
            stored[place] = stored[place]._replace(answered=topic)
            self._db.later(
                "UPDATE topics SET reply = 1, reply_by = %s, reply_time = %s,"
                " reply_message_id = %s WHERE id = %s AND reply = 0",
                (topic.reply_by, topic.reply_time, topic.reply_message_id, topic.id),
            )

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


@cache
def _asking(held: str) -> Bulk:
    """The statement of :meth:`Log.facts` on a kind of connection."""
    kinds = ("integer", "text", "text", "text")
    return Bulk("log_facts", kinds, _FACTS.format(held=held))


def _place(row: Sequence[Any]) -> Any:
    return row[0]


def _facts(row: Sequence[Any]) -> Facts:
    head = rows.head(row[_HEAD:]) if row[_HEAD] is not None else None
    role, kind, name, seq, fingerprint, unanswered, start_by, held = row[1:_HEAD]
    return Facts(role, kind, name, seq, fingerprint, unanswered, start_by, bool(held), head)


def _is_answer(message: Message, entry: Entry) -> bool:
    """Whether the message answers the topic that waits for a doctor."""
    facts = entry.facts
    if facts.unanswered is None or facts.start_by is None or message.topic_id != facts.unanswered:
        return False
    role = "doctor" if entry.draft.token_role == "doctor" else facts.role
    return answers(message.type, message.sender_id, facts.kind, role, facts.start_by)


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
