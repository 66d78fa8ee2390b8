"""What may be asked about topics (page 2.6)."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import UNSET, UnsetType

from imd.domain.ids import SessionId, TopicId, UserId
from imd.wire.fields import (
    DEFAULT_SIZE,
    Cursor,
    IntList,
    Listed,
    Millis,
    Name,
    Number,
    Request,
    Seats,
    Size,
    Text,
    Word,
    Words,
)
from imd.wire.sessions import IdParts

State = Literal["unreplied", "ongoing", "replied", "expired"]


class FirstMessages(Listed):
    """The messages that open a topic: a list of ``{type, content, sender_id?}``."""

    __slots__ = ()
    most = 50

    @classmethod
    def parse(cls, value: Any) -> FirstMessages:
        if value == []:
            return cls()
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise ValueError("Expected a list of {type, content, sender_id?}")
        return super().parse(value)


class FirstMessage(Request, frozen=True):
    """One of the messages that open a topic."""

    aliases = {"content_type": "type"}
    type: Number
    content: Any = UNSET
    sender_id: UserId | None = None


class StartTopic(Request, frozen=True):
    session_id: SessionId
    topic_id: TopicId
    start_by: UserId
    name: Name | None = None
    description: Text | None = None
    type: Number | None = None
    team_code: Word | None = None
    messages: FirstMessages = FirstMessages()
    user_id: UserId | None = None


class StartTopicInSession(IdParts, frozen=True, kw_only=True):
    """Starts a topic where the session may have to be made first; team_code serves both."""

    empty_is_absent = ("session_id",)
    topic_id: TopicId
    start_by: UserId
    name: Name | None = None
    description: Text | None = None
    type: Number | None = None
    messages: FirstMessages = FirstMessages()
    user_id: UserId | None = None
    session_id: SessionId | None = None
    session_type: Number | None = None
    session_name: Name | None = None
    participants: Seats | None = None
    business_type: Literal[1, 2] | None = None


class GetTopic(Request, frozen=True):
    topic_id: TopicId
    user_id: UserId | None = None


class UpdateTopic(Request, frozen=True):
    topic_id: TopicId
    name: Name | None | UnsetType = UNSET
    description: Text | None | UnsetType = UNSET
    team_code: Word | None | UnsetType = UNSET
    type: Number | None | UnsetType = UNSET
    reply: Literal[0, 1] | UnsetType = UNSET
    user_id: UserId | None = None


class CurrentTopicId(str):
    """A topic's id, or the word ``current`` for the session's last topic."""

    __slots__ = ()
    CURRENT = "current"

    @classmethod
    def parse(cls, value: Any) -> CurrentTopicId:
        return cls(value if value == cls.CURRENT else TopicId.parse(value))


class TopicEnded(Request, frozen=True):
    session_id: SessionId
    topic_id: CurrentTopicId
    user_id: UserId | None = None


class EndTopic(Request, frozen=True):
    session_id: SessionId
    topic_id: CurrentTopicId
    end_by: UserId | None = None
    user_id: UserId | None = None
    note: Any = UNSET


class EnterTopic(Request, frozen=True):
    session_id: SessionId
    topic_id: CurrentTopicId
    user_id: UserId | None = None


class TopicFilter(Request, frozen=True):
    user_id: UserId | None = None
    session_id: SessionId | None = None
    team_code: Words | None = None
    type: IntList | None = None
    state: State | None = None
    status: Literal[0, 10] | None = None
    reply: Literal[0, 1] | None = None
    start: Millis | None = None
    end: Millis | None = None


class ListTopics(TopicFilter, frozen=True):
    """With ``overdue`` only topics that wait too long, and a service need not name whose."""

    overdue: bool = False
    cursor: Cursor | None = None
    size: Size = DEFAULT_SIZE


class ListHealthTopics(ListTopics, frozen=True):
    pass


class ListHealthTeamTopics(TopicFilter, frozen=True, kw_only=True):
    team_code: Words
    cursor: Cursor | None = None
    size: Size = DEFAULT_SIZE


class ListTopicsByType(Request, frozen=True):
    state: State
    user_id: UserId | None = None
    type: IntList | None = None
    cursor: Cursor | None = None
    size: Size = DEFAULT_SIZE


class CountTopicsByType(Request, frozen=True):
    user_id: UserId | None = None
    type: IntList | None = None
    state: State | None = None


class CountTopicReplies(Request, frozen=True):
    user_id: UserId | None = None
    team_code: Words | None = None
    type: IntList | None = None
    start: Millis | None = None
    end: Millis | None = None
