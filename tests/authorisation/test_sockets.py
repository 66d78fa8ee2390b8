"""Every method of the socket for every caller and object, and what its frames may not hold.

Each caller keeps one socket, inside a session of its own, and asks about the others from there.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any, Final, NamedTuple

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from imd.websocket.methods import METHODS
from tests.authorisation.table import (
    MEMBERS,
    OBJECTS,
    SOCKET,
    SOCKET_CALLERS,
    VERDICTS,
)
from tests.authorisation.world import MINE, PEOPLE, THEIRS, World
from tests.e2e.server import Imd

SECONDS: Final = 20
#: params besides the session
_PARAMS: Final[dict[str, dict[str, Any]]] = {
    "send": {"type": 1, "content": "n", "client_msg_id": "k"},
    "ack": {"seq": 1},
}


class Told(NamedTuple):
    """One answer: the word of its error or None, its whole frame, and the close that followed."""

    code: str | None
    frame: bytes
    close: int | None


class Socket:
    """A connection that keeps every frame it was ever sent."""

    def __init__(self, wire: ClientConnection) -> None:
        self.wire = wire
        self.frames: list[bytes] = []

    async def ask(self, method: str, **params: Any) -> Told:
        call = {"jsonrpc": "2.0", "id": method, "method": method, "params": params}
        await self.wire.send(json.dumps(call))
        async with asyncio.timeout(SECONDS):
            while True:
                frame = await self.wire.recv(decode=False)
                self.frames.append(frame)
                answer = json.loads(frame)
                if "id" in answer:
                    break
        error = answer.get("error")
        return Told(error and error["data"]["code"], frame, None)

    async def close_code(self) -> int:
        """Wait for the server to close."""
        async with asyncio.timeout(SECONDS):
            try:
                while True:
                    self.frames.append(await self.wire.recv(decode=False))
            except ConnectionClosed as closed:
                assert closed.rcvd is not None
                return closed.rcvd.code


class Play(NamedTuple):
    told: dict[tuple[str, str, str], Told]
    heard: dict[str, list[bytes]]


async def _log_in(world: World, caller: str, session_id: str) -> tuple[Socket, Told]:
    socket = Socket(await connect(f"ws://127.0.0.1:{world.port}/ws", max_size=None))
    role = PEOPLE[caller][1] if caller in PEOPLE else "doctor"
    params = {"token": world.credential(caller), "client_type": role, "session_id": session_id}
    given = {name: value for name, value in params.items() if value is not None}
    return socket, await socket.ask("login", **given)


async def _refused(socket: Socket, told: Told) -> Told:
    """With the close that a refused login must bring."""
    return told._replace(close=await socket.close_code()) if told.code else told


async def _play(world: World, caller: str) -> Play:
    told: dict[tuple[str, str, str], Told] = {}
    heard: list[bytes] = []
    sessions = {name: scene.session_id for name, scene in world.shared.items()}
    sessions["nothing"] = "no-such-session"
    for object_, session_id in sessions.items():
        socket, answer = await _log_in(world, caller, session_id)
        told["login", caller, object_] = await _refused(socket, answer)
        heard += socket.frames
        await socket.wire.close()
    home = f"home-{caller.replace(' ', '-')}"
    if caller in PEOPLE:
        member = PEOPLE[caller][0]
        opening = {"session_id": home, "session_type": 2, "session_name": "n"}
        await world.admin("POST", "/sessions", {**opening, "participants": [member]})
        socket, answer = await _log_in(world, caller, home)
        assert answer.code is None, answer
    for method in METHODS:
        for object_, session_id in sessions.items():
            if method in ("login", "logout"):
                continue
            if caller not in PEOPLE:
                socket = Socket(await connect(f"ws://127.0.0.1:{world.port}/ws"))
            params = {"session_id": session_id, **_PARAMS.get(method, {})}
            answer = await socket.ask(method, **params)
            close = await socket.close_code() if caller not in PEOPLE else None
            told[method, caller, object_] = answer._replace(close=close)
    if caller in PEOPLE:
        answer = await socket.ask("logout")
        told["logout", caller, "mine"] = answer._replace(close=await socket.close_code())
        heard += socket.frames
    return Play(told, {caller: heard})


@pytest.fixture(scope="module")
def play(server: tuple[Imd, dict[str, str]]) -> Play:
    async def run() -> Play:
        imd, keys = server
        async with World(imd.port, keys) as world:
            await world.prepare()
            plays = await asyncio.gather(*(_play(world, caller) for caller in SOCKET_CALLERS))
        told = {cell: answer for play in plays for cell, answer in play.told.items()}
        return Play(told, {c: frames for play in plays for c, frames in play.heard.items()})

    return asyncio.run(run())


def test_every_method_has_a_row() -> None:
    assert set(SOCKET) == set(METHODS)
    for row, columns in SOCKET.items():
        assert {len(column) for column in columns} == {len(SOCKET_CALLERS)}, row


@pytest.mark.parametrize("method", SOCKET)
def test_each_caller_is_answered_as_the_table_says(play: Play, method: str) -> None:
    for column, object_ in zip(SOCKET[method], OBJECTS, strict=True):
        for letter, caller in zip(column, SOCKET_CALLERS, strict=True):
            told = play.told.get((method, caller, object_))
            if told is None:  # a logout is asked once, by those who are logged in
                assert method == "logout"
                continue
            expected = VERDICTS["A" if letter == "~" else letter].code
            assert told.code == expected, (method, caller, object_, told)
            if expected == "unauthenticated":
                assert told.close == 4401, (method, caller, object_, told)
            elif method == "login" and expected is not None:
                assert told.close == 4403, (method, caller, object_, told)


@pytest.mark.parametrize("caller", PEOPLE)
def test_what_one_may_not_see_is_what_does_not_exist(play: Play, caller: str) -> None:
    hidden = ("theirs",) if caller in MEMBERS else ("mine", "theirs")
    for method in SOCKET:
        if method == "logout":
            continue
        for object_ in hidden:
            assert play.told[method, caller, object_] == play.told[method, caller, "nothing"]


def test_no_frame_brings_a_canary_to_whom_may_not_see_it(play: Play) -> None:
    for caller, frames in play.heard.items():
        heard = b"".join(frames)
        assert THEIRS.encode() not in heard, caller
        assert (MINE.encode() in heard) is (caller in MEMBERS), caller


def test_a_logout_is_answered_and_closed(play: Play) -> None:
    assert all(play.told["logout", caller, "mine"].close == 1000 for caller in PEOPLE)


def test_who_is_removed_is_closed_and_hears_nothing_more(
    server: tuple[Imd, dict[str, str]],
) -> None:
    async def run() -> None:
        imd, keys = server
        async with World(imd.port, keys) as world:
            await world.prepare()
            session = world.shared["theirs"].session_id
            gone = PEOPLE["removed member"][0]
            seat = f"/sessions/{session}/participants/{gone}"
            await world.admin("PUT", seat)
            socket, answer = await _log_in(world, "removed member", session)
            assert answer.code is None
            outer = Socket(await connect(f"ws://127.0.0.1:{imd.port}/ws"))
            token = world.credential("removed member")
            assert (await outer.ask("login", token=token, client_type="doctor_system")).code is None
            await world.admin("DELETE", seat)
            outer.frames.clear()
            socket.frames.clear()
            message = {"type": 1, "content": THEIRS, "sender_id": world.shared["theirs"].member}
            await world.admin("POST", f"/sessions/{session}/messages", message)
            assert await socket.close_code() == 4403
            # An answer comes after every frame that was sent before it.
            assert (await outer.ask("sessions")).code is None
            assert THEIRS.encode() not in b"".join(socket.frames + outer.frames)
            await outer.wire.close()

    asyncio.run(run())
