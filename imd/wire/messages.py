"""What may be asked about messages, marks and unread counts (page 2.5)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta

from imd.domain.ids import MessageId, SessionId, TopicId, UserId
from imd.wire.fields import (
    DEFAULT_SIZE,
    Cursor,
    IntList,
    Key,
    Name,
    Number,
    Place,
    Request,
    Seq,
    Size,
)


class PostMessage(Request, frozen=True):
    aliases = {"content_type": "type"}
    from_headers = {"Idempotency-Key": "client_msg_id"}
    session_id: SessionId
    type: Number
    content: Any = UNSET
    sender_id: UserId | None = None
    user_id: UserId | None = None
    sender_name: Name | None = None
    client_msg_id: Key | None = None
    topic_id: TopicId | None = None
    business_type: Literal[1, 2] | None = None


class MessagePage(Request, frozen=True):
    """What the three lists of messages have in common."""

    user_id: UserId | None = None
    before: Place | None = None
    after: Place | None = None
    start_msg_id: MessageId | None = None
    end_msg_id: MessageId | None = None
    type: IntList | None = None
    size: Size = DEFAULT_SIZE
    order: Literal["asc", "desc"] | None = None
    peek: bool = False
    cursor: Cursor | None = None

    @property
    def plain(self) -> bool:
        """The first page of a newest-first read, which moves the reader's marks."""
        bounds = (self.before, self.after, self.start_msg_id, self.end_msg_id, self.type)
        return self.cursor is None and self.order != "asc" and all(b is None for b in bounds)


class ListMessages(MessagePage, frozen=True, kw_only=True):
    session_id: SessionId


class ListSessionTopicMessages(MessagePage, frozen=True, kw_only=True):
    session_id: SessionId
    topic_id: TopicId


class ListTopicMessages(MessagePage, frozen=True, kw_only=True):
    topic_id: TopicId


class ListUnread(Request, frozen=True):
    session_id: SessionId
    user_id: UserId | None = None
    size: Size = DEFAULT_SIZE
    peek: bool = False
    cursor: Cursor | None = None


class GetMessage(Request, frozen=True):
    session_id: SessionId
    message_id: MessageId
    user_id: UserId | None = None


class EditMessage(Request, frozen=True):
    session_id: SessionId
    message_id: MessageId
    content: Any = UNSET
    version: Annotated[int, Meta(ge=0)] | None = None
    user_id: UserId | None = None


class RecallMessage(Request, frozen=True):
    session_id: SessionId
    message_id: MessageId
    user_id: UserId | None = None


class MarkRead(Request, frozen=True):
    session_id: SessionId
    user_id: UserId | None = None
    seq: Seq | None = None


class CountUnread(Request, frozen=True):
    session_id: SessionId
    user_id: UserId | None = None


class CountAllUnread(Request, frozen=True):
    user_id: UserId | None = None
