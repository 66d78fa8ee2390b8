"""Who came and who is gone is said once for a user, whatever the processes (page 4.4)."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.endpoint import Endpoint, endpoint
from tests.e2e.page import Page
from tests.e2e.rest import Rest
from tests.e2e.server import NO_LIMITS, Imd, running, token, twistd, until
from tests.e2e.town import DOCTOR, PATIENT, Town, play
from tests.redis_server import RedisServer

#: seconds: without a socket until one is gone, for an event to arrive, until a process is dead
PATIENCE, ARRIVES, DEAD = 5.0, 2.0, 15.0


class Place(Town):
    """A town whose platform hears of comings and goings."""

    platform: Endpoint

    async def hears(self, user: str, *expected: str, within: float = ARRIVES) -> None:
        async with asyncio.timeout(within):
            while self.platform.heard(user) != list(expected):
                await asyncio.sleep(0.02)

    async def silent(self, user: str, *expected: str, seconds: float = PATIENCE + ARRIVES) -> None:
        """Nothing more is heard for that long."""
        await asyncio.sleep(seconds)
        assert self.platform.heard(user) == list(expected)


@pytest.fixture
def place(tmp_path: Path, postgres_url: str, breakable_redis: RedisServer) -> Iterator[Place]:
    with ExitStack() as stack:
        platform = stack.enter_context(endpoint("user.online", "user.offline"))
        settings = {**NO_LIMITS, **platform.settings, "IMD_BUS_URL": breakable_redis.url}
        here, there = (
            stack.enter_context(running(tmp_path / name, postgres_url, **settings))
            for name in ("here", "there")
        )
        place = Place(here, there, breakable_redis)
        place.platform = platform
        yield place


def test_a_user_with_sockets_in_two_processes_comes_once_and_goes_once(place: Place) -> None:
    async def test(_: Town) -> None:
        pages = [await place.page(imd, PATIENT) for imd in (place.here, place.there)]
        await place.hears(PATIENT, "online")
        await asyncio.gather(*(page.close() for page in pages))
        await place.hears(PATIENT, "online", "offline", within=PATIENCE + ARRIVES)
        await place.silent(PATIENT, "online", "offline", seconds=ARRIVES)
        await place.page(place.there, PATIENT)
        await place.hears(PATIENT, "online", "offline", "online")

    play(place, test)


def test_one_who_moves_between_processes_was_never_gone(place: Place) -> None:
    async def test(_: Town) -> None:
        for imd in (place.here, place.there, place.here, place.there):
            page = await place.page(imd, PATIENT)
            await place.hears(PATIENT, "online")
            await page.close()
        await place.page(place.here, PATIENT)
        await place.silent(PATIENT, "online")

    play(place, test)


def test_the_patience_counts_from_the_last_socket_of_all(place: Place) -> None:
    async def test(_: Town) -> None:
        first, second = [await place.page(imd, PATIENT) for imd in (place.here, place.there)]
        await first.close()
        await asyncio.sleep(0.6 * PATIENCE)
        await second.close()
        await place.silent(PATIENT, "online", seconds=0.6 * PATIENCE)
        await place.hears(PATIENT, "online", "offline", within=PATIENCE)

    play(place, test)


def test_who_was_in_a_process_that_died_is_gone_unless_it_came_back(place: Place) -> None:
    async def test(_: Town) -> None:
        await place.page(place.there, PATIENT)
        doctor = await place.page(place.there, DOCTOR)
        await place.hears(PATIENT, "online")
        await place.hears(DOCTOR, "online")
        place.there.kill()
        await place.page(place.here, DOCTOR)
        await place.hears(PATIENT, "online", "offline", within=DEAD + ARRIVES)
        assert place.platform.heard(DOCTOR) == ["online"]
        await doctor.close()

    play(place, test)


def test_without_redis_it_may_be_said_again_and_is_right_afterwards(place: Place) -> None:
    async def test(_: Town) -> None:
        page = await place.page(place.here, PATIENT)
        doctor = await place.page(place.here, DOCTOR)
        await place.hears(PATIENT, "online")
        await place.hears(DOCTOR, "online")
        place.redis.kill()
        await place.ready(place.near, True)
        await place.ready(place.far, True)
        moved = await place.page(place.there, PATIENT)
        await page.close()
        await doctor.close()
        await place.hears(DOCTOR, "online", "offline", within=PATIENCE + ARRIVES)
        place.redis.start()
        await asyncio.sleep(DEAD)
        assert place.platform.heard(PATIENT)[-1] == "online"
        assert place.platform.heard(DOCTOR) == ["online", "offline"]
        await moved.close()
        until(lambda: place.platform.heard(PATIENT)[-1] == "offline", PATIENCE + ARRIVES, "gone")

    play(place, test)


def test_a_roll_of_the_workers_sends_nobody_away(
    tmp_path: Path, postgres_url: str, breakable_redis: RedisServer
) -> None:
    users = [f"p{number}" for number in range(20)]

    async def test(imd: Imd, platform: Endpoint) -> None:
        pages = [Page(imd.port, token(u, "patient"), "patient_system", None) for u in users]
        for page in pages:
            await page.opened()
        await asyncio.to_thread(
            until, lambda: all(platform.heard(user) for user in users), ARRIVES, "all came"
        )
        imd.signal(signal.SIGHUP)
        await asyncio.to_thread(until, lambda: "are replaced" in imd.log, 90, "the roll")
        await asyncio.sleep(DEAD)
        assert {user: platform.heard(user) for user in users} == {u: ["online"] for u in users}
        assert all(page.open and len(page.logins) > 1 for page in pages)
        for page in pages:
            await page.close()

    with endpoint("user.online", "user.offline") as platform:
        settings = {**NO_LIMITS, **platform.settings, "IMD_BUS_URL": breakable_redis.url}
        imd = Imd(tmp_path / "state", postgres_url, IMD_HTTP_DRAIN="8", **settings)
        try:
            imd.start([*twistd(), "--workers", "2"])
            until(lambda: "Starting IM server" in imd.log, 30, "all workers serve")
            asyncio.run(_members(imd, users))
            asyncio.run(test(imd, platform))
            assert imd.stop() == 0 and not imd.trouble()
        finally:
            imd.kill()


async def _members(imd: Imd, users: list[str]) -> None:
    async with Rest(imd.port, Town.doctor()) as rest:
        await rest.open_session("all", f"{DOCTOR}:doctor", *(f"{user}:patient" for user in users))
