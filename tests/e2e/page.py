"""A page of the app as the socket serves it: logs in, shows messages, sends, survives any loss.

It obeys the SDK's rules (page 3.5): it comes back by ``after_seq`` and epoch, acknowledges what it
showed, resends what was not stored under the same key, in order. What the server gets wrong on the
way (a hole, a repeat, a wrong order) is kept in :attr:`Page.faults`; a test reads it at the end.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

#: closes after which nothing is tried by itself
FINAL = {4401, 4403}


class Refused(Exception):
    """An error answer; ``code`` is the snake_case word."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(str(error))
        self.code = error.get("data", {}).get("code")


class _Sending:
    """A message on its way until it is stored."""

    def __init__(self, params: dict[str, Any]) -> None:
        self.params = params
        self.tries = 0
        self.done: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()


class Page:
    """One socket of one user, opened again whenever it is lost, until :meth:`close`."""

    def __init__(
        self, port: int, token: str, client_type: str, session_id: str | None, *, seed: int = 0
    ) -> None:
        self._port, self._token, self._client_type = port, token, client_type
        self.session_id, self._random = session_id, Random(seed)
        self.shown: list[dict[str, Any]] = []
        self.notices: list[tuple[str, dict[str, Any]]] = []
        self.faults: list[str] = []
        self.closes: list[tuple[int, str]] = []
        self.logins: list[dict[str, Any]] = []
        self.reloads = 0
        self._sendings: dict[str, _Sending] = {}
        self._resent: set[str] = set()
        self._calls: dict[Any, asyncio.Future[Any]] = {}
        self._ids = itertools.count(1)
        self._socket: ClientConnection | None = None
        self._changed = asyncio.Event()
        self._closing = False
        self._life = asyncio.ensure_future(self._live())

    # ---- for tests

    @property
    def last_seq(self) -> int:
        return self.shown[-1]["seq"] if self.shown else 0

    @property
    def open(self) -> bool:
        return self._socket is not None

    async def until(self, condition: Callable[[], object], seconds: float = 20.0) -> None:
        """Wait for something to become true of this page."""
        async with asyncio.timeout(seconds):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def opened(self) -> None:
        """Wait until it is logged in."""
        await self.until(lambda: self.open)

    async def reached(self, seq: int) -> None:
        """Wait until it shows everything up to ``seq``."""
        await self.until(lambda: self.last_seq >= seq)

    async def send(self, content: object, key: str, **more: object) -> dict[str, Any]:
        """The stored message; resent with its key until it is stored or refused."""
        sending = _Sending({"type": 1, "content": content, "client_msg_id": key, **more})
        self._sendings[key] = sending
        if self._socket is not None:
            await self._put_sending(sending, self._socket)
        return await sending.done

    async def call(self, method: str, **params: object) -> Any:
        """Any other request on the open socket; its result, or Refused."""
        assert self._socket is not None, "the socket is not open"
        name = f"c{next(self._ids)}"
        self._calls[name] = answer = asyncio.get_running_loop().create_future()
        await self._put(self._socket, name, method, params)
        return await answer

    def cut(self) -> None:
        """Lose the connection as a phone in a lift does: no farewell."""
        if self._socket is not None:
            self._socket.transport.abort()

    async def close(self) -> None:
        """Go away for good."""
        self._closing = True
        if self._socket is not None:
            with suppress(OSError, ConnectionClosed):
                await self._socket.close()
        self._life.cancel()
        await asyncio.gather(self._life, return_exceptions=True)
        for sending in self._sendings.values():
            sending.done.cancel()

    # ---- the connection

    async def _live(self) -> None:
        losses = 0
        while not self._closing:
            opened = len(self.logins)
            pause = await self._once()
            losses = 0 if len(self.logins) > opened else losses + 1
            if pause is None:
                return
            await asyncio.sleep(pause or self._random.uniform(0.02, 0.05) * 2 ** min(losses, 4))

    def _dial(self) -> connect:
        """A connection that is about to be made."""
        return connect(
            f"ws://127.0.0.1:{self._port}/ws",
            compression=None,
            proxy=None,
            max_size=None,
            ping_interval=None,
            open_timeout=10,
            close_timeout=1,
        )

    async def _once(self) -> float | None:
        """One connection; seconds to wait before the next, or None for never again."""
        try:
            async with self._dial() as socket:
                try:
                    await self._log_in(socket)
                    async for frame in socket:
                        await self._take(json.loads(frame))
                finally:
                    self._lost()
        except ConnectionClosed:
            pass
        except (OSError, InvalidHandshake, TimeoutError, EOFError):
            return 0.0
        code, reason = socket.close_code or 1006, socket.close_reason or ""
        self.closes.append((code, reason))
        self._changed.set()
        if code in FINAL:
            return None
        if code == 4503:
            return int(reason.partition("=")[2]) / 1000
        return 0.0

    def _lost(self) -> None:
        self._socket = None
        for answer in self._calls.values():
            if not answer.done():
                answer.set_exception(ConnectionResetError("the socket was lost"))
        self._calls.clear()
        self._changed.set()

    async def _log_in(self, socket: ClientConnection) -> None:
        params: dict[str, object] = {"token": self._token, "client_type": self._client_type}
        if self.session_id is not None:
            params["session_id"] = self.session_id
        if self.logins:
            params["after_seq"] = self.last_seq
            params["epoch"] = self.logins[-1]["epoch"]
        request = {"jsonrpc": "2.0", "id": "login", "method": "login", "params": params}
        await socket.send(json.dumps(request))
        frame = json.loads(await socket.recv())
        if frame.get("id") != "login":
            self.faults.append(f"before the login's answer came {frame}")
            return
        if "error" in frame:
            # The close follows.
            return
        result = frame["result"]
        again = bool(self.logins)
        self.logins.append(result)
        if again and not result["recovered"]:
            self.reloads += 1
            if result["epoch"] != self.logins[-2]["epoch"]:
                # Another life of the store: its seqs are of other messages (page 3.2).
                self.shown.clear()
            await self._reload(socket, result)
        else:
            for message in result["messages"]:
                self._show(message, first=not again)
        sent: set[_Sending] = set()
        while waiting := [one for one in self._sendings.values() if one not in sent]:
            for sending in waiting:
                sent.add(sending)
                await self._put_sending(sending, socket)
        # Nothing was awaited since the last look: whoever sends from now on puts it in order.
        self._socket = socket
        self._changed.set()

    async def _reload(self, socket: ClientConnection, result: dict[str, Any]) -> None:
        """Recovery was refused: fill the hole through ``history``, then show the newest."""
        newest = [message["seq"] for message in result["messages"]]
        upto = newest[0] - 1 if newest else self.last_seq
        waiting: list[dict[str, Any]] = []
        while self.last_seq < upto:
            params = {"after": self.last_seq, "size": 200}
            request = {"jsonrpc": "2.0", "id": "reload", "method": "history", "params": params}
            await socket.send(json.dumps(request))
            while (frame := json.loads(await socket.recv())).get("id") != "reload":
                waiting.append(frame)
            for message in frame["result"]["items"]:
                if message["seq"] <= upto:
                    self._show(message)
        for message in result["messages"]:
            if message["seq"] > self.last_seq:
                self._show(message)
        for frame in waiting:
            await self._take(frame)

    async def _put(
        self, socket: ClientConnection | None, name: object, method: str, params: dict[str, Any]
    ) -> None:
        frame: dict[str, object] = {"jsonrpc": "2.0", "method": method, "params": params}
        if name is not None:
            frame["id"] = name
        if socket is not None:
            # Lost meanwhile: the next login sends it again.
            with suppress(OSError, ConnectionClosed):
                await socket.send(json.dumps(frame, ensure_ascii=False))

    async def _put_sending(self, sending: _Sending, socket: ClientConnection) -> None:
        sending.tries += 1
        key = sending.params["client_msg_id"]
        if sending.tries > 1:
            self._resent.add(key)
        await self._put(socket, f"s{key}", "send", sending.params)

    # ---- what comes in

    async def _take(self, frame: dict[str, Any]) -> None:
        if "method" in frame:
            if frame["method"] == "message":
                self._show(frame["params"])
                ack = {"seq": self.last_seq, "read": False}
                await self._put(self._socket, None, "ack", ack)
            else:
                self.notices.append((frame["method"], frame["params"]))
        elif isinstance(frame.get("id"), str) and frame["id"].startswith("s"):
            self._answered(frame["id"][1:], frame)
        else:
            answer = self._calls.pop(frame.get("id"), None)
            if answer is not None and not answer.done():
                if "error" in frame:
                    answer.set_exception(Refused(frame["error"]))
                else:
                    answer.set_result(frame["result"])
        self._changed.set()

    def _answered(self, key: str, frame: dict[str, Any]) -> None:
        sending = self._sendings.get(key)
        if sending is None:
            self.faults.append(f"a second answer for {key}")
            return
        if "error" in frame:
            if frame["error"].get("data", {}).get("code") == "unavailable":
                # Safe to repeat with its key (page 4.2); the cut makes the next login do it.
                self.cut()
                return
            del self._sendings[key]
            if not sending.done.done():  # else whoever sent it has gone meanwhile
                sending.done.set_exception(Refused(frame["error"]))
            return
        message = frame["result"]["message"]
        del self._sendings[key]
        if key not in self._resent or message["seq"] == self.last_seq + 1:
            self._show(message)
        if not sending.done.done():
            sending.done.set_result(message)

    def _show(self, message: dict[str, Any], *, first: bool = False) -> None:
        seq, last = message["seq"], self.last_seq
        if seq == last + 1 or (first and not self.shown):
            self.shown.append(message)
        elif seq > last:
            self.faults.append(f"a hole: {seq} after {last}")
            self.shown.append(message)
        elif message.get("client_msg_id") not in self._resent:
            self.faults.append(f"a repeat: {seq} after {last}")
