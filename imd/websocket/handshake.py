"""The plain handshake of a socket, taken from the request as it has been read already.

:mod:`imd.websocket.factory` asks for it first. Autobahn would write the request down again and read
that a second time, which is a fifth of what a login costs. What is not plainly in order is left to
Autobahn, which knows what to answer; nothing is refused here.
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

_KEY: Final = re.compile(rb"[0-9A-Za-z+/]{22}==")
_HOST: Final = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[^\s:\[\]]+)(:[0-9]{1,5})?")


class Offer(NamedTuple):
    """What a client that may come in offers; ``extensions`` is the header as it was sent."""

    key: str
    protocols: list[str]
    extensions: str


def offer_of(request: Any) -> Offer | None:
    """The offer of a request in which everything is as RFC 6455 wants it; None otherwise."""
    headers = request.requestHeaders
    if (
        request.method != b"GET"
        or request.clientproto != b"HTTP/1.1"
        or b"#" in request.uri
        or request.channel.transport is None
        or headers.hasHeader(b"Content-Length")
        or headers.hasHeader(b"Transfer-Encoding")
    ):
        return None
    key, host = _only(headers, b"Sec-WebSocket-Key"), _only(headers, b"Host")
    if (
        _KEY.fullmatch(key) is None
        or _HOST.fullmatch(host) is None
        or _only(headers, b"Sec-WebSocket-Version") != b"13"
        or b"websocket" not in _words(headers, b"Upgrade")
        or b"upgrade" not in _words(headers, b"Connection")
    ):
        return None
    values = headers.getRawHeaders(b"Sec-WebSocket-Protocol", ())
    protocols = [word.strip() for word in b",".join(values).decode("latin-1").split(",")]
    if values and len(set(protocols)) < len(protocols):
        return None
    extensions = b",".join(headers.getRawHeaders(b"Sec-WebSocket-Extensions", ()))
    return Offer(key.decode(), protocols if values else [], extensions.decode("latin-1"))


def _only(headers: Any, name: bytes) -> bytes:
    """The value of a header that stands once, else nothing."""
    values = headers.getRawHeaders(name, ())
    return values[0].strip() if len(values) == 1 else b""


def _words(headers: Any, name: bytes) -> list[bytes]:
    values = headers.getRawHeaders(name, ())
    return [word.strip().lower() for word in b",".join(values).split(b",")]
