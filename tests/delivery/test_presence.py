"""The contract of presence (pages 2.3 and 4.3), on both: in memory, and on a real Redis."""

from __future__ import annotations

import secrets
import time
from random import Random
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor as _reactor
from twisted.internet.task import deferLater

from imd.delivery import redis_presence
from imd.delivery.presence import LocalPresence
from imd.delivery.redis_line import Line, place_of
from imd.delivery.redis_presence import RedisPresence
from imd.delivery.registry import Registry
from imd.domain.client_types import ClientType
from tests.delivery.links import FakeLink
from tests.redis_server import RedisServer
from tests.storage.ground import until

reactor: Any = _reactor


class House:
    """One process with a registry; ``leave`` ends it politely, ``die`` does not."""

    def __init__(self, redis: RedisServer | None, epoch: str) -> None:
        self.registry, self.line = Registry(0), None
        self.presence: Any = LocalPresence(self.registry)
        if redis is not None:
            self.line = Line(place_of(redis.url, None, reactor), reactor, Random(1))
            self.presence = RedisPresence(
                self.line, self.registry, epoch=epoch, origin=secrets.token_hex(4)
            )
            self.line.start()
            self.presence.start()

    def open(self, user_id: str, client: ClientType, session_id: str | None = None) -> FakeLink:
        link = FakeLink(user_id, client)
        self.registry.admit(link)
        self.registry.seat(link)
        if session_id is not None:
            self.registry.place(link, session_id)
        return link

    async def leave(self) -> None:
        if self.line is not None:
            await self.presence.stop()
            self.die()

    def die(self) -> None:
        if self.line is not None:
            self.line.stop()

    async def sees(self, expected: dict[str, list[str]], *users: str) -> None:
        """Wait until it does."""
        found: list[Any] = [None]
        end = time.monotonic() + 20
        while found[0] != expected:
            assert time.monotonic() < end, found
            await deferLater(reactor, 0.005, lambda: None)
            found[0] = await self.presence.clients(users)


class Street:
    def __init__(self, redis: RedisServer | None) -> None:
        self.redis, self.epoch, self.houses = redis, secrets.token_hex(8), list[House]()

    async def house(self) -> House:
        made = House(self.redis, self.epoch)
        self.houses.append(made)
        await until(lambda: made.line is None or made.line.connection is not None)
        return made


@pytest_twisted.async_yield_fixture(params=["memory", "redis"])
async def street(request):
    redis = None if request.param == "memory" else request.getfixturevalue("redis_server")
    made = Street(redis)
    yield made
    for house in made.houses:
        house.die()


@pytest_twisted.async_yield_fixture
async def redis_street(redis_server):
    made = Street(redis_server)
    yield made
    for house in made.houses:
        house.die()


@pytest_twisted.ensureDeferred
async def test_client_types_by_user_each_once_and_sorted(street: Street) -> None:
    house = await street.house()
    house.open("p", ClientType.PATIENT_SYSTEM)
    house.open("p", ClientType.PATIENT, "s")
    house.open("p", ClientType.PATIENT, "t")
    house.open("医生", ClientType.DOCTOR, "会话")
    expected = {"p": ["patient", "patient_system"], "医生": ["doctor"]}
    await house.sees(expected, "p", "医生", "x", "p")
    assert await house.presence.clients([]) == {}


@pytest_twisted.ensureDeferred
async def test_who_is_gone_is_offline(street: Street) -> None:
    house = await street.house()
    link, other = house.open("p", ClientType.PATIENT, "s"), house.open("p", ClientType.PC_PATIENT)
    await house.sees({"p": ["patient", "pc_patient"]}, "p")
    house.registry.remove(link)
    await house.sees({"p": ["pc_patient"]}, "p")
    house.registry.remove(other)
    await house.sees({}, "p")


@pytest_twisted.ensureDeferred
async def test_it_is_seen_from_every_process(redis_street: Street) -> None:
    here, there = await redis_street.house(), await redis_street.house()
    link = here.open("p", ClientType.PATIENT, "s")
    there.open("p", ClientType.PATIENT_SYSTEM)
    for house in (here, there):
        await house.sees({"p": ["patient", "patient_system"]}, "p", "x")
    here.registry.remove(link)
    for house in (here, there):
        await house.sees({"p": ["patient_system"]}, "p", "x")


