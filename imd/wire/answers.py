"""What is answered beside the domain's own objects (page 2)."""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec

from imd.domain.topic import ListedTopic

T = TypeVar("T")


class Answer(msgspec.Struct, frozen=True):
    """The root of all answer models."""


class Page(Answer, Generic[T], frozen=True):
    """One page of a list; ``next`` is the cursor of the following one, or null."""

    items: list[T]
    next: str | None


class Items(Answer, Generic[T], frozen=True):
    """A list that is always whole."""

    items: list[T]


class Badge(Answer, frozen=True):
    user_id: str
    badge_no: int


class Access(Answer, frozen=True):
    user_id: str
    kind: str | None
    access_token: str
    expires_at: int
    server_time: int


class UserStatus(Answer, frozen=True):
    user_id: str
    online: bool
    clients: list[str]
    app_state: str | None
    last_active_time: int | None


class TypeCounts(Answer, frozen=True):
    count: int
    by_type: dict[str, int]


class Sticky(Answer, frozen=True):
    session_id: str
    sticky: bool


class Muted(Answer, frozen=True):
    session_id: str
    muted: bool


class Exists(Answer, frozen=True):
    session_id: str
    exists: bool


class AllUnread(Answer, frozen=True):
    user_id: str
    count: int
    sessions: dict[str, int]


class Unread(Answer, frozen=True):
    session_id: str
    user_id: str
    count: int


class ReadMark(Answer, frozen=True):
    session_id: str
    user_id: str
    read_seq: int
    unread: int


class TopicEnding(Answer, frozen=True):
    topic_id: str
    session_id: str
    ended: bool
    status: int
    reply: int


class StateCounts(Answer, frozen=True):
    count: int
    unreplied: int
    ongoing: int
    replied: int
    expired: int


class ReplyCounts(Answer, frozen=True):
    total: int
    unreplied: int
    ongoing: int
    replied: int
    expired: int
    reply_rate: float | None
    median_reply_ms: float | None


class TeamTopics(Answer, frozen=True):
    team_code: str
    count: int
    items: list[ListedTopic]


class Teams(Answer, frozen=True):
    teams: list[TeamTopics]
    next: str | None
