"""A topic: one medical consultation inside a session (pages 1.2 and 2.6)."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from imd.domain.message import LastMessage
from imd.domain.message_types import SERVER_TYPES, counts
from imd.domain.participant import is_doctor

LIVE, ENDED = 0, 10
STATES = ("unreplied", "ongoing", "replied", "expired")
#: state -> (status, reply)
STATE_MARKS: dict[str, tuple[int, int]] = {
    "unreplied": (LIVE, 0),
    "ongoing": (LIVE, 1),
    "replied": (ENDED, 1),
    "expired": (ENDED, 0),
}


@dataclass(frozen=True, slots=True)
class Topic:
    """The fields are the wire's; ``id`` is the platform's consult code."""

    id: str
    session_id: str
    session_type: int
    name: str | None
    description: str | None
    type: int | None
    status: int
    reply: int
    team_code: str | None
    create_time: int
    start_by: str
    start_message_id: str | None
    start_seq: int | None
    reply_by: str | None
    reply_time: int | None
    reply_message_id: str | None
    end_by: str | None
    end_time: int | None
    end_message_id: str | None
    end_seq: int | None

    def answered_by(self, doctor: str, time: int, message_id: str) -> Topic:
        """The topic after its first answer; ``time`` in ms."""
        return replace(self, reply=1, reply_by=doctor, reply_time=time, reply_message_id=message_id)


@dataclass(frozen=True, slots=True)
class ListedTopic(Topic):
    """A topic as lists show it; ``unread`` is the viewer's, None where nobody is named."""

    session_name: str | None
    last_message: LastMessage | None
    unread: int | None


@dataclass(frozen=True, slots=True)
class EndedTopic(Topic):
    """A topic as the answer to its end shows it."""

    topic_id: str
    ended: bool

    @classmethod
    def of(cls, topic: Topic) -> EndedTopic:
        values = [getattr(topic, field.name) for field in fields(Topic)]
        return cls(*(*values, topic.id, topic.status == ENDED))


def answers(type_: int, sender_id: str, kind: str | None, role: str | None, start_by: str) -> bool:
    """Whether a message in a live, unanswered topic is its answer (page 1.2)."""
    return (
        counts(type_)
        and type_ not in SERVER_TYPES
        and sender_id != start_by
        and is_doctor(kind, role)
    )


def state_of(status: int, reply: int) -> str:
    """The word for a topic's two marks."""
    return next(word for word, marks in STATE_MARKS.items() if marks == (status, reply))
