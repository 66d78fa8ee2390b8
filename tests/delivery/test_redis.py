"""Page 4.3: Redis may vanish, freeze and return at any time, and nobody waits for it."""

from __future__ import annotations

import time
from random import Random
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock

from imd.delivery import redis_bus, redis_line
from imd.delivery.redis_bus import RedisBus, channel_of
from imd.delivery.redis_line import Line, place_of
from imd.wire import hints
from imd.wire.hints import Bundle, encode_bundle, parse_bundle
from tests.delivery.test_bus import Listener
from tests.redis_server import RedisServer
from tests.servers import free_port
from tests.storage.ground import until

reactor: Any = _reactor
S, EPOCH = "p1_t1_2", "e1"


class Seat:
    """A bus with its own connection, at one Redis."""

    def __init__(self, url: str, origin: str, password: str | None = None) -> None:
        place = place_of(url, password, reactor)
        self.line = Line(place, reactor, Random(1))
        self.bus = RedisBus(
            self.line,
            lambda prepare, heard: Line(place, reactor, Random(2), prepare, heard),
            epoch=EPOCH,
            origin=origin,
            now=lambda: int(time.time() * 1000),
        )
        self.listener = Listener()

    async def start(self) -> Seat:
        self.line.start()
        await self.bus.start(self.listener)
        return self

    async def stop(self) -> None:
        await self.bus.stop()
        self.line.stop()

    @property
    def heard(self) -> list[Any]:
        return self.listener.heard


@pytest_twisted.async_yield_fixture
async def seats():
    """Makes seats, which are gone after the test."""
    made: list[Seat] = []

    async def make(url: str, password: str | None = None) -> Seat:
        made.append(Seat(url, f"o{len(made)}", password))
        return await made[-1].start()

    yield make
    for seat in made:
        await seat.stop()


@pytest_twisted.ensureDeferred
async def test_after_a_restart_it_subscribes_anew_and_says_so(seats, breakable_redis) -> None:
    one, two = await seats(breakable_redis.url), await seats(breakable_redis.url)
    breakable_redis.kill()
    await until(lambda: not one.bus.up and not two.bus.up)
    one.bus.tell(hints.Read(S, "p1"))
    await until(lambda: one.bus.dropped == 1)
    breakable_redis.start()
    await until(lambda: one.bus.up and two.bus.up)
    assert two.listener.gains == 2
    one.bus.tell(hints.Stored(S, 1, 1))
    await until(lambda: hints.Stored(S, 1, 1) in two.heard)
    assert hints.Read(S, "p1") not in two.heard


@pytest_twisted.ensureDeferred
async def test_who_lost_hints_tells_the_others_so(seats, breakable_redis) -> None:
    one, two = await seats(breakable_redis.url), await seats(breakable_redis.url)
    before = int(time.time() * 1000)
    assert one.line.connection is not None
    one.line.connection.abort()
    one.bus.tell(hints.Read(S, "p1"))
    await until(lambda: two.heard)
    (missed,) = two.heard
    assert isinstance(missed, hints.Missed) and missed.since <= before


@pytest_twisted.ensureDeferred
async def test_a_frozen_redis_is_noticed_and_left(seats, breakable_redis, monkeypatch) -> None:
    monkeypatch.setattr(redis_line, "PING", 0.1)
    monkeypatch.setattr(redis_line, "ANSWER", 0.5)
    monkeypatch.setattr(redis_line, "CONNECT", 0.5)
    one, two = await seats(breakable_redis.url), await seats(breakable_redis.url)
    with breakable_redis.paused():
        for number in range(5000):
            one.bus.tell(hints.Read(S, f"u{number}"))
        await until(lambda: not one.bus.up and not two.bus.up)
        await until(lambda: one.bus.dropped > 0)
        third = Seat(breakable_redis.url, "late")
        monkeypatch.setattr(redis_bus, "PATIENCE", 0.3)
        begun = time.monotonic()
        await third.start()
        assert time.monotonic() - begun < 2 and not third.bus.up
        await third.stop()
    await until(lambda: one.bus.up and two.bus.up)
    one.bus.tell(hints.Stored(S, 1, 1))
    await until(lambda: hints.Stored(S, 1, 1) in two.heard)


@pytest_twisted.ensureDeferred
async def test_a_start_without_redis_goes_on_and_finds_it_later(seats, monkeypatch) -> None:
    monkeypatch.setattr(redis_bus, "PATIENCE", 0.2)
    server = RedisServer()
    if not server.ours:
        pytest.skip("NOT TESTED: Redis is not ours")
    server.port = free_port()
    seat = await seats(server.url)
    assert not seat.bus.up and seat.listener.gains == 0
    with server:
        await until(lambda: seat.bus.up)
        assert seat.listener.gains == 1


