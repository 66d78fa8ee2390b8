"""A server in token mode with callers of every kind, and the scenes that the table plays in.

What is stored carries one of two canaries: words that may not reach anybody who may not see the
session, in no answer and no frame. The whole table is asked over many connections at once.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.asking import API, Answer, Asking
from tests.authorisation.asking import STARTS, Cell, Scene, fields_of, path_of
from tests.authorisation.table import CALLERS, KEYS, MEMBERS, OBJECTS, REST, USERS, VERDICTS
from tests.e2e.server import SECRET, clean_environment, token

CONNECTIONS: Final = 24
#: in everything stored where the two members are, and where only strangers are
MINE, THEIRS = "canary-mine-7f3a", "canary-theirs-91c4"
#: the users' ids and roles
PEOPLE: Final = {
    "patient member": ("p-in", "patient"),
    "patient other": ("p-out", "patient"),
    "doctor member": ("d-in", "doctor"),
    "doctor other": ("d-out", "doctor"),
    "removed member": ("d-gone", "doctor"),
}
#: no two scenes of a run share a name
_numbers = itertools.count(1)
STRANGER, COLLEAGUE, GUEST = "p-strange", "d-strange", "d-guest"


class Told(NamedTuple):
    """What a caller was answered, and in which scene."""

    cell: Cell
    scene: Scene
    answer: Answer

    def plain(self) -> tuple[int, dict[str, str], bytes]:
        """The answer without what must differ: the names asked for, the time, the request's id."""
        raw = self.answer.raw
        for name in self.scene:
            raw = raw.replace(name.encode(), b"*")
        headers = {
            name: value
            for name, value in self.answer.headers.items()
            if name not in ("date", "x-request-id", "content-length")
        }
        return self.answer.status, headers, raw


def imdctl(state: Path, *words: str) -> Any:
    """What the operator's command answers."""
    program = [str(Path(sys.executable).with_name("imdctl")), "--profile", "test", "--json"]
    environment = {**clean_environment(), "IMD_AUTH_SECRET": SECRET}
    done = subprocess.run(
        [*program, "--state-dir", str(state), *words],
        env=environment, capture_output=True, text=True, check=False, cwd=os.fspath(state),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) if done.stdout.strip().startswith("{") else None


def make_keys(state: Path) -> dict[str, str]:
    """A key of each scope, by the caller's name."""
    imdctl(state, "migrate")
    return {
        caller: imdctl(state, "key", "add", caller.replace(" ", "-"), "--scope", caller.split()[0])[
            "key"
        ]
        for caller in KEYS
    }


def cells() -> Iterable[Cell]:
    """Every row at each verb, path, caller and object."""
    for row in REST:
        for caller, object_ in itertools.product(CALLERS, OBJECTS):
            route = Cell(row, caller, object_, "", "").route
            for verb, path in itertools.product(route.verbs, route.paths):
                yield Cell(row, caller, object_, verb, path)


def letter(rows: Mapping[str, tuple[str, ...]], row: str, caller: str, object_: str) -> str:
    """The table's letter for a cell of REST."""
    return rows[row][OBJECTS.index(object_)][CALLERS.index(caller)]


