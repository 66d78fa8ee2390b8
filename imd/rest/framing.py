"""Where one HTTP/1.1 request ends and the next begins, decided strictly and in one place.

Two servers in a row that disagree about that let one caller speak in the name of another (request
smuggling), so whatever RFC 9112 allows a reader to guess is refused here.  ``channel`` is the only
caller; it hands over bytes and gets back values or a :class:`Refusal`.  This module knows nothing
of sockets, time, Twisted, routes or any field's meaning beside the five that frame a request.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import NamedTuple

REFUSALS: dict[str, tuple[int, str]] = {
    "bad_request": (400, "Bad Request"),
    "request_timeout": (408, "Request Timeout"),
    "too_large": (413, "Content Too Large"),
    "uri_too_long": (414, "URI Too Long"),
    "headers_too_large": (431, "Request Header Fields Too Large"),
    "internal": (500, "Internal Server Error"),
    "too_many_connections": (503, "Service Unavailable"),
    "version_not_supported": (400, "Bad Request"),
}
"""Every ``code`` which the channel itself answers with: its status and its title."""

_CONTROLS = bytes([*range(0x09), *range(0x0A, 0x20), 0x7F])
_TOKEN = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_TARGET = bytes(c for c in range(0x21, 0x7F) if c != ord("#"))
_DIGITS = b"0123456789"
_HEX = b"0123456789abcdefABCDEF"
#: names that are not written with a capital at the head of each word alone
_SPELLED = {
    b"Content-Md5": b"Content-MD5",
    b"Dnt": b"DNT",
    b"Etag": b"ETag",
    b"P3p": b"P3P",
    b"Te": b"TE",
    b"Www-Authenticate": b"WWW-Authenticate",
    b"X-Xss-Protection": b"X-XSS-Protection",
}

_VERSION = re.compile(rb"HTTP/[0-9]\.[0-9]")
_ABSOLUTE = re.compile(rb"https?://([^/?]*)(.*)", re.IGNORECASE)
_HOST = re.compile(
    rb"(?:(?:[A-Za-z0-9_-]{1,63}\.)*[A-Za-z0-9_-]{1,63}\.?|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?"
)
_HOST_BYTES = 255 + len(":65535")

_LONGEST_NUMBER = 18
"""Decimal digits of a length; more than these are a large number however they begin."""

_SIZE_LINE = 256
"""Bytes of a chunk's size line, its extensions included."""

_CHUNK_COSTS = 65536
"""Bytes which size lines, extensions and trailers of one body may take beside the body itself."""


class Refusal(Exception):
    """A request or a connection is refused; nothing more of the connection is read.

    ``code`` is a key of :data:`REFUSALS`; ``detail`` is for the person who debugs a client and
    never repeats what the caller sent; ``retry_after`` is in seconds.
    """

    def __init__(self, code: str, detail: str, retry_after: int | None = None) -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail
        self.retry_after = retry_after
        self.status, self.title = REFUSALS[code]

    def problem(self) -> bytes:
        """The RFC 9457 body of the answer (spec page 2, 2.1)."""
        shape = {
            "type": "about:blank",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
        }
        return json.dumps(shape).encode("ascii")


class Limits(NamedTuple):
    """How much of everything one caller may take.  Sizes in bytes, times in seconds."""

    body: int = 262_144
    """The longest body, declared or chunked."""
    header_bytes: int = 16_384
    """The longest head: request line, fields and line ends."""
    header_count: int = 100
    request_line: int = 8_192
    header_time: float = 10.0
    """For a whole head, from its first byte; and for the first byte of a new connection."""
    body_time: float = 30.0
    """For a whole body, from the end of its head."""
    stall_time: float = 30.0
    """For the peer to take what it was sent, once so much is waiting that the sender must pause."""
    idle_time: float = 60.0
    """For the first byte of the next request after an answer."""
    last_call: float = 0.5
    """The same once the server stops: who is just about to ask is still answered."""
    linger_time: float = 2.0
    """For a refused peer to read its answer and hang up."""
    connections_per_address: int = 4_096
    """HTTP connections at once from one address, loopback as well; 0 is no cap.

    A hospital or a reverse proxy is one address.  The number lies above a storm of 3,000
    reconnecting sockets from one such address and well below a process's file descriptors.  A
    connection that became a WebSocket is not counted: the websocket room has caps of its own.
    """


DEFAULTS = Limits()


class Head(NamedTuple):
    """The head of a request that has passed."""

    method: bytes
    target: bytes
    """Origin form (``/path?query``), or ``*``."""
    version: bytes
    fields: dict[bytes, list[bytes]]
    """The values of each field by its name, which is spelled as twisted.web does: ``X-Api-Key``."""
    length: int | None
    """Bytes of the body; ``None`` when it comes in chunks."""
    persistent: bool
    expects_continue: bool


def _bad(detail: str) -> Refusal:
    return Refusal("bad_request", detail)


