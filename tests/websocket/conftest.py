"""A server of sockets on loopback, in this process, over a house in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from random import Random
from typing import Any, cast

import pytest
from twisted.internet import reactor as _reactor
from twisted.internet.task import Clock
from twisted.web.resource import Resource
from twisted.web.server import Site

from imd.delivery.admission import Admission
from imd.delivery.courier import Courier
from imd.delivery.presence import LocalPresence
from imd.delivery.registry import Registry
from imd.domain.caller import Caller
from imd.domain.ids import UserId
from imd.websocket.factory import Sockets
from imd.websocket.room import SocketSettings
from imd.websocket.turnstile import Turnstile
from tests.websocket.client import Client, connect
from tests.websocket.fakes_live import FakeDatabase, FakeDoorkeeper, FakeWriter, World, make_house

reactor: Any = _reactor
S, T = "s", "t"


class Server:
    """Sessions s and t of d and p; time is a Clock that tests advance, the network is real."""

    def __init__(self, **settings: Any) -> None:
        self.world, self.clock = World(), Clock()
        for session_id in (S, T):
            self.world.open(session_id, "d", "p")
        self.db = FakeDatabase(self.world)
        registry = Registry(20)
        self.courier = Courier(self.db, registry, self.clock, lambda: self.house.clock.now())
        self.admission = Admission(registry, self.courier.feeds, self.courier.badges)
        self.writer = FakeWriter(self.world, self.courier.committed)
        self.house = make_house(
            self.world, self.db, self.writer, self.courier, LocalPresence(registry), self.clock
        )
        self.doorkeeper = cast(FakeDoorkeeper, self.house.doorkeeper)
        for user_id, role in (("d", "doctor"), ("p", "patient"), ("x", "patient")):
            self.doorkeeper.tokens[user_id] = Caller(
                UserId(user_id), role, fingerprint=f"f-{user_id}"
            )
        self.settings = SocketSettings(**settings)
        self.sockets = Sockets(
            self.house,
            self.admission,
            self.settings,
            self.clock,
            random=Random(1),
            turnstile=Turnstile(reactor),
        )
        self.sockets.start()
        root = Resource()
        root.putChild(b"ws", self.sockets.resource)
        self.site = Site(root)
        self.port = reactor.listenTCP(0, self.site, interface="127.0.0.1")
        self.clients: list[Client] = []

    def rates(self, **rates: Any) -> None:
        """Replace buckets of page 2.7."""
        self.sockets.room.house = replace(self.house, rates=replace(self.house.rates, **rates))

    async def connect(self, headers: str = "") -> Client:
        client = await connect(self.port.getHost().port, headers)
        self.clients.append(client)
        return client

    async def login(self, user_id: str = "p", session_id: str | None = S, **more: Any) -> Client:
        """A socket that is logged in."""
        client = await self.connect()
        kind = "doctor" if user_id == "d" else "patient"
        if session_id is None:
            kind += "_system"
        params = {"token": user_id, "client_type": kind, "session_id": session_id, **more}
        await client.result("login", **params)
        return client

    def send(self, session_id: str = S, sender: str = "d", **changes: Any) -> int:
        """A message from elsewhere, stored and delivered."""
        made = self.world.store(session_id, sender, **changes)
        self.courier.committed([self.world.committed(made)])
        return made.seq

    def seconds(self, number: int) -> None:
        """Let so many sweeps pass."""
        self.clock.pump([1.0] * number)

    def stop(self) -> None:
        self.sockets.stop()
        self.courier.stop()
        self.port.stopListening()
        for client in self.clients:
            if not client.lost:
                client.transport.abortConnection()  # type: ignore[union-attr]


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.stop()
    # The reactor stands still between tests: let it close what was closed.
    for _ in range(5):
        reactor.iterate(0.001) if not reactor.running else None


@pytest.fixture
def make_server() -> Iterator[Any]:
    made: list[Server] = []

    def make(**settings: Any) -> Server:
        made.append(Server(**settings))
        return made[-1]

    yield make
    for one in made:
        one.stop()
