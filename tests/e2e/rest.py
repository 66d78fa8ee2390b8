"""A small REST client on one keep-alive connection, so that tests see exactly what is on the wire.

It follows page 2 and nothing else. A connection that breaks is an error of the call, never a
silent repeat: whether to send again is the test's decision.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode

from tests.asking import API, Answer, Line


class Rest:
    """One caller's connection; requests go one after another."""

    def __init__(self, port: int, credential: str | None = None) -> None:
        self._line, self._credential = Line(port), credential

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
        data = None if body is None else json.dumps(body, ensure_ascii=False).encode()
        return await self._line.exchange(method, target, data, self._credential)

    def close(self) -> None:
        self._line.close()

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
