"""What the socket's methods answer and its notifications say (pages 3.2 and 3.3), as models.

``websocket.asyncapi`` documents them. The server itself writes the same members by hand where that
is faster, and a test compares. Objects of the domain, such as a message, stand for themselves.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from imd.domain.message import LastMessage, Message
from imd.domain.session import OwnSession
from imd.wire.answers import Answer


class LoginResult(Answer, frozen=True):
    """The answer to ``login`` and ``enter``."""

    user_id: str
    client_type: str
    epoch: str
    server_time: int
    heartbeat_ms: int
    session: OwnSession | None
    messages: Annotated[list[Message], Meta(description="What was missed, or the newest")]
    recovered: bool
    unread_total: int


class SendResult(Answer, frozen=True):
    message: Message


class AckResult(Answer, frozen=True):
    delivered_seq: int
    read_seq: int


class ReadResult(Answer, frozen=True):
    read_seq: int
    unread: int


class Nothing(Answer, frozen=True):
    """An empty object."""


class Notice(Answer, frozen=True):
    """News of a session to a socket outside it."""

    session_id: str
    session_type: int
    unread: int
    last_message: LastMessage


class ReadNotice(Answer, frozen=True):
    """How far a member has read."""

    session_id: str
    user_id: str
    read_seq: int


class TypingNotice(Answer, frozen=True):
    session_id: str
    user_id: str


class BadgeNotice(Answer, frozen=True):
    badge_no: int