def check_unfinished_head(seen: bytes, limits: Limits) -> None:
    """Refuse the beginning of a head of which no continuation could pass.

    Called while the empty line has not come yet, so that an endless head ends at its limit and a
    client which ends its lines with a bare LF is told so instead of waiting for the deadline.

    Raises :class:`Refusal`: ``uri_too_long``, ``headers_too_large`` or ``bad_request``.
    """
    if b"\n" in seen and seen.count(b"\n") != seen.count(b"\r\n"):
        raise _bad("A line does not end with CR LF.")
    if len(seen) > limits.request_line and seen.find(b"\r\n", 0, limits.request_line + 2) < 0:
        raise Refusal("uri_too_long", f"The request line exceeds {limits.request_line} bytes.")
    if len(seen) > limits.header_bytes:
        raise Refusal("headers_too_large", f"The head exceeds {limits.header_bytes} bytes.")


def read_head(head: bytes, limits: Limits) -> Head:
    """The head of one request, without the empty line which ends it (spec page 2, 2.1).

    Raises :class:`Refusal`: ``bad_request`` for whatever could be understood in two ways,
    ``version_not_supported``, ``uri_too_long``, ``headers_too_large``, and ``too_large`` for a
    declared body above the limit.
    """
    lines = head.split(b"\r\n")
    if len(lines[0]) > limits.request_line:
        raise Refusal("uri_too_long", f"The request line exceeds {limits.request_line} bytes.")
    if len(head) > limits.header_bytes:
        raise Refusal("headers_too_large", f"The head exceeds {limits.header_bytes} bytes.")
    if len(lines) - 1 > limits.header_count:
        raise Refusal("headers_too_large", f"There are more than {limits.header_count} fields.")
    if len(head) - len(head.translate(None, _CONTROLS)) != 2 * (len(lines) - 1):
        raise _bad("The head has a control character, or a line which does not end with CR LF.")
    method, target, version = _request_line(lines[0])
    fields: dict[bytes, list[bytes]] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(b":")
        if not colon:
            raise _bad(_NO_FIELD)
        name = _name(name)
        if name in fields:
            fields[name].append(value.strip(b" \t"))
        else:
            fields[name] = [value.strip(b" \t")]
    host = _host(fields.get(b"Host"), version)
    if target[:1] != b"/":
        target = _origin_form(method, target, host)
    connection = fields.get(b"Connection")
    expect = fields.get(b"Expect")
    return Head(
        method,
        target,
        version,
        fields,
        _length(fields, version, limits),
        version == b"HTTP/1.1" and not (connection and _says_close(connection)),
        version == b"HTTP/1.1" and expect is not None and expect[0].lower() == b"100-continue",
    )


_NO_FIELD = "A header line is folded, has no colon, or has a name that is no token."


@lru_cache(maxsize=512)
def _name(name: bytes) -> bytes:
    """The name of a field in the one spelling that it has here; a :class:`Refusal` for no token."""
    if not name or name.translate(None, _TOKEN):
        raise _bad(_NO_FIELD)
    spelled = b"-".join([word.capitalize() for word in name.split(b"-")])
    return _SPELLED.get(spelled, spelled)


def _request_line(line: bytes) -> tuple[bytes, bytes, bytes]:
    parts = line.split(b" ")
    if len(parts) != 3:
        raise _bad("The request line is not METHOD TARGET VERSION with one space between.")
    method, target, version = parts
    if not method or method.translate(None, _TOKEN):
        raise _bad("The method is not a token.")
    if not target or target.translate(None, _TARGET):
        raise _bad("The request target has a character which must be percent-encoded.")
    if version != b"HTTP/1.1" and version != b"HTTP/1.0":
        if _VERSION.fullmatch(version):
            raise Refusal("version_not_supported", "Only HTTP/1.1 and HTTP/1.0 are spoken here.")
        raise _bad("The HTTP version is malformed.")
    return method, target, version


def _host(values: list[bytes] | None, version: bytes) -> bytes:
    if values is None:
        if version == b"HTTP/1.0":
            return b""
        raise _bad("The Host field is missing.")
    if len(values) != 1:
        raise _bad("There is more than one Host field.")
    host = values[0]
    if len(host) > _HOST_BYTES or not _HOST.fullmatch(host):
        raise _bad("The Host field is not a host and an optional port.")
    return host


def _origin_form(method: bytes, target: bytes, host: bytes) -> bytes:
    """``/path`` for a target given in full, which must name the same host as the Host field."""
    if target == b"*" and method == b"OPTIONS":
        return target
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None:
        raise _bad("The request target is neither a path nor an http address.")
    if absolute[1].lower() != host.lower():
        raise _bad("The request target and the Host field name different hosts.")
    path = absolute[2]
    return path if path[:1] == b"/" else b"/" + path


