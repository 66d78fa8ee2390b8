"""The load generator's connections: bytes in, bytes out, as little Python as possible.

A lane is one non-blocking connection that knows where an answer ends. What an answer means is the
business of :mod:`bench.load`.
"""

from __future__ import annotations

import os
import re
import socket
from base64 import b64encode
from collections.abc import Callable

_LENGTH = re.compile(rb"\r\n[Cc]ontent-[Ll]ength: *(\d+)")


def connected(port: int) -> socket.socket:
    made = socket.create_connection(("127.0.0.1", port), timeout=60)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


class HttpLane:
    """One keep-alive connection; ``answered`` gets each answer's status and body."""

    def __init__(self, port: int, answered: Callable[[HttpLane, int, bytes], None]) -> None:
        self.socket = connected(port)
        self.socket.setblocking(False)
        self._answered = answered
        self._data = b""
        self.key = b""

    def put(self, data: bytes) -> None:
        sent = self.socket.send(data)
        assert sent == len(data), "the server does not read"

    def readable(self) -> None:
        data = self._data + self.socket.recv(1 << 16)
        if not data:
            raise ConnectionResetError("the server closed a connection")
        while (end := data.find(b"\r\n\r\n")) >= 0:
            found = _LENGTH.search(data, 0, end)
            length = int(found[1]) if found else 0
            if len(data) < end + 4 + length:
                break
            status, body = int(data[9:12]), data[end + 4 : end + 4 + length]
            data = data[end + 4 + length :]
            self._answered(self, status, body)
        self._data = data


class SocketLane:
    """One WebSocket; ``arrived`` gets the payload of each text frame."""

    def __init__(
        self, port: int, arrived: Callable[[SocketLane, bytes], None], login: bytes | None
    ) -> None:
        self.socket = connected(port)
        self._arrived = arrived
        self._data = b""
        self.key = b""
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
