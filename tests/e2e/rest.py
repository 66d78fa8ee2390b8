"""A small REST client on one keep-alive connection, so that tests see exactly what is on the wire.

It follows page 2 and nothing else. A connection that breaks is an error of the call, never a
silent repeat: whether to send again is the test's decision.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

API = "/api/v2"
#: seconds in which anything is answered
SECONDS = 30.0


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


class Rest:
    """One caller's connection; requests go one after another."""

    def __init__(self, port: int, credential: str | None = None) -> None:
        self._port, self._credential = port, credential
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        query: Mapping[str, object] | None = None,
    ) -> Answer:
        """Send a request and read the answer; OSError when the connection breaks first."""
        target = path if path.startswith("/healthz") or path == "/readyz" else API + path
        if query:
            target += "?" + urlencode(query)
        data = b"" if body is None else json.dumps(body, ensure_ascii=False).encode()
        head = [f"{method} {target} HTTP/1.1", "Host: 127.0.0.1"]
        if self._credential is not None:
            head.append(f"Authorization: Bearer {self._credential}")
        if body is not None:
            head += ["Content-Type: application/json", f"Content-Length: {len(data)}"]
        wire = "\r\n".join([*head, "", ""]).encode() + data
        try:
            return await asyncio.wait_for(self._exchange(wire), SECONDS)
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
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        status = int(head[0].split(" ")[1])
        headers = {}
        for line in head[1:-2]:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        length = int(headers.get("content-length", "0"))
        raw = await reader.readexactly(length) if length else b""
        if headers.get("connection", "").lower() == "close":
            self.close()
        return Answer(status, headers, raw)

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None

    # ---- what nearly every test does

    async def open_session(
        self, session_id: str, *participants: str, type_: int = 2
    ) -> dict[str, Any]:
        """Make a session; ``participants`` as ``userId:role``."""
        body = {
            "session_id": session_id,
            "session_name": "咨询",
            "session_type": type_,
            "participants": list(participants),
        }
        session: dict[str, Any] = (await self.ask("POST", "/sessions", body)).must(200, 201)
        return session

    async def post(self, session_id: str, content: object, key: str | None = None) -> Answer:
        """Send a text message."""
        body = {"type": 1, "content": content}
        if key is not None:
            body["client_msg_id"] = key
        return await self.ask("POST", f"/sessions/{quote(session_id)}/messages", body)

    async def every_message(self, session_id: str, **query: object) -> list[dict[str, Any]]:
        """The whole log, oldest first, page by page; no marks move."""
        return [message async for message in self._pages(session_id, query)]

    async def _pages(
        self, session_id: str, query: dict[str, object]
    ) -> AsyncIterator[dict[str, Any]]:
        more: dict[str, object] = {"order": "asc", "size": 200, "peek": "1", **query}
        while True:
            path = f"/sessions/{quote(session_id)}/messages"
            page = (await self.ask("GET", path, query=more)).must(200)
            for message in page["items"]:
                yield message
            if page["next"] is None:
                return
            more["cursor"] = page["next"]

    async def unread(self, session_id: str, user_id: str) -> int:
        path = f"/sessions/{quote(session_id)}/unread_message_count"
        count: int = (await self.ask("GET", path, query={"user_id": user_id})).must(200)["count"]
        return count

    async def __aenter__(self) -> Rest:
        return self

    async def __aexit__(self, *error: object) -> None:
        self.close()