def _says_close(values: list[bytes]) -> bool:
    return any(
        option.strip(b" \t").lower() == b"close" for value in values for option in value.split(b",")
    )


def _length(fields: dict[bytes, list[bytes]], version: bytes, limits: Limits) -> int | None:
    lengths = fields.get(b"Content-Length")
    codings = fields.get(b"Transfer-Encoding")
    if codings is not None:
        if lengths is not None:
            raise _bad("Both Content-Length and Transfer-Encoding are given.")
        if len(codings) != 1 or codings[0].lower() != b"chunked":
            raise _bad("Transfer-Encoding is not exactly one 'chunked'.")
        if version != b"HTTP/1.1":
            raise _bad("HTTP/1.0 has no Transfer-Encoding.")
        return None
    if lengths is None:
        return 0
    if len(lengths) != 1:
        raise _bad("There is more than one Content-Length field.")
    digits = lengths[0]
    if not digits or digits.translate(None, _DIGITS):
        raise _bad("Content-Length is not a decimal number.")
    if len(digits) > _LONGEST_NUMBER or int(digits) > limits.body:
        raise _too_large(limits)
    return int(digits)


def _too_large(limits: Limits) -> Refusal:
    return Refusal("too_large", f"The body exceeds {limits.body} bytes.")


class SizedBody:
    """A body whose length was declared."""

    def __init__(self, length: int) -> None:
        self.content = bytearray()
        self._length = length

    def feed(self, data: bytes) -> bytes | None:
        """Take what belongs to the body; what follows it, or ``None`` while more must come."""
        wanted = self._length - len(self.content)
        self.content += data[:wanted]
        return data[wanted:] if len(data) >= wanted else None


class ChunkedBody:
    """A body that comes in chunks.

    Extensions and trailers are read over, within :data:`_CHUNK_COSTS`; nobody here asks for them.
    A size is one to sixteen hexadecimal digits, without sign, prefix or space around it.
    """

    def __init__(self, limits: Limits) -> None:
        self.content = bytearray()
        self._limits = limits
        self._held = b""
        self._costs = 0
        self._read = self._read_size
        self._left = 0

    def feed(self, data: bytes) -> bytes | None:
        """Take what belongs to the body; what follows it, or ``None`` while more must come.

        Raises :class:`Refusal`: ``bad_request`` when the chunks are malformed, ``too_large`` as
        soon as a size goes beyond the limit, before the bytes of that chunk are read.
        """
        wire = self._held + data if self._held else data
        at = 0
        while True:
            after = self._read(wire, at)
            if after is None:
                self._held = wire[at:]
                return None
            if after < 0:
                return wire[-after:]
            at = after

    def _line(self, wire: bytes, at: int, longest: int) -> bytes | None:
        """The next line without its end; ``None`` while the end has not come."""
        end = wire.find(b"\r\n", at, at + longest + 2)
        if end < 0:
            if len(wire) - at >= longest + 2:
                raise _bad("A line among the chunks is too long.")
            if b"\n" in wire[at:]:
                raise _bad("A line among the chunks does not end with CR LF.")
            return None
        line = wire[at:end]
        self._costs += len(line) + 2
        if self._costs > _CHUNK_COSTS:
            raise _bad("Chunk sizes, extensions and trailers outweigh what is allowed.")
        if line.translate(None, _CONTROLS) != line:
            raise _bad("A line among the chunks has a control character.")
        return line

    def _read_size(self, wire: bytes, at: int) -> int | None:
        line = self._line(wire, at, _SIZE_LINE)
        if line is None:
            return None
        digits = line.partition(b";")[0]
        if not 0 < len(digits) <= 16 or digits.translate(None, _HEX):
            raise _bad("A chunk size is not a hexadecimal number.")
        self._left = int(digits, 16)
        if len(self.content) + self._left > self._limits.body:
            raise _too_large(self._limits)
        self._read = self._read_chunk if self._left else self._read_trailer
        return at + len(line) + 2

    def _read_chunk(self, wire: bytes, at: int) -> int | None:
        if at == len(wire):
            return None
        piece = wire[at : at + self._left]
        self.content += piece
        self._left -= len(piece)
        if not self._left:
            self._read = self._read_chunk_end
        return at + len(piece)

    def _read_chunk_end(self, wire: bytes, at: int) -> int | None:
        end = wire[at : at + 2]
        if end != b"\r\n"[: len(end)]:
            raise _bad("A chunk is not followed by CR LF.")
        if len(end) < 2:
            return None
        self._costs += 2
        self._read = self._read_size
        return at + 2

    def _read_trailer(self, wire: bytes, at: int) -> int | None:
        line = self._line(wire, at, self._limits.request_line)
        if line is None:
            return None
        if not line:
            return -(at + 2)
        name, colon, _ = line.partition(b":")
        if not colon or not name or name.translate(None, _TOKEN):
            raise _bad("A trailer line is not a field.")
        return at + len(line) + 2
