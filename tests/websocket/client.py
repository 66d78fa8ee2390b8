"""A small WebSocket client on Twisted: frames in and out, nothing hidden."""

from __future__ import annotations

import base64
import itertools
import json
import struct
import zlib
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure


class Client(Protocol):
    """``frames`` holds what came: JSON values; ``closed`` the close code and reason."""

    def __init__(self, headers: str = "") -> None:
        self._headers, self._data, self._ids = headers, b"", itertools.count(1)
        self.head = ""
        self.frames: list[dict[str, Any]] = []
        self.pings = self.deflated = 0
        self.answers_pings = self.answers_close = True
        self.ponged: Callable[[bytes], object] = len
        self.closed: tuple[int, str] | None = None
        self.lost = False
        self._changed: list[Deferred[None]] = []

    # ---- bytes

    def connectionMade(self) -> None:
        key = base64.b64encode(b"0123456789abcdef").decode()
        self.transport.write(  # type: ignore[union-attr]
            (
                "GET /ws HTTP/1.1\r\nHost: im.test\r\nUpgrade: websocket\r\n"
                f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
                f"Sec-WebSocket-Version: 13\r\n{self._headers}\r\n"
            ).encode()
        )

    def dataReceived(self, data: bytes) -> None:
        self._data += data
        if not self.head:
            head, end, rest = self._data.partition(b"\r\n\r\n")
            if not end:
                return
            self.head, self._data = head.decode(), rest
        if self.head.startswith("HTTP/1.1 101"):
            while self._take_frame():
                pass
        self._change()

    def _take_frame(self) -> bool:
        data = self._data
        if len(data) < 2:
            return False
        size, at = data[1], 2
        if size == 126:
            size, at = int.from_bytes(data[2:4], "big"), 4
        elif size == 127:
            size, at = int.from_bytes(data[2:10], "big"), 10
        if len(data) < at + size:
            return False
        payload, self._data = data[at : at + size], data[at + size :]
        if data[0] & 0x40:
            self.deflated += 1
            payload = zlib.decompressobj(-15).decompress(payload + b"\0\0\xff\xff")
        self._frame(data[0] & 15, payload)
        return True

    def _frame(self, opcode: int, payload: bytes) -> None:
        if opcode == 1:
            self.frames.append(json.loads(payload))
        elif opcode == 9:
            self.pings += 1
            if self.answers_pings:
                self.frame(payload, 10)
        elif opcode == 10:
            self.ponged(payload)
        elif opcode == 8 and self.closed is None:
            self.closed = (struct.unpack("!H", payload[:2])[0], payload[2:].decode())
            if self.answers_close:
                self.frame(payload[:2], 8)

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        self.lost = True
        self._change()

    def frame(self, payload: bytes, opcode: int = 1) -> None:
        """Send one masked frame."""
        size = len(payload)
        head = bytes([0x80 | opcode])
        if size < 126:
            head += bytes([0x80 | size])
        elif size < 65536:
            head += b"\xfe" + size.to_bytes(2, "big")
        else:
            head += b"\xff" + size.to_bytes(8, "big")
        self.transport.write(head + b"\0\0\0\0" + payload)  # type: ignore[union-attr]

    # ---- JSON-RPC

    def ask(self, method: str, **params: Any) -> int:
        """Send a request; its id."""
        id_ = next(self._ids)
        frame = {"jsonrpc": "2.0", "id": id_, "method": method, "params": params}
        self.frame(json.dumps(frame).encode())
        return id_

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """The whole answer frame."""
        id_ = self.ask(method, **params)
        await self.until(lambda: self.answers(id_))
        return self.answers(id_)[0]

    async def result(self, method: str, **params: Any) -> Any:
        frame = await self.call(method, **params)
        assert "result" in frame, frame
        return frame["result"]

    def answers(self, id_: int | None) -> list[dict[str, Any]]:
        return [frame for frame in self.frames if "id" in frame and frame["id"] == id_]

    def told(self, method: str) -> list[Any]:
        return [frame["params"] for frame in self.frames if frame.get("method") == method]

    # ---- waiting

    def _change(self) -> None:
        changed, self._changed = self._changed, []
        for waiter in changed:
            waiter.callback(None)

    async def until(self, test: Any, seconds: float = 5) -> None:
        """Wait until it is true of what has come."""
        from twisted.internet import reactor

        while not test():
            waiter: Deferred[None] = Deferred()
            self._changed.append(waiter)
            waiter.addTimeout(seconds, reactor)
            await waiter

    async def ends(self, code: int | None = None) -> tuple[int, str] | None:
        """Wait for the end; the close frame."""
        await self.until(lambda: self.lost)
        if code is not None:
            assert self.closed is not None and self.closed[0] == code, self.closed
        return self.closed


async def connect(port: int, headers: str = "", reading: bool = True) -> Client:
    """An open socket, or one whose handshake was refused (see ``head``)."""
    from twisted.internet import reactor

    endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port)
    client: Client = await connectProtocol(endpoint, Client(headers))
    await client.until(lambda: client.head)
    return client
