"""Doctors and services on REST: every call goes into the history, before and after.

A caller knows several nodes and asks any of them. A connection that breaks, a 503 and a late
answer are outcomes that nobody knows; a send is then repeated under its key until it is answered,
as page 4.2 allows.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from random import Random
from typing import Any
from urllib.parse import quote

from tests.asking import Answer
from tests.e2e.rest import Rest
from tests.faults.history import History

#: seconds that a caller waits for an answer
PATIENCE = 8.0
#: what is kept of a message in the history
_KEPT = (
    "id", "session_id", "seq", "topic_id", "sender_id", "type", "content", "timestamp",
    "client_msg_id", "version", "recalled",
)  # fmt: skip


class Caller:
    """One principal; ``user`` is whom its acts are for, None for a service that says so itself."""

    def __init__(
        self,
        history: History,
        name: str,
        credential: str,
        ports: Sequence[int],
        random: Random,
        *,
        service: bool = False,
    ) -> None:
        self.name, self.random, self.service = name, random, service
        self._history, self._credential = history, credential
        self._ports = ports
        self._links: dict[int, list[Rest]] = {}
        self._keys = itertools.count(1)
        self.stopping = False

    @property
    def user(self) -> str:
        return self.name.partition("/")[0]

    def key(self) -> str:
        """A key that this caller has not used."""
        return f"{self.name}-{next(self._keys)}"

    async def close(self) -> None:
        for links in self._links.values():
            for link in links:
                link.close()

    def _node(self, node: int | None) -> int:
        return self.random.randrange(len(self._ports)) if node is None else node

    # ---- one exchange

    async def exchange(
        self, method: str, path: str, body: object = None, *, node: int | None = None, **query: Any
    ) -> Answer | None:
        """The answer, or None when nobody knows what became of the request."""
        node = self._node(node)
        free = self._links.setdefault(node, [])
        link = free.pop() if free else Rest(self._ports[node], self._credential)
        try:
            async with asyncio.timeout(PATIENCE):
                answer = await link.ask(method, path, body, query=query)
        except (OSError, TimeoutError):
            link.close()
            return None
        free.append(link)
        return answer

    async def call(
        self,
        op: str,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        *,
        node: int | None = None,
        query: dict[str, Any] | None = None,
        **args: Any,
    ) -> Answer | None:
        """An exchange that is written down as the operation ``op`` with ``args``."""
        node = self._node(node)
        number = self._history.ask(self.name, op, node=node, **args)
        try:
            answer = await self.exchange(method, path, body, node=node, **(query or {}))
        except asyncio.CancelledError:
            self._history.got(number, None, code="cancelled")
            raise
        if answer is None:
            self._history.got(number, None)
        elif answer.status in (200, 201):
            self._history.got(number, True, status=answer.status, **_kept(op, answer))
        else:
            code = answer.json.get("code") if answer.raw else None
            known = None if answer.status >= 500 or answer.status == 429 else False
            self._history.got(number, known, status=answer.status, code=code)
        return answer

    async def insist(self, *call: Any, **more: Any) -> Answer:
        """Repeat until it is answered for certain; for what may be repeated (page 2)."""
        pause = 0.05
        while True:
            answer = await self.call(*call, **more)
            if answer is not None and answer.status < 500 and answer.status != 429:
                return answer
            await asyncio.sleep(self.random.uniform(pause / 2, pause))
            pause = min(1.0, pause * 2)

    # ---- operations

    async def send(
        self,
        session: str,
        content: object,
        *,
        key: str | None = None,
        type_: int = 1,
        sender: str | None = None,
        node: int | None = None,
        topic: str | None = None,
    ) -> Answer:
        """Send until it is answered."""
        key, sender = key or self.key(), sender or self.user
        body: dict[str, Any] = {"type": type_, "content": content, "client_msg_id": key}
        if self.service:
            body["sender_id"] = sender
        if topic is not None:
            body["topic_id"] = topic
        return await self.insist(
            "send", "POST", f"/sessions/{quote(session)}/messages", body, node=node,
            session=session, sender=sender, key=key, content=content, road="rest",
        )  # fmt: skip

    async def look(self, op: str, path: str, user: str | None = None, **args: Any) -> Answer | None:
        """A GET for a user."""
        user, query = user or self.user, args.pop("query", {})
        if self.service:
            query = {**query, "user_id": user}
        return await self.call(op, "GET", path, query=query, user=user, **args)

    async def read(self, session: str, seq: int | None, user: str | None = None) -> Answer | None:
        """Mark as read."""
        body: dict[str, Any] = {} if seq is None else {"seq": seq}
        user = user or self.user
        if self.service:
            body["user_id"] = user
        path = f"/sessions/{quote(session)}/read"
        return await self.call("read", "PUT", path, body, session=session, user=user, seq=seq)


def _kept(op: str, answer: Answer) -> dict[str, Any]:
    """What the history keeps of an answer."""
    body = answer.json
    if op in ("send", "recall", "edit"):
        return {"message": {name: body[name] for name in _KEPT}}
    if op in ("list", "list_unread"):
        return {"items": [{name: item[name] for name in _KEPT} for item in body["items"]]}
    if op == "members":
        names = ("participant_id", "read_seq", "delivered_seq")
        return {"items": [{name: item[name] for name in names} for item in body["items"]]}
    if op in ("unread", "read"):
        return {name: body[name] for name in ("count", "read_seq", "unread") if name in body}
    if op == "badge":
        return {"count": body["badge_no"]}
    if op in ("start_topic", "end_topic"):
        return {"topic": body["id"]}
    return {}
