"""The header fields of a request and of its answer: twisted.web's, asked and set with less.

``channel`` gives each request two of them. A name that is written here as this server writes it
needs no spelling out, and a value without a line end no cleaning; whatever else comes goes
twisted.web's own way, so nothing passes that would not have passed there. This module refuses to
know what a field means.
"""

from __future__ import annotations

from typing import Any

from twisted.web.http_headers import Headers

#: names that rooms behind the channel ask for or set, in twisted.web's spelling
KNOWN = frozenset(
    (
        b"Access-Control-Allow-Origin",
        b"Authorization",
        b"Cache-Control",
        b"Connection",
        b"Content-Length",
        b"Content-Type",
        b"Cookie",
        b"Date",
        b"Host",
        b"Idempotency-Key",
        b"Origin",
        b"X-Api-Key",
        b"X-Content-Type-Options",
        b"X-Request-Id",
    )
)


class KnownHeaders(Headers):
    """Fields by name, of which some are known beforehand."""

    __slots__ = ()

    @classmethod
    def of(cls, fields: dict[bytes, list[bytes]]) -> KnownHeaders:
        """Of fields whose names are spelled as twisted.web does and whose values are clean.

        They are the object's from now on.
        """
        made = cls()
        made._rawHeaders = fields
        return made

    def getRawHeaders(self, name: Any, default: Any = None) -> Any:
        """The values of a field, or ``default`` without any."""
        if name in KNOWN:
            return self._rawHeaders.get(name) or default
        return super().getRawHeaders(name, default)

    def setRawHeaders(self, name: Any, values: Any) -> None:
        """Give a field these values in place of those that it has."""
        if name in KNOWN and len(values) == 1:
            (value,) = values
            if type(value) is bytes and b"\n" not in value and b"\r" not in value:
                self._rawHeaders[name] = [value]
                return
        super().setRawHeaders(name, values)
