"""Content between its JSON form on the wire and the domain's value (page 1.4)."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET

from imd.domain.errors import BadJson, InvalidInput, TooLarge
from imd.domain.message import Card, Content, check_content
from imd.domain.message_types import MessageType
from imd.wire.codec import encode, parse_json

#: the widest that one character can become in JSON
_WIDEST = 6


def read_content(type_: int, value: Any, limit: int) -> Content:
    """The content of a message to be stored; ``limit`` is in bytes of encoded UTF-8 JSON.

    Raises InvalidInput for a missing or ill-shaped content, TooLarge beyond the limit.
    """
    if value is UNSET or value is None:
        raise InvalidInput.of("content", "is required and must not be null")
    if isinstance(value, str):
        if len(value) * _WIDEST + 2 > limit and len(encode(value)) > limit:
            raise TooLarge(f"content may hold at most {limit} bytes.")
        if type_ == MessageType.VIDEO_REQUEST:
            try:
                check_content(type_, parse_json(value.encode()))
            except BadJson:
                raise InvalidInput.of("content", "must be an object with answer_status") from None
        else:
            check_content(type_, value)
        return value
    encoded = encode(value)
    if len(encoded) > limit:
        raise TooLarge(f"content may hold at most {limit} bytes.")
    check_content(type_, value)
    return Card(encoded.decode())