@pytest_twisted.ensureDeferred
async def test_more_users_than_fit_into_one_command(redis_street: Street, monkeypatch) -> None:
    monkeypatch.setattr(redis_presence, "MOST", 7)
    here, there = await redis_street.house(), await redis_street.house()
    names = [f"u{number}" for number in range(50)]
    for name in names:
        here.open(name, ClientType.DOCTOR_SYSTEM)
    await there.sees({name: ["doctor_system"] for name in names}, *names)


@pytest_twisted.ensureDeferred
async def test_a_process_that_stops_takes_its_users_with_it(redis_street: Street) -> None:
    here, there = await redis_street.house(), await redis_street.house()
    here.open("p", ClientType.PATIENT, "s")
    await there.sees({"p": ["patient"]}, "p")
    await here.leave()
    assert await there.presence.clients(["p"]) == {}


@pytest_twisted.ensureDeferred
async def test_a_dead_process_is_gone_after_its_time_to_live(
    redis_street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_presence, "TTL", 0.6)
    monkeypatch.setattr(redis_presence, "BEAT", 0.1)
    here, there = await redis_street.house(), await redis_street.house()
    here.open("p", ClientType.PATIENT, "s")
    there.open("d", ClientType.DOCTOR, "s")
    await there.sees({"p": ["patient"], "d": ["doctor"]}, "p", "d")
    here.die()
    await there.sees({"d": ["doctor"]}, "p", "d")
    end = time.monotonic() + 1.0
    while time.monotonic() < end:  # a heartbeat keeps the living
        third = await redis_street.house()
        await third.sees({"d": ["doctor"]}, "p", "d")


@pytest_twisted.ensureDeferred
async def test_what_redis_forgot_is_written_anew(
    breakable_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_presence, "BEAT", 0.1)
    street = Street(breakable_redis)
    here, there = await street.house(), await street.house()
    here.open("p", ClientType.PATIENT, "s")
    await there.sees({"p": ["patient"]}, "p")
    breakable_redis.ask("FLUSHALL")
    await there.sees({"p": ["patient"]}, "p")
    breakable_redis.kill()
    await until(lambda: there.line is not None and there.line.connection is None)
    here.open("p", ClientType.PATIENT_SYSTEM)
    there.open("d", ClientType.DOCTOR)
    assert await there.presence.clients(["p", "d"]) == {"d": ["doctor"]}, "the local answer"
    breakable_redis.start()
    await there.sees({"p": ["patient", "patient_system"], "d": ["doctor"]}, "p", "d")
    for house in street.houses:
        house.die()


@pytest_twisted.ensureDeferred
async def test_nobody_waits_long_for_a_frozen_redis(breakable_redis: RedisServer) -> None:
    street = Street(breakable_redis)
    here = await street.house()
    here.open("p", ClientType.PATIENT, "s")
    await here.sees({"p": ["patient"]}, "p")
    with breakable_redis.paused():
        begun = time.monotonic()
        for _ in range(20):
            assert await here.presence.clients(["p"]) == {"p": ["patient"]}
        assert time.monotonic() - begun < 2 * redis_presence.DEADLINE + 0.5
    there = await street.house()
    await there.sees({"p": ["patient"]}, "p")
    for house in street.houses:
        house.die()


@pytest_twisted.ensureDeferred
async def test_redis_holds_ids_and_types_and_nothing_for_ever(
    breakable_redis: RedisServer,
) -> None:
    street = Street(breakable_redis)
    here, there = await street.house(), await street.house()
    here.open("p", ClientType.PATIENT, "s")
    await there.sees({"p": ["patient"]}, "p")
    key = f"imd:{street.epoch}:presence:{here.presence._origin}"
    assert b"patient@s" in breakable_redis.ask("HGETALL", key)
    assert 0 < int(breakable_redis.ask("PTTL", key)[1:]) <= redis_presence.TTL * 1000
    for house in street.houses:
        await house.leave()
    await until(lambda: breakable_redis.ask("KEYS", "*") == b"*0\r\n")
