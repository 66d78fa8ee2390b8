"""I8 with two real processes and no Redis: nothing reaches whom the other process has removed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from tests.e2e.page import Page
from tests.e2e.server import NO_LIMITS, running
from tests.e2e.town import DOCTOR, PATIENT, SESSION, Town, play, told
from tests.redis_server import RedisServer

ROUNDS = 5


@pytest.fixture
def town(tmp_path: Path, postgres_url: str, breakable_redis: RedisServer) -> Iterator[Town]:
    """A sweep would find the removed sooner or later: here it does not come."""
    settings = {**NO_LIMITS, "IMD_BUS_URL": breakable_redis.url, "IMD_BUS_SWEEP": "60"}
    with ExitStack() as servers:
        here, there = (
            servers.enter_context(running(tmp_path / name, postgres_url, **settings))
            for name in ("here", "there")
        )
        yield Town(here, there, breakable_redis)


def _told(page: Page, what: str) -> Sequence[object]:
    return page.shown if what == "message" else told(page, what)


def _more(page: Page, what: str, before: int) -> bool:
    return len(_told(page, what)) > before


async def _happen(town: Town, what: str, number: int, message_id: str) -> None:
    """In the process that has not heard of the removal."""
    if what == "message":
        (await town.far.post(SESSION, "只有我们", f"after{number}")).must(201)
    elif what == "update":
        path = f"/sessions/{SESSION}/messages/{message_id}"
        (await town.far.ask("DELETE", path)).must(200)
    else:
        path = f"/sessions/{SESSION}/name"
        (await town.far.ask("PUT", path, {"name": f"改名{number}"})).must(200)


@pytest.mark.parametrize("first", ["message", "update", "session"])
def test_the_first_thing_after_a_removal_ends_the_removed_and_tells_him_nothing(
    town: Town, first: str
) -> None:
    async def test(town: Town) -> None:
        town.redis.kill()
        await town.ready(town.near, True)
        await town.ready(town.far, True)
        members = f"/sessions/{SESSION}/participants"
        stays = await town.page(town.there, DOCTOR)
        for number in range(ROUNDS):
            (await town.far.ask("PUT", f"{members}/{PATIENT}")).must(200)
            made = (await town.far.post(SESSION, f"{number}", f"k{number}")).must(201)
            gone = await town.page(town.there, PATIENT)
            await stays.reached(made["seq"])
            await gone.call("topic")  # what happened before has arrived
            (await town.near.ask("DELETE", f"{members}/{PATIENT}")).must(200)
            known, before = len(gone.notices), len(_told(stays, first))
            await _happen(town, first, number, made["id"])
            await stays.until(partial(_more, stays, first, before))
            await gone.until(partial(getattr, gone, "closes"))
            assert gone.closes[0][0] == 4403
            assert [m["seq"] for m in gone.shown] == list(range(1, made["seq"] + 1))[-20:]
            assert gone.notices[known:] == []

    play(town, test)
