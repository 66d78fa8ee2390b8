"""One keep-alive connection to a real server, for tests of one caller or of several.

It sees exactly what is on the wire. A connection that breaks is an error of the call, never a
silent repeat.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

API: Final = "/api/v2"
#: in which anything is answered
SECONDS: Final = 60.0


class Answer(NamedTuple):
    """An HTTP answer; header names are in lower case."""

    status: int
    headers: dict[str, str]
    raw: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.raw)

    def must(self, *statuses: int) -> Any:
        """The JSON body, after a check of the status."""
        assert self.status in statuses, f"{self.status}, not {statuses}: {self.raw[:500]!r}"
        return self.json if self.raw else None


class Line:
    """A keep-alive connection; requests go one after another."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def exchange(
        self, verb: str, target: str, body: bytes | None, credential: str | None
    ) -> Answer:
        """Send a request and read the answer; OSError when the connection breaks first."""
        head = [f"{verb} {target} HTTP/1.1", "Host: 127.0.0.1"]
        if credential is not None:
            head.append(f"Authorization: Bearer {credential}")
        if body is not None:
            head += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        try:
            async with asyncio.timeout(SECONDS):
                return await self._exchange("\r\n".join([*head, "", ""]).encode() + (body or b""))
        except BaseException as error:
            self.close()
            if isinstance(error, asyncio.IncompleteReadError):
                raise ConnectionResetError("the answer broke off") from error
            raise

    async def _exchange(self, wire: bytes) -> Answer:
        if self._streams is not None and self._streams[0].at_eof():
            # Idle for too long: the server said goodbye before anything was asked.
            self.close()
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port, limit=1 << 22)
        reader, writer = self._streams
        writer.write(wire)
        await writer.drain()
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {}
        for line in lines[1:-2]:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        raw = await reader.readexactly(int(headers.get("content-length", "0")))
        if headers.get("connection", "").lower() == "close":
            self.close()
        return Answer(int(lines[0].split(" ")[1]), headers, raw)

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


class Asking:
    """A connection for several callers; each request brings its own credential."""

    def __init__(self, port: int) -> None:
        self._line = Line(port)

    async def ask(
        self,
        verb: str,
        path: str,
        fields: Mapping[str, Any] | None = None,
        credential: str | None = None,
    ) -> Answer:
        """Send a request, its fields in the query of a GET and else as JSON; read the answer."""
        body = None
        if verb == "GET":
            path += "?" + urlencode(fields or {})
        elif fields:
            body = json.dumps(fields, ensure_ascii=False).encode()
        return await self._line.exchange(verb, API + path, body, credential)

    def close(self) -> None:
        self._line.close()

    async def __aenter__(self) -> Asking:
        return self

    async def __aexit__(self, *error: object) -> None:
        self.close()
