"""The load generator's connections: bytes in, bytes out, as little Python as possible.

A lane is one non-blocking connection that knows where an answer ends. What an answer means is the
business of :mod:`bench.load`.
"""

from __future__ import annotations

import os
import re
import socket
from base64 import b64encode
from collections import deque
from collections.abc import Callable

_LENGTH = re.compile(rb"\r\n[Cc]ontent-[Ll]ength: *(\d+)")
_CHUNKED = re.compile(rb"\r\n[Tt]ransfer-[Ee]ncoding: *chunked")


def connected(port: int) -> socket.socket:
    made = socket.create_connection(("127.0.0.1", port), timeout=60)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


class HttpLane:
    """One keep-alive connection; ``answered`` gets each answer's status and body."""

    def __init__(self, port: int, answered: Callable[[HttpLane, int, bytes], None]) -> None:
        self._port, self._answered = port, answered
        self.keys: deque[bytes] = deque()
        self.open()

    def open(self) -> None:
        """A new connection; servers close those that were idle for long."""
        self.socket = connected(self._port)
        self.socket.setblocking(False)
        self._data = b""

    def put(self, data: bytes) -> None:
        sent = self.socket.send(data)
        assert sent == len(data), "the server does not read"

    def readable(self) -> None:
        received = self.socket.recv(1 << 16)
        if not received:
            raise ConnectionResetError("the server closed a connection")
        data = self._data + received
        while (answer := answer_in(data)) is not None:
            status, body, data = answer
            self._answered(self, status, body)
        self._data = data


def answer_in(data: bytes) -> tuple[int, bytes, bytes] | None:
    """Status and body of the first whole answer, and what follows it; None before it is whole."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    status, end = int(data[9:12]), end + 4
    found = _LENGTH.search(data, 0, end)
    if found:
        length = int(found[1])
        if len(data) < end + length:
            return None
        return status, data[end : end + length], data[end + length :]
    if _CHUNKED.search(data, 0, end):
        return _chunks(status, data, end)
    return status, b"", data[end:]


def _chunks(status: int, data: bytes, at: int) -> tuple[int, bytes, bytes] | None:
    parts: list[bytes] = []
    while (line := data.find(b"\r\n", at)) >= 0:
        size, start = int(data[at:line], 16), line + 2
        at = start + size + 2
        if len(data) < at:
            return None
        if not size:
            return status, b"".join(parts), data[at:]
        parts.append(data[start : start + size])
    return None


class SocketLane:
    """One WebSocket; ``arrived`` gets the payload of each text frame."""

    def __init__(
        self, port: int, arrived: Callable[[SocketLane, bytes], None], login: bytes | None
    ) -> None:
        self.socket = connected(port)
        self._arrived = arrived
        self._data = b""
        self.keys: deque[bytes] = deque()
        key = b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
            "Sec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        while b"\r\n\r\n" not in self._data:
            self._data += self.socket.recv(4096)
        head, _, self._data = self._data.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101"), head
        if login is not None:
            self.socket.sendall(frame(login))
            while (answer := self._payload()) is None:
                self._data += self.socket.recv(1 << 16)
            assert b'"result"' in answer, answer
        self.socket.setblocking(False)

    def put(self, data: bytes) -> None:
        sent = self.socket.send(data)
        assert sent == len(data), "the server does not read"

    def readable(self) -> None:
        data = self.socket.recv(1 << 18)
        if not data:
            raise ConnectionResetError("the server closed a socket")
        self._data += data
        while (payload := self._payload()) is not None:
            self._arrived(self, payload)

    def _payload(self) -> bytes | None:
        """The next text frame's payload; a ping on the way is answered."""
        data = self._data
        if len(data) < 2:
            return None
        size, head = data[1], 2
        if size == 126:
            size, head = int.from_bytes(data[2:4], "big"), 4
        elif size == 127:
            size, head = int.from_bytes(data[2:10], "big"), 10
        if len(data) < head + size:
            return None
        self._data = data[head + size :]
        if data[0] == 0x81:
            return data[head : head + size]
        if data[0] == 0x88:
            raise ConnectionResetError(f"the server closed a socket: {data[head : head + size]!r}")
        if data[0] == 0x89:
            self.put(bytes((0x8A, 0x80 | size)) + b"\0\0\0\0" + data[head : head + size])
        return self._payload()


def frame(payload: bytes) -> bytes:
    """A client's text frame, masked with zeros."""
    size = len(payload)
    if size < 126:
        return bytes((0x81, 0x80 | size)) + b"\0\0\0\0" + payload
    return b"\x81\xfe" + size.to_bytes(2, "big") + b"\0\0\0\0" + payload
