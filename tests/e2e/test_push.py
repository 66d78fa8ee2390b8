"""Who is told outside the sockets: every client type in every situation, and through every death.

The server is real, its WeChat and Getui are ``imdctl fake-wechat``'s.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from websockets.asyncio.client import ClientConnection, connect

from tests.e2e import crashing
from tests.e2e.conftest import size
from tests.e2e.endpoint import endpoint
from tests.e2e.providers import Providers, providers
from tests.e2e.rest import Rest
from tests.e2e.server import NO_LIMITS, Imd, running, until
from tests.servers import PostgresServer

TRUSTED = {"IM_PROFILE": "dev", "IMD_PUSH_GRACE": "1.5", **NO_LIMITS}
INSIDE = ("patient", "pc_patient", "doctor", "pc_doctor")
OUTER = tuple(f"{name}_system" for name in INSIDE)
#: (client type or none, what it does, whether its user is to be told by a push)
CELLS = [
    ("none patient", "nothing", True),
    ("none doctor", "nothing", True),
    *((name, "watches", True) for name in OUTER),
    *((name, "acknowledges", True) for name in OUTER),
    *((name, "acknowledges", False) for name in INSIDE),
    *((name, "acknowledges unshown", False) for name in INSIDE),
    *((name, "is elsewhere", True) for name in INSIDE),
    *((name, "is silent", True) for name in INSIDE),
    *((name, "reads by REST", False) for name in ("none patient", "none doctor", *OUTER)),
]


class Cell:
    """One user in one situation, with a session of its own."""

    def __init__(self, number: int, client: str, act: str) -> None:
        self.client, self.act = client, act
        self.patient = "patient" in client
        self.user, self.session = f"U{number}", f"s{number}"
        self.other = f"else{number}"
        self._socket: ClientConnection | None = None
        self._reading: asyncio.Task[None] | None = None

    async def prepare(self, rest: Rest, port: int) -> None:
        kind = "patient" if self.patient else "doctor"
        entry = {
            "kind": kind,
            "name": "n",
            **({"openid": f"o-{self.user}"} if self.patient else {}),
        }
        (await rest.ask("PUT", f"/users/{self.user}", entry)).must(201)
        if not self.patient:
            login = {"user_id": self.user, "client_id": f"c-{self.user}", "platform": 0}
            (await rest.ask("POST", "/users/login", login)).must(200)
            state = {"app_state": "background"}
            (await rest.ask("PUT", f"/users/{self.user}/status", state)).must(200)
        for session in (self.session, self.other):
            await rest.open_session(session, f"{self.user}:{kind}", "DR:doctor")
        if not self.client.startswith("none"):
            await self._open(port)

    async def _open(self, port: int) -> None:
        socket = await connect(f"ws://127.0.0.1:{port}/ws", compression=None, proxy=None)
        params = {"user_id": self.user, "client_type": self.client}
        if self.client in INSIDE:
            params["session_id"] = self.other if self.act == "is elsewhere" else self.session
        await self._call(socket, "login", params)
        answer = json.loads(await socket.recv())
        assert "result" in answer, answer
        self._socket = socket
        self._reading = asyncio.ensure_future(self._read(socket))

    async def _read(self, socket: ClientConnection) -> None:
        async for frame in socket:
            told = json.loads(frame)
            method = told.get("method")
            if self.act.startswith("acknowledges") and method in ("message", "notice"):
                ack: dict[str, Any] = {"session_id": self.session, "seq": 1}
                if self.act == "acknowledges unshown":
                    ack["read"] = False
                await self._call(socket, "ack", ack)

    @staticmethod
    async def _call(socket: ClientConnection, method: str, params: dict[str, Any]) -> None:
        asked = {"jsonrpc": "2.0", "id": method, "method": method, "params": params}
        await socket.send(json.dumps(asked))

    async def provoke(self, rest: Rest) -> None:
        """A message that the user has to learn of."""
        body = {"sender_id": "DR", "type": 1, "content": "请回复"}
        (await rest.ask("POST", f"/sessions/{self.session}/messages", body)).must(201)
        if self.act == "reads by REST":
            path = f"/sessions/{self.session}/read"
            (await rest.ask("PUT", path, {"user_id": self.user})).must(200)

    async def close(self) -> None:
        if self._socket is not None:
            await self._socket.close()
        if self._reading is not None:
            await asyncio.gather(self._reading, return_exceptions=True)


def told_users(fakes: Providers) -> list[str]:
    """Who was told, once for each push."""
    told = fakes.told()
    wechat = [message["touser"].removeprefix("o-") for message in told["sent"]]
    app = [message["audience"]["cid"][0].removeprefix("c-") for message in told["app"]]
    return wechat + app


async def _play(imd: Imd, fakes: Providers) -> dict[tuple[str, str], int]:
    cells = [Cell(n, client, act) for n, (client, act, _) in enumerate(CELLS)]
    async with Rest(imd.port) as rest:
        for cell in cells:
            await cell.prepare(rest, imd.port)
        for cell in cells:
            await cell.provoke(rest)
        wanted = sum(told for _, _, told in CELLS)
        await asyncio.to_thread(until, lambda: len(told_users(fakes)) >= wanted, 20, "the pushes")
        # Whoever is not to be told has had as long as the last of those who were, and more.
        probe = Cell(len(cells), "none patient", "nothing")
        await probe.prepare(rest, imd.port)
        await probe.provoke(rest)
        last = probe.user
        await asyncio.to_thread(until, lambda: last in told_users(fakes), 20, "the last push")
    users = told_users(fakes)
    for cell in cells:
        await cell.close()
    return {(cell.client, cell.act): users.count(cell.user) for cell in cells}


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[tuple[str, str], int]]:
    """How often each cell's user was told; all of them live at once, on one server."""
    state = tmp_path_factory.mktemp("push")
    with providers(state) as fakes, running(state / "s", **TRUSTED, **fakes.settings) as imd:
        yield asyncio.run(_play(imd, fakes))


