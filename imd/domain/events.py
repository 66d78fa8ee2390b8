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


class HookClaim(NamedTuple):
    """An event that this process delivers until its lease ends."""

    position: int
    key: str
    id: str
    type: str
    time: int
    data: str
    attempts: int
    name: str