@pytest_twisted.ensureDeferred
async def test_a_password_is_given_and_a_wrong_one_tried_again(seats, monkeypatch) -> None:
    monkeypatch.setattr(redis_bus, "PATIENCE", 0.3)
    with RedisServer("pa/ss%word") as server:
        plain = server.url.replace(":pa%2Fss%25word@", "")
        good = await seats(plain, "pa/ss%word")
        quoted = await seats(plain.replace("redis://", "redis://:pa%2Fss%25word@"))
        default = await seats(plain.replace("redis://", "redis://default:pa%2Fss%25word@"))
        assert good.bus.up and quoted.bus.up and default.bus.up
        bad = await seats(plain, "wrong")
        assert not bad.bus.up and "wrong" not in bad.line.trouble
        attempts = bad.line.trouble
        assert "WRONGPASS" in attempts or "NOAUTH" in attempts or "invalid" in attempts


@pytest_twisted.ensureDeferred
async def test_a_unix_socket_will_do(seats, breakable_redis) -> None:
    one, two = await seats(breakable_redis.socket_url), await seats(f"{breakable_redis.url[:-1]}3")
    one.bus.tell(hints.Stored(S, 1, 1))
    await until(lambda: two.heard)


@pytest_twisted.ensureDeferred
async def test_what_is_no_hint_is_counted_and_dropped(seats, breakable_redis) -> None:
    seat = await seats(breakable_redis.url)
    channel = channel_of(EPOCH)
    good = encode_bundle(Bundle(EPOCH, "x", 1, [hints.Revoked()]))
    for payload in (b"", b"{}", b"\xff\x00", b"12", b"null", good[:-1], good.replace(b"x", b" ")):
        breakable_redis.ask("PUBLISH", channel, payload)
    breakable_redis.ask(
        "PUBLISH", channel, encode_bundle(Bundle("other", "x", 1, [hints.Missed(1)]))
    )
    breakable_redis.ask("PUBLISH", channel, good)
    await until(lambda: seat.heard)
    assert seat.heard == [hints.Revoked()] and seat.bus.dropped == 7


@pytest_twisted.ensureDeferred
async def test_a_listener_that_fails_hurts_nobody(seats, breakable_redis, caplog) -> None:
    one, two = await seats(breakable_redis.url), await seats(breakable_redis.url)

    def fail(bundle: Bundle) -> None:
        del two.listener.hear
        raise ZeroDivisionError

    two.listener.hear = fail
    one.bus.tell(hints.Read(S, "p1"))
    await until(lambda: "hear" not in vars(two.listener))
    one.bus.tell(hints.Read(S, "p2"))
    await until(lambda: two.heard)
    assert two.bus.up


class Mute:
    """A line whose Redis takes everything and answers when it is told to."""

    def __init__(self) -> None:
        self.reactor, self.trouble, self.connection = Clock(), "", self
        self.changed: list[Any] = []
        self.asked: list[tuple[Any, Deferred[object]]] = []

    def start(self) -> None:
        """It is there already."""

    stop = start

    def ask(self, *command: object) -> Deferred[object]:
        self.asked.append((command, Deferred()))
        return self.asked[-1][1]


def test_what_redis_does_not_take_waits_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imd.delivery.bus.MOST_WAITING", 5)
    line: Any = Mute()
    bus = RedisBus(line, lambda *_: line, epoch=EPOCH, origin="o", now=lambda: 1)
    Deferred.fromCoroutine(bus.start(Listener()))
    for number in range(redis_bus.MOST_UNANSWERED + 20):
        bus.tell(hints.Read(S, f"u{number}"))
        line.reactor.advance(0)
    assert len(line.asked) == redis_bus.MOST_UNANSWERED, "Redis' socket holds no more than this"
    assert (bus.sent, bus.dropped) == (0, 15)
    while any(not answer.called for _, answer in line.asked):
        for _, answer in list(line.asked):
            if not answer.called:
                answer.callback(1)
        line.reactor.advance(0)
    assert bus.sent == redis_bus.MOST_UNANSWERED + 5 + 1
    last = parse_bundle(line.asked[-1][0][2])
    assert last is not None and hints.Missed(1) in last.hints, "the loss is told"


class Babble(Protocol):
    """A server that speaks something else."""

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")


@pytest_twisted.ensureDeferred
async def test_another_server_on_the_port_is_no_redis(monkeypatch) -> None:
    monkeypatch.setattr(redis_line, "CONNECT", 0.5)
    port = reactor.listenTCP(0, Factory.forProtocol(Babble), interface="127.0.0.1")
    line = Line(
        place_of(f"redis://127.0.0.1:{port.getHost().port}", None, reactor), reactor, Random(1)
    )
    line.start()
    try:
        await until(lambda: line.trouble)
        assert line.connection is None
    finally:
        line.stop()
        await port.stopListening()


def test_stopping_before_anything_is_up_is_quiet() -> None:
    line = Line(place_of(f"redis://127.0.0.1:{free_port()}", None, reactor), reactor, Random(1))
    line.start()
    line.stop()
    line.stop()
    assert line.connection is None