class World:
    """Everything that the cells of one run share."""

    def __init__(self, port: int, keys: Mapping[str, str]) -> None:
        self.port, self.keys = port, keys
        self._free: asyncio.Queue[Asking] = asyncio.Queue()
        self.shared: dict[str, Scene] = {}
        #: further claims of the users' tokens
        self.claims: dict[str, Any] = {}

    # ---- asking

    def credential(self, caller: str) -> str | None:
        """A credential of the caller's; each token is its own, so that a logout ends one only."""
        if caller in PEOPLE:
            user_id, role = PEOPLE[caller]
            return token(user_id, role, jti=f"j{next(_numbers)}", **self.claims)
        return self.keys.get(caller)

    async def ask(
        self, credential: str | None, verb: str, path: str, fields: Mapping[str, Any] | None = None
    ) -> Answer:
        """One request on whichever connection is free."""
        asking = await self._free.get()
        try:
            return await asking.ask(verb, path, fields, credential)
        finally:
            self._free.put_nowait(asking)

    async def admin(self, verb: str, path: str, fields: Mapping[str, Any] | None = None) -> Any:
        answer = await self.ask(self.keys["admin key"], verb, path, fields)
        return answer.must(200, 201, 204)

    async def __aenter__(self) -> World:
        for _ in range(CONNECTIONS):
            self._free.put_nowait(Asking(self.port))
        return self

    async def __aexit__(self, *error: object) -> None:
        while not self._free.empty():
            self._free.get_nowait().close()

    # ---- scenes

    async def prepare(self) -> None:
        """The people, and a scene of each kind that nobody may change."""
        names = {**{id_: MINE for id_, _ in PEOPLE.values()}, GUEST: MINE}
        names |= {STRANGER: THEIRS, COLLEAGUE: THEIRS}
        names |= {PEOPLE[caller][0]: "outside" for caller in USERS if caller not in MEMBERS}
        for id_, name in names.items():
            kind = "patient" if id_.startswith("p") else "doctor"
            await self.admin("PUT", f"/users/{id_}", {"name": name, "avatar": name, "kind": kind})
            await self.admin("POST", "/users/login", {"user_id": id_, "client_id": f"phone-{id_}"})
        for object_ in ("mine", "theirs"):
            scene = await self.build(object_)
            session = scene.session_id
            found = await self.admin("GET", f"/sessions/{session}/messages", {"type": "15"})
            gone = PEOPLE["removed member"][0]
            if object_ == "mine":
                await self.admin("PUT", f"/sessions/{session}/participants/{gone}")
                mark = {"type": 1, "content": MINE, "sender_id": gone, "client_msg_id": "key-1"}
                await self.admin("POST", f"/sessions/{session}/messages", mark)
                await self.admin("DELETE", f"/sessions/{session}/participants/{gone}")
            self.shared[object_] = scene._replace(message_id=found["items"][0]["id"])

    async def build(self, object_: str, *, topic: bool = True, card: bool = False) -> Scene:
        """A new session with canaries in all its texts."""
        scene = self.imagine(object_)
        word, other = (
            (MINE, PEOPLE["doctor member"][0]) if object_ == "mine" else (THEIRS, COLLEAGUE)
        )
        session = {
            "session_id": scene.session_id,
            "session_type": 9,
            "session_name": word,
            "participants": [f"{scene.member}:patient", f"{other}:doctor", GUEST],
        }
        if not topic:
            await self.admin("POST", "/sessions", session)
            return scene
        start = {
            "topic_id": scene.topic_id,
            "name": word,
            "description": word,
            "start_by": scene.member,
            "messages": [{"type": 15, "content": {"text": word}}, {"type": 1, "content": word}],
        }
        await self.admin("POST", "/sessions/topics", {**session, **start})
        if card:
            path = f"/sessions/{scene.session_id}/messages"
            found = await self.admin("GET", path, {"type": "15"})
            scene = scene._replace(message_id=found["items"][0]["id"])
        return scene

    def imagine(self, object_: str) -> Scene:
        """A scene of names that nothing was made for."""
        number = next(_numbers)
        member = STRANGER if object_ == "theirs" else PEOPLE["patient member"][0]
        return Scene(
            f"{object_}-s{number}", f"{object_}-t{number}", f"{number:032x}", member, GUEST,
            f"{object_}-u{number}", member, f"{object_}-n{number}",
        )  # fmt: skip

    async def scene_of(self, cell: Cell) -> Scene:
        """Where the cell plays: a change that is allowed gets a scene of its own."""
        if cell.object == "nothing":
            scene = self.imagine(cell.object)
        else:
            scene = self.shared[cell.object]
            allowed = VERDICTS[letter(REST, cell.row, cell.caller, cell.object)].status < 400
            if cell.is_change and allowed and "{user_id}" not in cell.path:
                card = "{message_id}" in cell.path
                scene = await self.build(cell.object, topic=cell.row not in STARTS, card=card)
        me = PEOPLE[cell.caller][0] if cell.caller in PEOPLE else scene.member
        user = {"mine": me, "theirs": STRANGER, "nothing": scene.user}[cell.object]
        return scene._replace(me=me, user=user)

    async def play(self, cell: Cell, without: str, more: Mapping[str, Any]) -> Told:
        """Ask one cell, without some of its fields and with others."""
        scene = await self.scene_of(cell)
        path = path_of(cell, scene).removeprefix(API)
        fields = {k: v for k, v in fields_of(cell, scene).items() if k not in without.split()}
        fields |= more
        answer = await self.ask(self.credential(cell.caller), cell.verb, path, fields)
        return Told(cell, scene, answer)

    async def play_all(
        self, wanted: Iterable[Cell], without: str = "", more: Mapping[str, Any] | None = None
    ) -> list[Told]:
        """Ask them all, as many at once as there are connections."""
        waiting = iter(list(wanted))
        told: list[Told] = []

        async def work() -> None:
            for cell in waiting:
                told.append(await self.play(cell, without, more or {}))

        await asyncio.gather(*(work() for _ in range(CONNECTIONS)))
        return told

    async def picture(self, scene: Scene) -> Any:
        """All that is stored of a session, but what reading moves."""
        session = f"/sessions/{scene.session_id}"
        moving = ("read_seq", "delivered_seq", "last_fetch_time", "online")
        members = (await self.admin("GET", f"{session}/participants"))["items"]
        return [
            await self.admin("GET", f"{session}/session"),
            (await self.admin("GET", f"{session}/messages", {"size": 200}))["items"],
            [{k: v for k, v in member.items() if k not in moving} for member in members],
            await self.admin("GET", f"/sessions/topics/{scene.topic_id}"),
        ]
