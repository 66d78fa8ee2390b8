"""Pages on sockets: the end-to-end tests' page, every frame of which goes into the history.

It keeps the SDK's rules (page 3.5) beyond its parent's: it comes back to any node, moves between
sessions with what it knows of each, and takes a server that does not answer an acknowledgement
for lost.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from random import Random
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.e2e.page import Page, Refused
from tests.faults.history import History

#: seconds without an answer after which a connection is given up, at login and later
PATIENCE = 4.0


class WatchedPage(Page):
    """A page whose frames are written down; ``ports`` are the nodes that it may come to."""

    def __init__(
        self,
        history: History,
        name: str,
        ports: Sequence[int],
        token: str,
        client_type: str,
        session_id: str | None,
        random: Random,
        *,
        reads: bool = True,
    ) -> None:
        """``reads`` False is a page that nobody looks at: it acknowledges and does not read."""
        self.history, self.name, self._ports, self._dice = history, name, ports, random
        self.reads, self.node, self.heard_at = reads, 0, 0.0
        self.conn = 0
        #: what is shown of sessions that the page is not in now
        self._places: dict[str, list[dict[str, Any]]] = {}
        self._reported = 0
        super().__init__(ports[0], token, client_type, session_id, seed=random.randrange(1 << 30))
        self._heart = asyncio.ensure_future(self._beat())

    async def close(self) -> None:
        self._heart.cancel()
        await asyncio.gather(self._heart, return_exceptions=True)
        await super().close()
        self.report()

    def report(self) -> None:
        """Write down what the page itself found wrong; its own failure is raised."""
        if self._life.done() and not self._life.cancelled() and (error := self._life.exception()):
            raise error
        for text in self.faults[self._reported :]:
            self.history.add("note", who=self.name, session=self.session_id, text=text)
        self._reported = len(self.faults)

    # ---- the connection

    def _dial(self) -> connect:
        self.node = self._dice.randrange(len(self._ports))
        self._port = self._ports[self.node]
        self.conn = conn = self.history.connection()
        self.heard_at = asyncio.get_running_loop().time()
        page = self

        class Recorded(ClientConnection):
            """A connection whose frames are written down; the page speaks through it alone."""

            async def send(self, message: Any, *, text: bool | None = None) -> None:
                frame = json.loads(message)
                frame["params"].pop("token", None)
                page.history.add("said", conn=conn, frame=frame)
                await super().send(message, text=text)

            async def recv(self, decode: bool | None = None) -> Any:
                frame = await super().recv(decode)
                page.heard_at = asyncio.get_running_loop().time()
                page.history.add("heard", conn=conn, frame=json.loads(frame))
                return frame

        self.history.add("up", conn=conn, who=self.name, node=self.node)
        return connect(
            f"ws://127.0.0.1:{self._port}/ws",
            compression=None,
            proxy=None,
            max_size=None,
            ping_interval=None,
            open_timeout=PATIENCE,
            close_timeout=1,
            create_connection=Recorded,
        )

    async def _once(self) -> float | None:
        closes = len(self.closes)
        try:
            return await super()._once()
        finally:
            code, reason = self.closes[-1] if len(self.closes) > closes else (None, "")
            self.history.add("down", conn=self.conn, code=code, reason=reason)
            self.report()

    async def _log_in(self, socket: ClientConnection) -> None:
        async with asyncio.timeout(PATIENCE):
            await super()._log_in(socket)

    async def _beat(self) -> None:
        """Acknowledge when nothing was heard for a heartbeat; no answer is a lost connection."""
        while True:
            await asyncio.sleep(0.25)
            silent = asyncio.get_running_loop().time() - self.heard_at
            pulse = self.logins[-1]["heartbeat_ms"] / 1000 if self.logins else PATIENCE
            if self._socket is None or silent < pulse:
                continue
            try:
                async with asyncio.timeout(PATIENCE):
                    if self.session_id is None:
                        await self.call("sessions", size=1)
                    else:
                        await self.call("ack", **self._mark())
            except TimeoutError:
                self.cut()
            except (OSError, ConnectionClosed, AssertionError, Refused):
                continue

    # ---- what is asked

    async def send(self, content: object, key: str, **more: object) -> dict[str, Any]:
        """The stored message; to the session that the page is in now."""
        session = more.setdefault("session_id", self.session_id)
        user = self.name.partition("/")[0]
        number = self.history.ask(
            self.name, "send", session=session, sender=user, key=key, content=content, road="socket"
        )
        try:
            message = await super().send(content, key, **more)
        except Refused as refused:
            self.history.got(number, False, code=refused.code)
            raise
        except (asyncio.CancelledError, OSError, ConnectionClosed):
            self.history.got(number, None)
            raise
        self.history.got(number, True, message=message, node=self.node)
        return message

    async def enter(self, session_id: str) -> None:
        """Move to another session; Refused or OSError when that does not come about."""
        params: dict[str, object] = {"session_id": session_id}
        known = self._places.get(session_id)
        if known:
            params |= {"after_seq": known[-1]["seq"], "epoch": self.logins[-1]["epoch"]}
        await self.call("enter", **params)

    # ---- what comes in

    async def _take(self, frame: dict[str, Any]) -> None:
        result = frame.get("result")
        if isinstance(result, dict) and "recovered" in result and frame.get("id") in self._calls:
            await self._entered(result)
        await super()._take(frame)

    async def _entered(self, result: dict[str, Any]) -> None:
        session_id = result["session"]["id"]
        assert self.session_id is not None
        self._places[self.session_id] = self.shown
        known = self._places.pop(session_id, [])
        self.session_id = session_id
        # Where recovery was refused the page begins anew with the newest.
        self.shown = known if result["recovered"] else []
        for message in result["messages"]:
            self._show(message, first=True)

    def _show(self, message: dict[str, Any], *, first: bool = False) -> None:
        if message["session_id"] == self.session_id:
            super()._show(message, first=first)

    def _mark(self) -> dict[str, Any]:
        mark: dict[str, Any] = {"session_id": self.session_id, "seq": self.last_seq}
        return mark if self.reads else {**mark, "read": False}

    async def _put(
        self, socket: ClientConnection | None, name: object, method: str, params: dict[str, Any]
    ) -> None:
        if method == "ack" and name is None:
            params = self._mark()
        await super()._put(socket, name, method, params)
