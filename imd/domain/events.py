"""What the platform is told of by webhooks (page 4.4).

Actions name an event beside the effects of an act; the store keeps it for each endpoint that
wants it. What an event carries is the object of page 1.2.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class EventType(StrEnum):
    MESSAGE_CREATED = "message.created"
    MESSAGE_UPDATED = "message.updated"
    MESSAGE_RECALLED = "message.recalled"
    SESSION_CREATED = "session.created"
    SESSION_UPDATED = "session.updated"
    TOPIC_STARTED = "topic.started"
    TOPIC_REPLIED = "topic.replied"
    TOPIC_ENDED = "topic.ended"
    TOPIC_OVERDUE = "topic.overdue"
    PARTICIPANT_ADDED = "participant.added"
    PARTICIPANT_REMOVED = "participant.removed"
    USER_ONLINE = "user.online"
    USER_OFFLINE = "user.offline"


#: for an endpoint that wants everything
ALL = "*"


class Event(NamedTuple):
    """Something that happened. ``key`` is the session's id (or the user's): events of one key are
    delivered in order. ``time`` is in ms."""

    type: EventType
    key: str
    time: int
    data: object
