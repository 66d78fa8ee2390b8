"""What actions may ask of lists: which sessions, messages and topics.

The stores of :mod:`imd.actions.ports` answer them, and page by page. They are values only.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple


class SessionQuery(NamedTuple):
    """Which of a user's sessions; None means any. ``since`` is ms of the last message."""

    user_id: str
    types: Sequence[int] | None = None
    business_type: int | None = None
    status: int | None = None
    only: Collection[str] | None = None
    with_message: bool = False
    since: int | None = None


class MessageQuery(NamedTuple):
    """Which messages, in which order; seqs are exclusive bounds, None means open."""

    session_id: str
    topic_id: str | None = None
    above: int | None = None
    below: int | None = None
    types: Sequence[int] | None = None
    not_by: str | None = None
    counted_only: bool = False
    ascending: bool = False
    limit: int = 20


class TopicQuery(NamedTuple):
    """Which topics; None means any. ``user_id`` limits to sessions of which it is a member;
    ``start`` is inclusive, ``end`` exclusive, both ms of creation. With ``latest`` only topics that
    wait for an answer, and were made at or before the ms that it gives for their session type."""

    user_id: str | None = None
    session_id: str | None = None
    team_codes: Sequence[str] | None = None
    types: Sequence[int] | None = None
    status: int | None = None
    reply: int | None = None
    start: int | None = None
    end: int | None = None
    only: Collection[str] | None = None
    latest: Mapping[int, int] | None = None
