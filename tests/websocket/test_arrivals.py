"""Logins that wait at the same time share a look at the store; each gets its own outcome."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import CancelledError, Deferred

from imd.actions.live import Entry, Joined
from imd.domain.caller import TRUSTED
from imd.domain.errors import SessionNotFound, Unavailable
from imd.domain.ids import UserId
from imd.websocket.arrivals import LOOKS, MOST, Arrivals
from tests.websocket.fakes_live import FakeDatabase, World, make_house


def _at_once(follows: Callable[[], object]) -> None:
    follows()


class Hall:
    def __init__(self) -> None:
        world = World()
        for name in ("s", "t"):
            world.open(name, "d", "p")
        world.store("s")
        self.db = FakeDatabase(world)
        self.db.patient = True
        house = make_house(world, self.db, None, None, None)
        self.arrivals = Arrivals(house, _at_once)
        self.done: list[object] = []

    def come(self, session_id: str = "s", user_id: str = "p") -> Deferred[Joined]:
        entry = Entry(TRUSTED, UserId(user_id), session_id, None, None)
        return self.arrivals.join(entry).addBoth(self.done.append)


def test_one_alone_asks_at_once() -> None:
    hall = Hall()
    hall.come()
    hall.db.go()
    (joined,) = hall.done
    assert isinstance(joined, Joined)
    assert (joined.last_seq, joined.unread_total) == (1, 1)


def test_a_crowd_asks_in_few_looks_of_bounded_size() -> None:
    hall, crowd = Hall(), 3000
    for _ in range(crowd):
        hall.come()
    while hall.db.waiting:
        assert len(hall.db.waiting) <= LOOKS
        before = len(hall.done)
        hall.db.go()
        assert 0 < len(hall.done) - before <= MOST
    assert len(hall.done) == crowd
    assert hall.db.reads <= LOOKS + -(-crowd // MOST)


def test_each_gets_its_own_outcome() -> None:
    hall = Hall()
    for _ in range(LOOKS):
        hall.come()
    first, stranger, second = hall.come("s"), hall.come("none"), hall.come("t")
    while hall.db.waiting:
        hall.db.go()
    assert [type(one) for one in hall.done[:LOOKS]] == [Joined] * LOOKS
    said = hall.done[LOOKS:]
    assert [getattr(one, "type", None) for one in said] == [None, SessionNotFound, None]
    assert [one.session.id for one in said if isinstance(one, Joined)] == ["s", "t"]
    assert first.called and stranger.called and second.called


def test_an_absent_database_is_told_to_all_and_does_not_stop_the_next() -> None:
    hall = Hall()
    hall.db.away = True
    for _ in range(LOOKS + 3):
        hall.come()
    while hall.db.waiting:
        hall.db.go()
    assert {getattr(one, "type", None) for one in hall.done} == {Unavailable}
    hall.db.away = False
    hall.come()
    hall.db.go()
    assert isinstance(hall.done[-1], Joined)


def test_a_look_that_is_cancelled_keeps_nobody_waiting() -> None:
    hall = Hall()
    hall.db.away, hall.db.failure = True, CancelledError
    for _ in range(LOOKS + 3):
        hall.come()
    while hall.db.waiting:
        hall.db.go()
    assert [getattr(one, "type", None) for one in hall.done] == [Unavailable] * (LOOKS + 3)
    hall.db.away = False
    hall.come()
    hall.db.go()
    assert isinstance(hall.done[-1], Joined)


def test_who_left_meanwhile_is_passed_over() -> None:
    hall = Hall()
    gone, stays = hall.come(), hall.come()
    gone.cancel()
    while hall.db.waiting:
        hall.db.go()
    assert stays.called and isinstance(hall.done[-1], Joined)
