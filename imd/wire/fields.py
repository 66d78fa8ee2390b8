"""The building blocks of request models: lists, names, sizes.

A list may arrive as a JSON array, as repeated keys, as JSON text in one form value, or as a comma
list; each class here takes all the forms that page 2.1 allows for its field.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Self

import msgspec
from msgspec import Meta

from imd.domain.ids import MessageId, UserId
from imd.domain.participant import Seat, check_role, parse_seat, seats_of


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """The root of all request models."""

    #: other names under which a field is taken
    aliases: ClassVar[dict[str, str]] = {}
    #: fields where an empty string means that the field is not there
    empty_is_absent: ClassVar[tuple[str, ...]] = ()
    #: HTTP header -> field that it fills when the field is not there
    from_headers: ClassVar[dict[str, str]] = {}

    def given(self, *names: str) -> dict[str, Any]:
        """Those of the named fields that were given, null included."""
        found = ((name, getattr(self, name)) for name in names)
        return {name: value for name, value in found if value is not msgspec.UNSET}


Name = Annotated[str, Meta(min_length=1, max_length=255)]
Text = Annotated[str, Meta(max_length=4000)]
Word = Annotated[str, Meta(min_length=1, max_length=128)]
Key = Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[^\x00-\x1f\x7f]+(?![\s\S])")]
Address = Annotated[str, Meta(min_length=1, max_length=1024)]
Cursor = Annotated[str, Meta(min_length=1, max_length=1024)]
Size = Annotated[int, Meta(ge=1, le=200)]
#: the number of a message, session or topic type
Number = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Seq = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Millis = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Role = Annotated[str, Meta(min_length=1, max_length=32)]

DEFAULT_SIZE = 20


class Listed(tuple):  # type: ignore[type-arg]
    """A list field; :meth:`parse` takes an array or a string."""

    __slots__ = ()
    most: ClassVar[int] = 500

    @classmethod
    def parse(cls, value: Any) -> Self:
        items = value.split(",") if isinstance(value, str) else value
        if not isinstance(items, list):
            raise ValueError("Expected a list, or values joined by ','")
        if not 1 <= len(items) <= cls.most:
            raise ValueError(f"Expected 1 to {cls.most} values")
        return cls(cls.item(item) for item in items)

    @classmethod
    def item(cls, value: Any) -> Any:
        return value


class IntList(Listed):
    """Whole numbers, such as session types: ``"1,9"`` or ``[1, 9]``."""

    __slots__ = ()

    @classmethod
    def item(cls, value: Any) -> int:
        if isinstance(value, str) and value.strip().isdecimal() and len(value) <= 9:
            return int(value)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31:
            return value
        raise ValueError("Expected whole numbers joined by ','")


class UserIds(Listed):
    """User ids joined by commas, or a list of them."""

    __slots__ = ()

    @classmethod
    def item(cls, value: Any) -> UserId:
        return UserId.parse(value)


class Words(Listed):
    """Codes such as team codes, joined by commas or as a list."""

    __slots__ = ()

    @classmethod
    def item(cls, value: Any) -> str:
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if not isinstance(value, str) or not 1 <= len(value.strip()) <= 128:
            raise ValueError("Expected codes of 1 to 128 characters joined by ','")
        return value.strip()


class Seats(Listed):
    """Participants: ``"userId:role"``, ``"userId"`` or ``{"id", "role"}``, each user once."""

    __slots__ = ()

    @classmethod
    def parse(cls, value: Any) -> Self:
        items = [value] if isinstance(value, str) else value
        if not isinstance(items, list):
            raise ValueError('Expected a list of "userId:role" or of {"id", "role"}')
        if len(items) > cls.most:
            raise ValueError(f"Expected at most {cls.most} participants")
        return cls(seats_of(cls.item(item) for item in items))

    @classmethod
    def item(cls, value: Any) -> Seat:
        if isinstance(value, str):
            return parse_seat(value)
        if isinstance(value, dict):
            role = value.get("role")
            role = "0" if role is None else str(role) if isinstance(role, int) else role
            return Seat(UserId.parse(value.get("id")), check_role(role))
        raise ValueError('Expected "userId:role" or {"id", "role"}')


class Place:
    """A place in a session's log: a seq, or the id of a message in it."""

    __slots__ = ("message_id", "seq")

    def __init__(self, seq: int | None = None, message_id: MessageId | None = None) -> None:
        self.seq, self.message_id = seq, message_id

    @classmethod
    def parse(cls, value: Any) -> Self:
        """Up to 19 digits are a seq, anything else is a message id."""
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 19:
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool):
            if not 0 <= value < 2**63:
                raise ValueError("Expected a seq of 0 or more, or a message id")
            return cls(seq=value)
        if isinstance(value, str) and value.startswith("-") and value[1:].isdigit():
            raise ValueError("Expected a seq of 0 or more, or a message id")
        return cls(message_id=MessageId.parse(value))
