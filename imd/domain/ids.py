"""Ids: what one may look like, which words are taken, and how a session's id is made.

An id travels in paths, comma lists and SQL that operators paste, so its alphabet is narrow
(page 2.1), and the literal words of the routes can never be ids (page 2.8).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import ClassVar, Self

from imd.domain.errors import FieldError, InvalidInput, ReservedId
from imd.domain.session_types import SESSION_TYPES, IdRule

ID_LENGTH = 128
#: 1..128 characters; no white space, control character, slash or comma
ID_PATTERN = r"^[^\s/,\x00-\x1f\x7f-\x9f]{1,128}(?![\s\S])"
ID_RULE = "1 to 128 characters without white space, control characters, '/' or ','"

_shape = re.compile(ID_PATTERN)
_DOTS = frozenset({".", ".."})


class Id(str):
    """A checked id. Build one with :meth:`parse`."""

    __slots__ = ()
    field: ClassVar[str] = "id"
    reserved: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def parse(cls, text: object) -> Self:
        """The id in ``text``; ValueError when its shape is wrong, ReservedId for a taken word."""
        if not isinstance(text, str) or not _shape.match(text):
            raise ValueError(f"Expected {ID_RULE}")
        if text in cls.reserved or text in _DOTS:
            raise ReservedId(FieldError(cls.field, f"'{text}' is reserved"))
        return cls(text)


class SessionId(Id):
    __slots__ = ()
    field = "session_id"
    reserved = frozenset(
        "topics topic recent isExist sessionListByType sessionCountByType healthTopics"
        " healthTeamTopics topicListByType topicListCountByType unread_message_count".split()
    )


class TopicId(Id):
    __slots__ = ()
    field = "topic_id"
    reserved = frozenset({"current", "count"})


class UserId(Id):
    __slots__ = ()
    field = "user_id"
    reserved = frozenset({"login", "logout", "avatars"})


class MessageId(Id):
    __slots__ = ()
    field = "message_id"


def hash_of_members(members: Iterable[str], type_: int | None = None) -> str:
    """The id of a session named by its members (page 1.3): 32 hex digits.

    ``type_`` is given only when a session of another type already holds the plain hash.
    """
    joined = ",".join(sorted(members))
    text = joined if type_ is None else f"{type_},{joined}"
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def id_from_parts(type_: int, given: Mapping[str, str | None]) -> SessionId:
    """The id that the type's rule makes of the request's parts.

    Raises InvalidInput naming every missing part, or ``session_id`` when the result is no id.
    """
    parts = SESSION_TYPES[type_].parts
    missing = [part for part in parts if not part.startswith("=") and not given.get(part)]
    if missing:
        said = f"needed to make the id of a session of type {type_}"
        raise InvalidInput(*(FieldError(part, said) for part in missing))
    words = [part[1:] if part.startswith("=") else str(given[part]) for part in parts]
    try:
        return SessionId.parse("_".join(words))
    except ValueError as error:
        raise InvalidInput.of("session_id", f"the id made of {', '.join(parts)}: {error}") from None


def rule_of(type_: int) -> IdRule:
    """How ids of this session type are made."""
    return SESSION_TYPES[type_].rule
