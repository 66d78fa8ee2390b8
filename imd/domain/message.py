"""A message: what is asked to be stored (:class:`Draft`) and what was stored (:class:`Message`).

The rules on content (page 1.4) and on who may change what (page 2.5) stand here; the order in a
session, ``seq``, is given out by the store under the session's lock.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal, NamedTuple

from imd.domain.errors import (
    InvalidInput,
    NotEditable,
    NotTheSender,
    RecallWindowPassed,
    VersionConflict,
)
from imd.domain.message_types import MessageType, editable


class Card(str):
    """A structured content, as the JSON text that stands for it."""

    __slots__ = ()

    @property
    def text(self) -> str:
        """The JSON text as a plain string."""
        return str(self)


#: a string, a card, or nothing (recalled)
Content = str | None


@dataclass(frozen=True, slots=True)
class Message:
    """One entry of a session's log; the fields are the wire's (page 1.2)."""

    id: str
    session_id: str
    seq: int
    topic_id: str | None
    sender_id: str
    sender_name: str | None
    type: int
    content: Content
    timestamp: int
    client_msg_id: str | None
    business_type: int
    version: int
    recalled: bool


@dataclass(frozen=True, slots=True)
class LastMessage:
    """A message as lists and notices show it (page 1.2, Session)."""

    id: str
    seq: int
    sender_id: str
    sender_name: str | None
    type: int
    content: Content
    timestamp: int

    @classmethod
    def of(cls, message: Message) -> LastMessage:
        return cls(
            message.id,
            message.seq,
            message.sender_id,
            message.sender_name,
            message.type,
            message.content,
            message.timestamp,
        )


class Draft(NamedTuple):
    """A message before it has a seq.

    ``topic_id`` None means the session's live topic, if any. ``id`` is made before the first
    attempt, so that an unknown outcome can be settled by looking for it.
    """

    id: str
    session_id: str
    sender_id: str
    type: int
    content: Content
    sender_name: str | None = None
    client_msg_id: str | None = None
    topic_id: str | None = None
    business_type: int | None = None
    #: the role in the sender's token, which makes a doctor of one the directory does not know
    token_role: str | None = None
    #: who must be a member: nobody for what the server says, the caller itself (404 when it is
    #: none) or a user whom a service named (403)
    member: Literal["none", "self", "named"] = "self"

    @property
    def fingerprint(self) -> str:
        """What must be equal for two sends with one key to be the same send."""
        return fingerprint(self.type, self.content)


def fingerprint(type_: int, content: Content) -> str:
    """A digest (32 hex digits) of a message's type and content."""
    kind, text = ("c", content.text) if isinstance(content, Card) else ("s", content or "")
    return hashlib.sha256(f"{type_}{kind}{text}".encode()).hexdigest()[:32]


def check_content(type_: int, value: object) -> None:
    """Check the contents whose shape the contract fixes: 19, 29 and 2105 (page 1.4).

    ``value`` is the decoded content; for 29 a JSON text is decoded by the caller first.
    """
    if type_ == MessageType.FORWARD_BUNDLE:
        _need(value, {"source": str, "messageids": str, "title": str})
        assert isinstance(value, dict)
        kind = value.get("sessionType")
        if isinstance(kind, bool) or not (
            isinstance(kind, int) or (isinstance(kind, str) and kind.isdecimal())
        ):
            raise InvalidInput.of("content", "sessionType must be the number of a session type")
        if not all(part.strip() for part in value["messageids"].split(",")):
            raise InvalidInput.of("content", "messageids must be message ids joined by ','")
    elif type_ == MessageType.VIDEO_REQUEST:
        if not isinstance(value, dict) or value.get("answer_status") not in (0, 1):
            raise InvalidInput.of("content", "answer_status must be 0 (asked) or 1 (taken)")
        if isinstance(value["answer_status"], bool):
            raise InvalidInput.of("content", "answer_status must be 0 (asked) or 1 (taken)")
    elif type_ == MessageType.CARD_REFRESH:
        _need(value, {"message_id": str, "version": int})


def _need(value: object, shape: dict[str, type]) -> None:
    if not isinstance(value, dict):
        raise InvalidInput.of("content", f"must be an object with {', '.join(shape)}")
    for name, kind in shape.items():
        got = value.get(name)
        if not isinstance(got, kind) or isinstance(got, bool):
            raise InvalidInput.of("content", f"{name} must be a {_WORDS[kind]}")


_WORDS: dict[type, str] = {str: "string", int: "number"}


def check_edit(message: Message, editor: str | None, version: int | None) -> None:
    """Whether ``editor`` (None: a service) may replace this card, given the version it saw."""
    if editor is not None and editor != message.sender_id:
        raise NotTheSender()
    if message.recalled or not editable(message.type):
        raise NotEditable()
    if version is not None and version != message.version:
        raise VersionConflict(version=message.version)


def check_recall(message: Message, by: str | None, now: int, window: int) -> None:
    """Whether ``by`` (None: a service) may take the message back; times in ms."""
    if by is None:
        return
    if by != message.sender_id:
        raise NotTheSender()
    if now - message.timestamp > window:
        raise RecallWindowPassed()
