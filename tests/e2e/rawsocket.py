"""A WebSocket as bare bytes: for thousands at once, for peers that never read, for broken frames.

Blocking, with a deadline for every read. It masks with zeros, which RFC 6455 cannot forbid and
which leaves a payload readable in a trace.
"""

from __future__ import annotations

import json
import os
import resource
import socket
from base64 import b64encode
from typing import Any, NamedTuple

TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA


class Frame(NamedTuple):
    kind: int
    payload: bytes

    @property
    def code(self) -> int:
        """Of a close frame."""
        return int.from_bytes(self.payload[:2], "big")

    @property
    def json(self) -> Any:
        return json.loads(self.payload)


def masked(payload: bytes, kind: int = TEXT, *, final: bool = True) -> bytes:
    """A client's frame."""
    first = (0x80 if final else 0) | kind
    size = len(payload)
    if size < 126:
        head = bytes((first, 0x80 | size))
    elif size < 0x10000:
        head = bytes((first, 0x80 | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((first, 0x80 | 127)) + size.to_bytes(8, "big")
    return head + b"\0\0\0\0" + payload


def request(method: str, params: object, id_: object = 1) -> bytes:
    """A JSON-RPC request as a frame."""
    call = {"jsonrpc": "2.0", "id": id_, "method": method, "params": params}
    return masked(json.dumps(call, ensure_ascii=False).encode())


def raise_open_files(wanted: int) -> int:
    """Raise the soft limit of open files towards ``wanted``; what it is then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        soft = most
    return soft


class RawSocket:
    """One upgraded connection; EOFError when the peer goes away."""

    def __init__(self, port: int, *, timeout: float = 20.0, receive_buffer: int = 0) -> None:
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(timeout)
        self._data = bytearray()
        self.socket.connect(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        key = b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
            "Sec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        while (end := self._data.find(b"\r\n\r\n")) < 0:
            self._more()
        answer = bytes(self._data[:end])
        del self._data[: end + 4]
        if not answer.startswith(b"HTTP/1.1 101"):
            raise ConnectionRefusedError(answer.decode("latin-1"))

    def _more(self) -> None:
        try:
            data = self.socket.recv(1 << 16)
        except ConnectionError:
            data = b""
        if not data:
            raise EOFError("the connection is gone")
        self._data += data

    def _exactly(self, count: int) -> bytes:
        while len(self._data) < count:
            self._more()
        taken = bytes(self._data[:count])
        del self._data[:count]
        return taken

    def put(self, data: bytes) -> None:
        self.socket.sendall(data)

    def frame(self) -> Frame:
        """The next frame."""
        first, second = self._exactly(2)
        size = second & 0x7F
        if size == 126:
            size = int.from_bytes(self._exactly(2), "big")
        elif size == 127:
            size = int.from_bytes(self._exactly(8), "big")
        return Frame(first & 0x0F, self._exactly(size))

    def answer(self, id_: object = 1) -> Any:
        """The answer to the request with this id; what else comes is dropped."""
        while True:
            frame = self.frame()
            if frame.kind == CLOSE:
                raise EOFError(f"closed with {frame.code}")
            if frame.kind == TEXT and (found := frame.json).get("id") == id_:
                return found

    def log_in(
        self, token: str, client_type: str, session_id: str | None = None, **more: object
    ) -> Any:
        """The login's result."""
        params: dict[str, object] = {"token": token, "client_type": client_type, **more}
        if session_id is not None:
            params["session_id"] = session_id
        self.put(request("login", params, "login"))
        return self.answer("login")["result"]

    def until_closed(self) -> int:
        """Read to the end; the close code, 1006 without one."""
        try:
            while (frame := self.frame()).kind != CLOSE:
                pass
        except EOFError:
            return 1006
        return frame.code

    def close(self) -> None:
        self.socket.close()