@pytest.mark.parametrize(("client", "act", "told"), CELLS)
def test_who_is_told_by_a_push(played: dict[tuple[str, str], int], client, act, told) -> None:
    assert played[(client, act)] == (1 if told else 0)


# ---- deaths

SCRIPT = Path(crashing.__file__)
PATIENTS, EACH = 6, 4


@pytest.fixture(params=["sqlite", "postgres"])
def lasting_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'imd.db'}"
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    url = server.create_database()
    yield url
    server.drop_database(url)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("point", crashing.PUSH_POINTS)
def test_a_push_survives_kill_9_at_every_step(tmp_path: Path, lasting_url: str, point: str) -> None:
    """Every message is told of in the end; of a death none is told of more often than twice."""
    settings = {**TRUSTED, "IMD_PUSH_GRACE": "0.2", "CRASH_LEASE": "1500"}
    with providers(tmp_path / "fakes") as fakes:
        imd = Imd(tmp_path / "state", lasting_url, **settings, **fakes.settings)
        program = [sys.executable, "-P", str(SCRIPT)]
        deaths = 0
        sent: dict[str, int] = {}
        try:
            for round_ in range(max(1, size("IMD_TEST_ROUNDS") - 1)):
                imd.start(program, CRASH_AT=f"{point}:{1 + round_ * 3}")
                asyncio.run(_write(imd, sent, first=not round_))
                until(lambda: not imd.alive, 30, f"the death at {point}")
                assert imd.status == -signal.SIGKILL
                deaths += 1
            imd.start(program, CRASH_AT="claimed:1000000")
            until(lambda: _covered(fakes, sent) == sent, 40, "every message told of")
            assert max(_repeats(fakes).values()) <= 1 + deaths
            trouble = imd.trouble()
            assert not trouble, trouble
        finally:
            imd.kill()


async def _write(imd: Imd, sent: dict[str, int], first: bool) -> None:
    """Messages to several patients; the server dies somewhere behind them."""
    async with Rest(imd.port) as rest:
        for n in range(PATIENTS):
            if first:
                entry = {"kind": "patient", "name": "n", "openid": f"o-P{n}"}
                (await rest.ask("PUT", f"/users/P{n}", entry)).must(201)
                await rest.open_session(f"s{n}", f"P{n}:patient", "DR:doctor")
        imd.signal(signal.SIGUSR2)
        for _ in range(EACH):
            for n in range(PATIENTS):
                body = {"sender_id": "DR", "type": 1, "content": "x"}
                try:
                    answer = await rest.ask("POST", f"/sessions/s{n}/messages", body)
                except OSError:
                    return
                sent[f"s{n}"] = answer.must(201)["seq"]


def _pushes(fakes: Providers) -> list[tuple[str, int]]:
    found = []
    for message in fakes.told()["sent"]:
        query = parse_qs(urlsplit(message["url"]).query)
        found.append((query["s"][0], int(query["seq"][0])))
    return found


def _covered(fakes: Providers, sent: dict[str, int]) -> dict[str, int]:
    """Up to which seq each session's patient was told."""
    covered: dict[str, int] = {}
    for session, seq in _pushes(fakes):
        covered[session] = max(seq, covered.get(session, 0))
    return {session: min(seq, covered.get(session, 0)) for session, seq in sent.items()}


def _repeats(fakes: Providers) -> dict[tuple[str, int], int]:
    counted: dict[tuple[str, int], int] = {}
    for push in _pushes(fakes):
        counted[push] = counted.get(push, 0) + 1
    return counted


# ---- the platform


def test_the_platform_is_told_by_webhooks(tmp_path: Path, database_url: str) -> None:
    with endpoint() as platform:
        settings = {**TRUSTED, **platform.settings, "IMD_CLOCK_LIMIT": "0.1"}
        with running(tmp_path / "state", database_url, **settings) as imd:
            asyncio.run(_consult(imd))
            wanted = {
                "session.created", "participant.added", "user.online", "topic.started",
                "message.created", "topic.replied", "topic.ended", "session.updated",
                "message.recalled", "participant.removed", "user.offline",
            }  # fmt: skip
            until(lambda: wanted <= {e["type"] for e in platform.events}, 40, "every event")
            assert "a secret" not in imd.log
    of_session = [e for e in platform.events if e["type"] == "message.created"]
    seqs = [event["data"]["seq"] for event in of_session]
    assert seqs == sorted(seqs) == list(range(1, len(seqs) + 1))


async def _consult(imd: Imd) -> None:
    """A whole consult, with a patient who comes and goes."""
    async with Rest(imd.port) as rest:
        for user, kind in (("P", "patient"), ("D", "doctor")):
            (await rest.ask("PUT", f"/users/{user}", {"kind": kind, "name": user})).must(201)
        await rest.open_session("s", "P:patient", "D:doctor", type_=1)
        cell = Cell(0, "patient_system", "watches")
        cell.user = "P"
        await cell._open(imd.port)
        topic = {"topic_id": "t", "start_by": "P"}
        (await rest.ask("POST", "/sessions/s/topics", topic)).must(201)
        body = {"sender_id": "D", "type": 1, "content": "您好"}
        message = (await rest.ask("POST", "/sessions/s/messages", body)).must(201)
        end = {"user_id": "D"}
        (await rest.ask("PUT", "/sessions/s/topics/t/ended", end)).must(200)
        (await rest.ask("DELETE", f"/sessions/s/messages/{message['id']}")).must(200)
        (await rest.ask("DELETE", "/sessions/s/participants/P")).must(200)
        await cell.close()
