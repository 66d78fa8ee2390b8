"""From rows to the domain's values, one loader a value.

The column lists stand beside the loaders that take them, so that a SELECT and its loader cannot
drift apart. Used by the stores only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from imd.domain.message import Card, Content, LastMessage, Message
from imd.domain.participant import Membership, Participant
from imd.domain.session import Head, OwnSession, Session, unread
from imd.domain.topic import ListedTopic, Topic

MESSAGE = (
    "m.id, m.session_id, m.seq, m.topic_id, m.sender_id, m.sender_name, m.type, m.content,"
    " m.structured, m.timestamp, m.client_msg_id, m.business_type, m.version, m.recalled"
)
MESSAGE_WIDTH = 14
LAST = "m.id, m.seq, m.sender_id, m.sender_name, m.type, m.content, m.structured, m.timestamp"
SESSION = (
    "s.id, s.name, s.type, s.business_type, s.status, s.create_time, s.last_seq,"
    " s.last_message_time, s.current_topic_id"
)
OWN = "p.role, p.sticky, p.last_fetch_time, p.read_seq, p.read_counted, s.counted"
HEAD = (
    "s.id, s.name, s.type, s.business_type, s.status, s.create_time, s.last_seq, s.counted,"
    " s.last_timestamp, s.last_message_seq, s.last_message_time, s.current_topic_id,"
    " s.first_message_id, s.roster"
)
MEMBERSHIP = (
    "p.session_id, p.participant_id, p.role, p.sticky, p.read_seq, p.delivered_seq,"
    " p.read_counted, p.last_fetch_time"
)
PARTICIPANT = (
    "p.session_id, p.participant_id, p.role, u.name, u.avatar, u.kind, p.last_fetch_time,"
    " p.read_seq, p.delivered_seq"
)
TOPIC = (
    "t.id, t.session_id, t.session_type, t.name, t.description, t.type, t.status, t.reply,"
    " t.team_code, t.create_time, t.start_by, t.start_message_id, t.start_seq, t.reply_by,"
    " t.reply_time, t.reply_message_id, t.end_by, t.end_time, t.end_message_id, t.end_seq"
)


def content_of(text: str | None, structured: int) -> Content:
    """The content that the columns ``content`` and ``structured`` hold."""
    return Card(text) if structured and text is not None else text


def content_columns(content: Content) -> tuple[str | None, int]:
    """``content`` and ``structured`` as they are stored."""
    return (content.text, 1) if isinstance(content, Card) else (content, 0)


def message(row: Sequence[Any]) -> Message:
    """A row of MESSAGE."""
    return Message(*(*row[:7], content_of(row[7], row[8]), *row[9:13], bool(row[13])))


def last_message(row: Sequence[Any]) -> LastMessage | None:
    """A row of LAST; None where the join found nothing."""
    if row[0] is None:
        return None
    return LastMessage(row[0], row[1], row[2], row[3], row[4], content_of(row[5], row[6]), row[7])


def _shared(row: Sequence[Any]) -> tuple[Any, ...]:
    """What SESSION + LAST say of a session, in the order of its fields."""
    return (*row[:8], last_message(row[9:17]), row[8])


def session(row: Sequence[Any]) -> Session:
    """A row of SESSION + LAST."""
    return Session(*_shared(row))


def own_session(row: Sequence[Any]) -> OwnSession:
    """A row of SESSION + LAST + OWN."""
    role, sticky, last_fetch_time, read_seq, read_counted, counted = row[17:23]
    own = (role, bool(sticky), unread(counted, read_counted), last_fetch_time, read_seq)
    return OwnSession(*(*_shared(row), *own))


def head(row: Sequence[Any]) -> Head:
    """A row of HEAD."""
    return Head(*row)


def membership(row: Sequence[Any]) -> Membership:
    """A row of MEMBERSHIP."""
    return Membership(row[0], row[1], row[2], bool(row[3]), *row[4:])


def participant(row: Sequence[Any]) -> Participant:
    """A row of PARTICIPANT; ``online`` is filled in by the action."""
    return Participant(*(*row, False))


def topic(row: Sequence[Any]) -> Topic:
    """A row of TOPIC."""
    return Topic(*row)


def listed_topic(row: Sequence[Any]) -> ListedTopic:
    """A row of TOPIC + LAST + session name, its running total and the viewer's."""
    name, counted, read_counted = row[28:31]
    number = None if read_counted is None else unread(counted, read_counted)
    return ListedTopic(*(*row[:20], name, last_message(row[20:28]), number))
