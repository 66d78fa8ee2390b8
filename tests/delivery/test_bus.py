"""The contract of the bus (page 4.3), on both: in memory, and on a real Redis."""

from __future__ import annotations

import secrets
import time
from random import Random
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor as _reactor

from imd.delivery.bus import Gathered, MemoryBus, Street
from imd.delivery.redis_bus import RedisBus
from imd.delivery.redis_line import Line, place_of
from imd.wire import hints
from imd.wire.hints import AnyHint, Bundle
from tests.redis_server import RedisServer
from tests.storage.ground import until

reactor: Any = _reactor
S = "p1_t1_2"


class Listener:
    """Keeps what it heard."""

    def __init__(self) -> None:
        self.bundles: list[Bundle] = []
        self.gains = 0

    def hear(self, bundle: Bundle) -> None:
        self.bundles.append(bundle)

    def regained(self) -> None:
        self.gains += 1

    @property
    def heard(self) -> list[AnyHint]:
        return [hint for bundle in self.bundles for hint in bundle.hints]


class Depot:
    """Makes seats on one bus, and takes them away again."""

    def __init__(self, redis: RedisServer | None) -> None:
        self.redis, self.street = redis, Street()
        self.epoch, self.seats, self.lines = secrets.token_hex(8), list[Any](), list[Line]()

    async def seat(self, epoch: str | None = None) -> tuple[Any, Listener]:
        origin, epoch = f"o{len(self.seats)}", epoch or self.epoch
        now = lambda: int(time.time() * 1000)  # noqa: E731
        if self.redis is None:
            bus: Any = MemoryBus(self.street, reactor, epoch=epoch, origin=origin, now=now)
        else:
            place = place_of(self.redis.url, None, reactor)
            line = Line(place, reactor, Random(1))
            bus = RedisBus(
                line,
                lambda prepare, heard: Line(place, reactor, Random(1), prepare, heard),
                epoch=epoch,
                origin=origin,
                now=now,
            )
            line.start()
            self.lines.append(line)
        listener = Listener()
        self.seats.append(bus)
        await bus.start(listener)
        return bus, listener

    async def close(self) -> None:
        for bus in self.seats:
            await bus.stop()
        for line in self.lines:
            line.stop()


@pytest_twisted.async_yield_fixture(params=["memory", "redis"])
async def depot(request):
    redis = None if request.param == "memory" else request.getfixturevalue("redis_server")
    made = Depot(redis)
    yield made
    await made.close()


@pytest_twisted.ensureDeferred
async def test_all_others_hear_it_and_the_teller_does_not(depot: Depot) -> None:
    (one, own), (_, second), (_, third) = [await depot.seat() for _ in range(3)]
    assert one.up and own.gains == second.gains == 1
    one.tell(hints.Stored(S, 3, 3))
    await until(lambda: second.heard and third.heard)
    assert second.heard == third.heard == [hints.Stored(S, 3, 3)]
    assert own.heard == []
    assert (second.bundles[0].epoch, second.bundles[0].origin) == (depot.epoch, "o0")


@pytest_twisted.ensureDeferred
async def test_hints_of_one_turn_come_as_one_bundle_each_once(depot: Depot) -> None:
    (one, _), (_, other) = await depot.seat(), await depot.seat()
    for seq in (1, 2, 3):
        one.tell(hints.Stored(S, seq, seq))
    one.tell(hints.Read(S, "p1"))
    one.tell(hints.Stored("t", 9, 9))
    one.tell(hints.Read(S, "p1"))
    await until(lambda: other.heard)
    expected = [hints.Stored(S, 3, 1), hints.Read(S, "p1"), hints.Stored("t", 9, 9)]
    assert sorted(map(repr, other.heard)) == sorted(map(repr, expected))
    assert len(other.bundles) == 1
    await until(lambda: one.sent == 3)


@pytest_twisted.ensureDeferred
async def test_other_epochs_are_not_heard(depot: Depot) -> None:
    (one, _), (_, same) = await depot.seat(), await depot.seat()
    _, restored = await depot.seat(epoch="another")
    one.tell(hints.Revoked())
    await until(lambda: same.heard)
    assert restored.heard == []


@pytest_twisted.ensureDeferred
async def test_who_left_hears_and_tells_nothing(depot: Depot) -> None:
    (one, _), (two, second), (_, third) = [await depot.seat() for _ in range(3)]
    await two.stop()
    two.tell(hints.Read(S, "p1"))
    one.tell(hints.Revoked())
    await until(lambda: third.heard)
    assert second.heard == [] and third.heard == [hints.Revoked()]
    await two.start(second)


@pytest_twisted.ensureDeferred
async def test_alone_it_costs_nothing_and_fails_nothing(depot: Depot) -> None:
    one, own = await depot.seat()
    for seq in range(1, 50):
        one.tell(hints.Stored(S, seq, seq))
    assert own.heard == []


def test_runs_of_messages_are_one_hint_and_stay_behind_each_other() -> None:
    gathered = Gathered()
    for hint in (
        hints.Stored(S, 1, 1), hints.Stored(S, 3, 3), hints.Stored(S, 4, 4), hints.Stored("t", 1, 1)
    ):  # fmt: skip
        assert gathered.add(hint)
    assert gathered.take(10) == [
        hints.Stored(S, 1, 1), hints.Stored(S, 4, 3), hints.Stored("t", 1, 1)
    ]  # fmt: skip
    gathered.add(hints.Stored(S, 5, 5))
    assert gathered.take(10) == [hints.Stored(S, 5, 5)], "what was taken grows no more"


def test_what_waits_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imd.delivery.bus.MOST_WAITING", 3)
    gathered = Gathered()
    added = [gathered.add(hints.Read(S, f"u{n}")) for n in range(5)]
    assert added == [True, True, True, False, False]
    assert gathered.add(hints.Read(S, "u1")), "it waits already"
    assert gathered.clear() == 3 and not gathered
