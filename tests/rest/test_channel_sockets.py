"""The hardened channel on real loopback sockets: WebSocket upgrades, slow floods, early refusals.

The sockets are real, the channel's time is a ``Clock``: nothing here waits for a deadline.
"""

from __future__ import annotations

import resource as rlimits
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
import pytest_twisted
from autobahn.twisted.resource import WebSocketResource
from autobahn.twisted.websocket import (
    WebSocketClientFactory,
    WebSocketClientProtocol,
    WebSocketServerFactory,
    WebSocketServerProtocol,
)
from klein import Klein
from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import Clock, deferLater
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import Request

from imd.rest.channel import HardenedSite, Limits
from imd.rest.framing import DEFAULTS

reactor: Any = _reactor
GET = b"GET /one HTTP/1.1\r\nHost: im.example\r\n\r\n"
UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


class Plain(Resource):
    isLeaf = True

    def render(self, request: Request) -> bytes:
        request.setHeader(b"Content-Length", b"2")
        return b"{}"


class Echo(WebSocketServerProtocol):
    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.sendMessage(payload, isBinary)


class Caller(Protocol):
    """A raw TCP client that gathers what it gets."""

    def __init__(self) -> None:
        self.got = b""
        self.lost: Deferred[bytes] = Deferred()
        self._wanted: tuple[bytes, Deferred[bytes]] | None = None

    def until(self, end: bytes) -> Deferred[bytes]:
        """What came, once ``end`` has come; it is then forgotten."""
        found: Deferred[bytes] = Deferred()
        self._wanted = (end, found)
        self.dataReceived(b"")
        return found

    def dataReceived(self, data: bytes) -> None:
        self.got += data
        if self._wanted is not None and self._wanted[0] in self.got:
            found, self._wanted, got, self.got = self._wanted[1], None, self.got, b""
            found.callback(got)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost.callback(self.got)

    def send(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(data)

    def close(self) -> Deferred[bytes]:
        if not self.lost.called:
            self.transport.abortConnection()  # type: ignore[union-attr]
        return self.lost


class House:
    """A listening site with a Klein application, a WebSocket resource beside it, and its clock."""

    def __init__(self, limits: Limits) -> None:
        self.clock = Clock()
        self.callers: list[Caller] = []
        self.lost: list[object] = []
        self.sockets = WebSocketServerFactory()
        self.sockets.protocol = Echo
        root = Resource()
        root.putChild(b"one", Plain())
        root.putChild(b"ws", WebSocketResource(self.sockets))
        app = Klein()

        @app.route("/klein/ws", methods=["GET"])
        def upgrade(request: Request) -> Any:
            return WebSocketResource(self.sockets)

        root.putChild(b"app", app.resource())
        self.site = HardenedSite(root, limits, reactor=self.clock)
        self.port = reactor.listenTCP(0, self.site, interface="127.0.0.1", backlog=2048)
        self.number: int = self.port.getHost().port

    async def call(self) -> Caller:
        endpoint = HostnameEndpoint(reactor, "127.0.0.1", self.number)
        caller: Caller = await connectProtocol(endpoint, Caller())
        self.callers.append(caller)
        return caller

    async def channels(self, count: int) -> None:
        """Until the site holds so many connections."""
        while len(self.site.channels) != count:
            await deferLater(reactor, 0)

    async def close(self) -> None:
        await self.port.stopListening()
        await gatherResults([caller.close() for caller in self.callers])
        await self.channels(0)
        assert self.clock.getDelayedCalls() == []


def housed(limits: Limits = DEFAULTS) -> Callable[..., Any]:
    """A test with a house, which must be empty again at its end."""

    def decorate(test: Callable[[House], Awaitable[None]]) -> Callable[[], Any]:
        async def run() -> None:
            house = House(limits)
            try:
                await test(house)
            finally:
                await house.close()

        run.__name__ = test.__name__
        run.__doc__ = test.__doc__
        return pytest_twisted.ensureDeferred(run)  # type: ignore[no-any-return]

    return decorate


def masked(text: bytes) -> bytes:
    """A text frame as a client sends it, under the mask of nothing."""
    return bytes([0x81, 0x80 | len(text), 0, 0, 0, 0]) + text


def framed(text: bytes) -> bytes:
    return bytes([0x81, len(text)]) + text


@housed()
async def test_websocket_outlives_the_deadlines_of_the_channel(house: House) -> None:
    caller = await house.call()
    caller.send(GET)
    await caller.until(b"\r\n\r\n{}")
    caller.send(UPGRADE % house.number)
    assert b" 101 " in await caller.until(b"\r\n\r\n")
    assert house.site.channels == set()
    assert house.site.seats.taken("127.0.0.1") == 0
    house.clock.pump([5] * 60)
    caller.send(masked(b"late"))
    await caller.until(framed(b"late"))
    assert house.clock.getDelayedCalls() == []


@housed()
async def test_websocket_through_a_klein_route(house: House) -> None:
    caller = await house.call()
    caller.send(UPGRADE.replace(b"/ws", b"/app/klein/ws") % house.number)
    assert b" 101 " in await caller.until(b"\r\n\r\n")
    house.clock.pump([5] * 60)
    caller.send(masked(b"late"))
    await caller.until(framed(b"late"))


@housed()
async def test_websocket_with_autobahn_s_own_client(house: House) -> None:
    heard: Deferred[bytes] = Deferred()
    gone: Deferred[None] = Deferred()

    class Client(WebSocketClientProtocol):
        def onOpen(self) -> None:
            house.clock.pump([5] * 60)
            self.sendMessage(b"x" * 200_000)

        def onMessage(self, payload: bytes, isBinary: bool) -> None:
            heard.callback(payload)
            self.sendClose()

        def onClose(self, wasClean: bool, code: int, reason: str) -> None:
            gone.callback(None)

    factory = WebSocketClientFactory(f"ws://127.0.0.1:{house.number}/ws")
    factory.protocol = Client
    reactor.connectTCP("127.0.0.1", house.number, factory)
    assert len(await heard) == 200_000
    await gone


@housed()
async def test_frames_before_the_upgrade_is_granted_are_not_executed(house: House) -> None:
    caller = await house.call()
    caller.send(UPGRADE % house.number + GET)
    await caller.lost
    assert b"200 OK" not in caller.got


@housed()
async def test_a_refused_upgrade_leaves_nothing_behind(house: House) -> None:
    caller = await house.call()
    caller.send(UPGRADE.replace(b"13", b"99") % house.number)
    assert b" 400 " in (await caller.until(b"\r\n\r\n"))
    await caller.lost


@housed(Limits(connections_per_address=3))
async def test_upgraded_sockets_give_their_seats_back(house: House) -> None:
    for _ in range(6):
        caller = await house.call()
        caller.send(UPGRADE % house.number)
        await caller.until(b"\r\n\r\n")
    assert house.site.channels == set()


@housed(Limits(connections_per_address=2))
async def test_the_connection_over_the_cap_can_read_why(house: House) -> None:
    for _ in range(2):
        caller = await house.call()
        caller.send(GET)
        await caller.until(b"\r\n\r\n{}")
    third = await house.call()
    third.send(GET)
    got = await third.lost
    assert got.startswith(b"HTTP/1.1 503 ")
    assert b'"too_many_connections"' in got
    assert b"\r\nRetry-After: 10\r\n" in got


@housed()
async def test_a_peer_in_the_middle_of_a_large_body_can_read_why(house: House) -> None:
    """Closing over its unread bytes would send a reset that overtakes the answer."""
    caller = await house.call()
    caller.send(b"POST /one HTTP/1.1\r\nHost: a\r\nContent-Length: 8000000\r\n\r\n")
    caller.send(b"x" * 8_000_000)
    got = await caller.lost
    assert got.startswith(b"HTTP/1.1 413 ")
    assert got.endswith(b"}")


@housed()
async def test_a_refused_peer_that_stays_is_cut(house: House) -> None:
    caller = await house.call()
    caller.transport.readConnectionLost = lambda reason: None  # type: ignore[union-attr]
    caller.send(b"nonsense\r\n\r\n")
    await caller.until(b"}")
    for _ in range(20):
        await deferLater(reactor, 0)
    assert len(house.site.channels) == 1
    house.clock.advance(2)
    await house.channels(0)


@housed()
async def test_a_peer_that_reads_nothing_is_cut(house: House) -> None:
    class Large(Resource):
        isLeaf = True

        def render(self, request: Request) -> bytes:
            return b"x" * 30_000_000

    house.site.resource.putChild(b"large", Large())
    caller = await house.call()
    caller.transport.pauseProducing()  # type: ignore[union-attr]
    caller.send(GET.replace(b"one", b"large") + GET * 100)
    await house.channels(1)
    (channel,) = house.site.channels
    while not channel._waitingForTransport:
        await deferLater(reactor, 0)
    house.clock.pump([1] * 30)
    await house.channels(0)


@pytest.fixture
def descriptors() -> Iterator[None]:
    """At least 4,096 of them, as far as the machine allows."""
    soft, hard = rlimits.getrlimit(rlimits.RLIMIT_NOFILE)
    wanted = 4_096 if hard == rlimits.RLIM_INFINITY else min(4_096, hard)
    if soft != rlimits.RLIM_INFINITY and soft < wanted:
        rlimits.setrlimit(rlimits.RLIMIT_NOFILE, (wanted, hard))
    if wanted < 2_500:
        pytest.skip("too few file descriptors for a thousand connections and their callers")
    yield
    rlimits.setrlimit(rlimits.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("descriptors")
@housed()
async def test_a_thousand_slow_callers_leave_the_others_unharmed(house: House) -> None:
    slow: list[Caller] = []
    while len(slow) < 1_000:
        slow += await gatherResults([Deferred.fromCoroutine(house.call()) for _ in range(100)])
    for caller in slow:
        caller.send(b"GET / HTTP/1.1\r\nX-A: ")
    while sum(1 for channel in house.site.channels if channel._held) < 1_000:
        await deferLater(reactor, 0)
    quick = await house.call()
    for _ in range(9):
        house.clock.advance(1)
        for caller in slow:
            caller.send(b"a")
        quick.send(GET)
        assert (await quick.until(b"\r\n\r\n{}")).startswith(b"HTTP/1.1 200 ")
    assert len(house.site.channels) == 1_001
    house.clock.advance(1)
    answers = await gatherResults([caller.lost for caller in slow])
    assert all(answer.startswith(b"HTTP/1.1 408 ") for answer in answers)
    quick.send(GET)
    assert (await quick.until(b"\r\n\r\n{}")).startswith(b"HTTP/1.1 200 ")
    await house.channels(1)
