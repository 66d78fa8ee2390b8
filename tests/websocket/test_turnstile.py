"""A crowd passes by and by, and leaves time to the others; nobody waits when there is no crowd."""

from __future__ import annotations

from typing import Any, cast

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from imd.domain.errors import Unavailable
from imd.websocket.room import LOGINS, Room, SocketSettings
from imd.websocket.turnstile import OTHERS, SLICE, Turnstile
from tests.storage.ground import until


class Street:
    """A turnstile, a clock, and work that takes its time of the reactor's."""

    def __init__(self, most: int = 10_000) -> None:
        self.clock, self.work, self.passed = Clock(), 0.0, list[Any]()
        self.turnstile = Turnstile(self.clock, most, lambda: self.work)

    def one(self, name: object, takes: float = SLICE) -> Any:
        def pass_through() -> None:
            self.work += takes
            self.passed.append(name)

        return pass_through


def test_one_alone_does_not_wait():
    street = Street()
    assert street.turnstile.enter(street.one(1)) and street.passed == [1]
    street.clock.advance(OTHERS * SLICE)
    assert street.turnstile.enter(street.one(2)) and street.passed == [1, 2]
    street.clock.advance(OTHERS * SLICE)
    assert street.clock.getDelayedCalls() == []


def test_after_each_slice_of_a_crowd_the_others_have_their_part():
    street = Street()
    for number in range(10):
        assert street.turnstile.enter(street.one(number, SLICE / 3))
    assert street.passed == [0], "the first came alone"
    street.clock.advance(OTHERS * SLICE / 3)
    assert street.passed == [0, 1, 2, 3] or street.passed == [0, 1, 2, 3, 4], "a slice full"
    before = len(street.passed)
    spent = street.work - SLICE / 3
    street.clock.advance(OTHERS * spent * 0.9)
    assert len(street.passed) == before, "the break is as long as the slice was, and its part"
    for _ in range(10):
        street.clock.advance(OTHERS * 2 * SLICE)
    assert street.passed == list(range(10)) and len(street.turnstile) == 0
    assert street.clock.getDelayedCalls() == []


def test_the_dearer_one_is_the_longer_the_others_have():
    street = Street()
    for number in range(3):
        street.turnstile.enter(street.one(number, 100 * SLICE))
    street.clock.advance(OTHERS * 99 * SLICE)
    assert street.passed == [0]
    street.clock.advance(OTHERS * 2 * SLICE)
    assert street.passed == [0, 1]


def test_who_has_come_further_goes_first():
    street = Street()
    for name in ("first", "outside", "further outside"):
        street.turnstile.enter(street.one(name))
    street.turnstile.turn().addCallback(lambda _: street.one("login")())
    street.turnstile.go_on(street.one("result"))
    for _ in range(5):
        street.clock.advance(OTHERS * SLICE)
    assert street.passed == ["first", "login", "result", "outside", "further outside"]


def test_too_many_are_refused_and_a_stop_forgets_all():
    street = Street(most=2)
    taken = [street.turnstile.enter(street.one(0)) for _ in range(4)]
    assert taken == [True, True, True, False]
    for _ in range(5):
        street.turnstile.go_on(street.one("never refused"))
    street.turnstile.stop()
    street.clock.advance(1)
    assert street.passed == [0] and street.clock.getDelayedCalls() == []


def test_one_that_fails_does_not_stop_the_others():
    street = Street()
    street.turnstile.enter(street.one(0))
    street.turnstile.enter(lambda: 1 / 0)
    street.turnstile.enter(street.one(1))
    with pytest.raises(ZeroDivisionError):
        street.clock.advance(OTHERS * SLICE)
    street.clock.advance(OTHERS * SLICE)
    assert street.passed == [0, 1]


def test_few_logins_ask_the_database_at_once():
    room = Room(cast(Any, None), cast(Any, None), {}, SocketSettings(), Turnstile(Clock()))
    asked: list[Deferred[None]] = []

    async def ask() -> None:
        answer: Deferred[None] = Deferred()
        asked.append(answer)
        await answer

    for _ in range(3 * LOGINS):
        Deferred.fromCoroutine(room.in_turn(ask)).addErrback(lambda failure: None)
    assert len(asked) == LOGINS
    asked[0].callback(None)
    assert len(asked) == LOGINS + 1
    asked[1].errback(Unavailable())
    assert len(asked) == LOGINS + 2


def test_who_waits_for_a_turn_gets_it_or_is_told():
    street = Street(most=2)
    street.turnstile.enter(street.one("before"))
    waiting = [street.turnstile.turn() for _ in range(3)]
    for number, turn in enumerate(waiting):
        turn.addCallbacks(lambda _, n=number: street.one(n)(), lambda failure: failure.type)
    assert waiting[2].result is Unavailable
    waiting[0].addErrback(lambda failure: None)
    waiting[0].cancel()
    street.clock.advance(OTHERS * SLICE)
    street.clock.advance(OTHERS * SLICE)
    assert street.passed == ["before", 1]


@pytest_twisted.ensureDeferred
async def test_peers_that_end_at_once_are_forgotten_by_and_by(server, monkeypatch):
    clients = [await server.login("p") for _ in range(8)]
    turnstile, ended = server.sockets.room.turnstile, list[Any]()
    await until(lambda: turnstile._break is None)
    monkeypatch.setattr(turnstile, "go_on", ended.append)
    for client in clients:
        client.transport.loseConnection()
    await until(lambda: len(ended) == 8)
    assert len(server.sockets) == 8
    for number, end in enumerate(ended):
        end()
        assert len(server.sockets) == 7 - number
    ended[0]()  # a second end is none
    assert not server.courier.registry.users
