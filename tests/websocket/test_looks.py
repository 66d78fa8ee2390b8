"""Whom a tick looks at: nobody who has nothing due."""

from __future__ import annotations

from pytest_twisted import ensureDeferred

from imd.websocket.link import Link
from imd.websocket.looks import Looks
from tests.websocket.conftest import Server


class Counted:
    def __init__(self) -> None:
        self.look = 0

    def sweep(self, now: int) -> None: ...


def test_the_sooner_look_wins_and_the_later_is_gone() -> None:
    looks, link = Looks(), Counted()
    looks.within(link, 0, 25)
    looks.within(link, 0, 60)
    looks.within(link, 0, 2.1)
    assert [tick for tick in range(1, 70) if looks.at(tick)] == [3]
    assert link.look == 0


def test_a_look_is_never_at_once_and_never_in_the_past() -> None:
    looks, link = Looks(), Counted()
    for ticks in (0, -5, 0.1):
        looks.within(link, 7, ticks)
        assert looks.at(7) == [] and looks.at(8) == [link]


def test_who_is_forgotten_is_not_kept() -> None:
    looks, one, other = Looks(), Counted(), Counted()
    looks.within(one, 0, 1)
    looks.within(other, 0, 1)
    looks.forget(one)
    looks.forget(one)
    assert looks.at(1) == [other] and looks.at(1) == []


@ensureDeferred
async def test_a_silent_connection_is_looked_at_for_its_ping_and_no_more(
    server: Server, monkeypatch
) -> None:
    client = await server.login()
    swept: list[int] = []
    sweep = Link.sweep

    def counting(link: Link, now: int) -> None:
        swept.append(link.room.tick)
        sweep(link, now)

    monkeypatch.setattr(Link, "sweep", counting)
    for number in range(1, 5):
        server.seconds(25)
        await client.until(lambda n=number: client.pings == n)
        await client.result("topic")
    # Another one was for the time within which a login had to come.
    assert swept == [10, 25, 50, 75, 100]
