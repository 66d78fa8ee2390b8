"""Who comes and goes: once for any number of sockets and processes, not for a change of pages.

The rules of one process by a hand-driven clock; the contract of a judge on both, in memory and on
a real Redis; and what several judges do at one Redis.
"""

from __future__ import annotations

import secrets
from random import Random
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from imd.delivery import redis_presence
from imd.delivery.attendance import PATIENCE, RETRY, Attendance, LocalJudge, Words
from imd.delivery.redis_attendance import RedisJudge
from imd.delivery.redis_line import Line, place_of
from imd.delivery.redis_presence import RedisPresence
from imd.delivery.registry import Registry
from imd.domain.client_types import ClientType
from imd.domain.errors import Unavailable
from tests.delivery.links import FakeLink
from tests.redis_server import RedisServer
from tests.storage.ground import until

reactor: Any = _reactor


class World:
    """One process; ``away`` makes it impossible to say anything."""

    def __init__(self) -> None:
        self.clock, self.said, self.away = Clock(), list[tuple[str, bool]](), False
        self.registry = Registry(0)
        self.attendance = Attendance(self.clock, self.registry, LocalJudge())
        self.attendance.watch(self.tell)

    async def tell(self, words: Words) -> None:
        if self.away:
            raise Unavailable
        self.said += words.items()

    def come(self, user_id: str = "P1") -> FakeLink:
        link = FakeLink(user_id, ClientType.PATIENT_SYSTEM)
        self.registry.admit(link)
        self.registry.seat(link)
        self.clock.advance(0)
        return link

    def leave(self, link: FakeLink, after: float = 0.0) -> None:
        self.registry.remove(link)
        self.after(after)

    def after(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.clock.advance(0)


def test_a_user_with_several_sockets_comes_once_and_goes_with_the_last() -> None:
    world = World()
    first, second = world.come(), world.come()
    assert world.said == [("P1", True)]
    world.leave(first, PATIENCE)
    assert world.said == [("P1", True)]
    world.leave(second, PATIENCE - 0.1)
    assert world.said == [("P1", True)]
    world.after(0.2)
    assert world.said == [("P1", True), ("P1", False)]


def test_a_change_of_pages_is_no_going() -> None:
    world = World()
    for _ in range(5):
        world.leave(world.come(), PATIENCE / 2)
    assert world.said == [("P1", True)]
    world.after(PATIENCE)
    assert world.said == [("P1", True), ("P1", False)]


def test_at_a_stop_nobody_is_said_to_be_gone() -> None:
    world = World()
    world.leave(world.come())
    world.attendance.hold()
    world.leave(world.come("P2"), 2 * PATIENCE)
    assert world.attendance.lingers("P1") and world.attendance.lingers("P2")
    world.attendance.stop()
    world.come("P3")
    world.after(2 * PATIENCE)
    assert world.said == [("P1", True), ("P2", True)]
    assert world.clock.getDelayedCalls() == []


def test_what_could_not_be_said_is_said_later_as_it_is_then(caplog: Any) -> None:
    world = World()
    world.away = True
    stays, goes = world.come("stays"), world.come("goes")
    world.leave(goes, PATIENCE)
    assert world.said == []
    world.away = False
    world.after(RETRY)
    assert world.said == [("stays", True)], "who came and went meanwhile is not worth a word"
    world.leave(stays, PATIENCE)
    assert world.said == [("stays", True), ("stays", False)]


def test_a_crowd_is_told_of_in_few_steps() -> None:
    world, steps = World(), list[int]()

    async def tell(words: Words) -> None:
        steps.append(len(words))

    world.attendance.watch(tell)
    for number in range(350):
        link = FakeLink(f"P{number}", ClientType.PATIENT_SYSTEM)
        world.registry.admit(link)
        world.registry.seat(link)
    world.clock.advance(0)
    assert sum(steps) == 350 and len(steps) <= 5


# ---- processes at one Redis


class House:
    """A process at the Redis, whose platform hears what it says."""

    def __init__(self, redis: RedisServer, epoch: str, platform: list[tuple[str, bool]]) -> None:
        origin = secrets.token_hex(4)
        self.registry, self.platform = Registry(0), platform
        self.line = Line(place_of(redis.url, None, reactor), reactor, Random(1))
        self.presence = RedisPresence(self.line, self.registry, epoch=epoch, origin=origin)
        self.judge = RedisJudge(self.presence, reactor, epoch=epoch, origin=origin)
        self.attendance = Attendance(reactor, self.registry, self.judge)
        #: holds up what it says, when set
        self.gate: Deferred[None] | None = None
        self.line.start()
        self.presence.start()
        self.attendance.watch(self._tell)

    async def _tell(self, words: Words) -> None:
        if self.gate is not None:
            await self.gate
        self.platform += words.items()

    def come(self, user_id: str = "p") -> FakeLink:
        link = FakeLink(user_id, ClientType.PATIENT_SYSTEM)
        self.registry.admit(link)
        self.registry.seat(link)
        return link

    @property
    def settled(self) -> bool:
        connection = self.presence.connection
        return connection is not None and self.judge._connection is connection

    async def stop(self) -> None:
        self.attendance.hold()
        for user in list(self.registry.users):
            for link in self.registry.of_user(user):
                self.registry.remove(link)
        self.attendance.stop()
        await self.presence.stop()
        self.line.stop()

    def die(self) -> None:
        self.attendance.stop()
        self.line.stop()
        for call in (self.presence._timer,):
            if call is not None and call.active():
                call.cancel()


class Street:
    def __init__(self, redis: RedisServer) -> None:
        self.redis, self.epoch = redis, secrets.token_hex(8)
        self.platform: list[tuple[str, bool]] = []
        self.houses: list[House] = []

    async def house(self) -> House:
        made = House(self.redis, self.epoch, self.platform)
        self.houses.append(made)
        await until(lambda: made.settled)
        return made

    async def heard(self, *expected: bool, user: str = "p") -> None:
        await until(lambda: self.said(user) == list(expected), f"{expected}, not {self.platform}")

    def said(self, user: str = "p") -> list[bool]:
        return [came for name, came in self.platform if name == user]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imd.delivery.attendance.PATIENCE", 0.3)
    monkeypatch.setattr("imd.delivery.attendance.RETRY", 0.1)
    monkeypatch.setattr(redis_presence, "TTL", 0.8)
    monkeypatch.setattr(redis_presence, "BEAT", 0.1)


@pytest_twisted.async_yield_fixture
async def street(breakable_redis, quick):
    made = Street(breakable_redis)
    yield made
    for house in made.houses:
        if house.line._life is not None:
            await house.stop()


@pytest_twisted.ensureDeferred
async def test_of_two_processes_one_says_it(street: Street) -> None:
    here, there = await street.house(), await street.house()
    users = [f"u{number}" for number in range(50)]
    links = [(house, house.come(user)) for user in users for house in (here, there)]
    await until(lambda: len(street.platform) >= 50)
    for house, link in links:
        house.registry.remove(link)
    await until(lambda: len(street.platform) >= 100)
    here.come("last")
    await street.heard(True, user="last")
    for user in users:
        assert street.said(user) == [True, False]


@pytest_twisted.ensureDeferred
async def test_the_word_is_taken_over_from_one_who_died_before_it_was_said(street: Street) -> None:
    here, there = await street.house(), await street.house()
    here.gate = Deferred()
    here.come("p")
    await until(lambda: here.attendance._round is not None)
    there.come("p")
    await until(lambda: b"+" in street.redis.ask("HGET", f"imd:{street.epoch}:attendance", "p"))
    await until(lambda: there.attendance._round is None)
    assert street.platform == [], "one has the word"
    here.die()
    await street.heard(True)


@pytest_twisted.ensureDeferred
async def test_what_changes_while_it_is_said_is_said_afterwards_in_order(street: Street) -> None:
    here, there = await street.house(), await street.house()
    link = here.come("p")
    await street.heard(True)
    here.gate = Deferred()
    here.registry.remove(link)
    await until(lambda: b"-" in street.redis.ask("HGET", f"imd:{street.epoch}:attendance", "p"))
    there.come("p")
    await until(lambda: there.attendance._unjudged == {} and there.attendance._round is None)
    assert street.said() == [True]
    here.gate.callback(None)
    await street.heard(True, False, True)


@pytest_twisted.ensureDeferred
async def test_a_process_that_is_stopped_leaves_its_users_time_to_come_back(street: Street) -> None:
    here, there = await street.house(), await street.house()
    here.come("back")
    here.come("away")
    await street.heard(True, user="back")
    await street.heard(True, user="away")
    await here.stop()
    assert await there.presence.clients(["back", "away"]) == {}, "they are nowhere"
    there.come("back")
    await street.heard(True, False, user="away")
    assert street.said("back") == [True]


@pytest_twisted.ensureDeferred
async def test_whoever_did_not_come_back_from_a_stop_of_all_is_said_to_be_gone(
    street: Street,
) -> None:
    here = await street.house()
    here.come("back")
    here.come("away")
    await until(lambda: len(street.platform) == 2)
    await here.stop()
    again = await street.house()
    again.come("back")
    await street.heard(True, False, user="away")
    assert street.said("back") == [True]


@pytest_twisted.ensureDeferred
async def test_a_redis_that_forgot_everything_makes_nobody_come_again(street: Street) -> None:
    here, there = await street.house(), await street.house()
    link = here.come("p")
    there.come("p")
    there.come("q")
    await street.heard(True)
    await street.heard(True, user="q")
    street.redis.ask("FLUSHALL")
    key = f"imd:{street.epoch}:attendance"
    await until(lambda: b"=" in street.redis.ask("HGET", key, "q"))
    await until(lambda: here.judge._settling is None and there.judge._settling is None)
    here.registry.remove(link)
    there.come("new")
    await street.heard(True, user="new")
    assert street.said() == street.said("q") == [True]


@pytest_twisted.ensureDeferred
async def test_while_redis_is_away_it_is_said_and_set_right_when_it_returns(
    street: Street,
) -> None:
    here, there = await street.house(), await street.house()
    moves, goes = here.come("moves"), here.come("goes")
    there.come("moves")
    await until(lambda: len(street.platform) == 2)
    street.redis.kill()
    await until(lambda: not here.settled and not there.settled)
    here.registry.remove(moves)
    here.registry.remove(goes)
    there.come("comes")
    await street.heard(True, user="comes")
    await street.heard(True, False, user="goes")
    await street.heard(True, False, user="moves")
    street.redis.start()
    await street.heard(True, False, True, user="moves")
    await until(lambda: here.judge._settling is None and there.judge._settling is None)
    assert street.said("goes") == [True, False] and street.said("comes") == [True]


@pytest_twisted.ensureDeferred
async def test_one_cut_off_for_long_is_right_again_when_it_is_back(street: Street) -> None:
    """Its users were said to be gone by the others, who could not know better."""
    here, there = await street.house(), await street.house()
    here.come("p")
    await street.heard(True)
    place = here.line._place
    here.line._place = place_of("redis://127.0.0.1:1", None, reactor)
    assert here.line.connection is not None
    here.line.connection.abort()
    await street.heard(True, False)
    here.line._place = place
    await street.heard(True, False, True)
    assert there.settled


@pytest_twisted.ensureDeferred
async def test_attendance_in_redis_is_ids_and_not_for_ever(street: Street) -> None:
    here = await street.house()
    here.come("p")
    key = f"imd:{street.epoch}:attendance"
    await until(lambda: b"=" in street.redis.ask("HGET", key, "p"))
    await until(lambda: int(street.redis.ask("PTTL", f"imd:{street.epoch}:processes")[1:]) > 0)
    assert 0 < int(street.redis.ask("PTTL", key)[1:]) <= 86_400_000
