"""Where a list goes on: the sort key of the last row shown, as an opaque word.

A keyset, not an offset, so rows that arrive meanwhile neither repeat nor hide others (page 2.1).
It is not signed: what a forged one can reach is bounded by the same query as the first page.
"""

from __future__ import annotations

import base64
import binascii

import msgspec

from imd.domain.errors import InvalidInput


def pack(*key: int | str | None) -> str:
    """The cursor that names the place after a row with this sort key."""
    return base64.urlsafe_b64encode(msgspec.json.encode(key)).rstrip(b"=").decode()


def unpack(cursor: str, *kinds: type) -> tuple[int | str, ...]:
    """The sort key in a cursor; InvalidInput when this list never gave it out."""
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        key = msgspec.json.decode(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (UnicodeEncodeError, binascii.Error, ValueError):
        key = None
    if (
        not isinstance(key, list)
        or len(key) != len(kinds)
        or not all(type(part) is kind for part, kind in zip(key, kinds, strict=True))
        or any(isinstance(part, int) and not -(2**63) <= part < 2**63 for part in key)
        or any(isinstance(part, str) and "\0" in part for part in key)
    ):
        raise InvalidInput.of("cursor", "is not one that this list gave out")
    return tuple(key)
