"""A crowd of newcomers passes one by one; nobody waits when there is none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from imd.domain.errors import Unavailable
from imd.websocket.room import LOGINS, Room, SocketSettings
from imd.websocket.turnstile import Turnstile


def test_one_alone_does_not_wait():
    clock, passed = Clock(), []
    turnstile = Turnstile(clock)
    assert turnstile.enter(lambda: passed.append(1)) and passed == [1]
    clock.advance(0)
    assert turnstile.enter(lambda: passed.append(2)) and passed == [1, 2]
    clock.advance(0)
    assert clock.getDelayedCalls() == []


class Turns:
    """A reactor's turns: what is called later in one runs in the next."""

    def __init__(self) -> None:
        self.calls: list[Callable[[], object]] = []

    def callLater(self, seconds: float, call: Callable[[], object]) -> object:
        assert seconds == 0
        self.calls.append(call)
        return call

    def turn(self) -> None:
        calls, self.calls = self.calls, []
        for call in calls:
            call()


def test_a_crowd_passes_one_a_turn_in_its_order():
    turns, passed = Turns(), []
    turnstile = Turnstile(cast(Any, turns))
    for number in range(4):
        assert turnstile.enter(lambda number=number: passed.append(number))
    assert passed == [0] and len(turnstile) == 3
    for turn in range(1, 4):
        turns.turn()
        assert passed == list(range(turn + 1))
    turnstile.enter(lambda: passed.append(4))
    assert passed[-1] == 3
    turns.turn()
    assert passed[-1] == 4
    turns.turn()
    assert turns.calls == []


def test_too_many_are_refused_and_a_stop_forgets_all():
    clock, passed = Clock(), []
    turnstile = Turnstile(clock, most=2)
    taken = [turnstile.enter(lambda: passed.append(0)) for _ in range(4)]
    assert taken == [True, True, True, False]
    turnstile.stop()
    clock.advance(1)
    assert passed == [0] and clock.getDelayedCalls() == []


def test_one_that_fails_does_not_stop_the_others():
    clock, passed = Clock(), []
    turnstile = Turnstile(clock)
    turnstile.enter(lambda: None)
    turnstile.enter(lambda: 1 / 0)
    turnstile.enter(lambda: passed.append(1))
    try:
        clock.advance(0)
    except ZeroDivisionError:
        clock.advance(0)
    assert passed == [1]


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
    turns, passed = Turns(), []
    turnstile = Turnstile(cast(Any, turns), most=2)
    waiting = [turnstile.turn() for _ in range(4)]
    for number, turn in enumerate(waiting):
        turn.addCallbacks(lambda _, n=number: passed.append(n), lambda failure: failure.type)
    assert passed == [0]
    assert waiting[3].result is Unavailable
    waiting[1].addErrback(lambda failure: None)
    waiting[1].cancel()
    turns.turn()
    turns.turn()
    assert passed == [0, 2]
