"""The database goes away and comes back: a 503 that says when to come again, and no restart."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from tests.asking import Answer
from tests.e2e.page import Page
from tests.e2e.rest import Rest
from tests.e2e.server import NO_LIMITS, Imd, running, token
from tests.servers import PostgresServer

DOCTOR, PATIENT, SESSION = "D1", "p1", "p1_t1_2"
SETTINGS = {**NO_LIMITS, "IMD_HTTP_REQUEST_TIMEOUT": "2"}


def _must_be_away(answer: Answer) -> None:
    assert answer.must(503)["code"] == "unavailable"
    assert int(answer.headers["retry-after"]) >= 0


async def _open(imd: Imd, rest: Rest) -> Page:
    await rest.open_session(SESSION, f"{DOCTOR}:doctor", f"{PATIENT}:patient")
    (await rest.post(SESSION, "之前", "before")).must(201)
    page = Page(imd.port, token(PATIENT, "patient"), "patient", SESSION)
    await page.until(lambda: page.last_seq == 1)
    return page


async def _back(rest: Rest, key: str) -> Answer:
    """Repeat with the same key until it is stored."""
    end = time.monotonic() + 30
    while (answer := await rest.post(SESSION, "之后", key)).status == 503:
        assert time.monotonic() < end, "the database is back and imd is not"
        await asyncio.sleep(0.05)
    return answer


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_database_that_is_restarted(tmp_path: Path, breakable: PostgresServer, mode: str) -> None:
    with running(tmp_path / "state", breakable.create_database(), **SETTINGS) as imd:
        asyncio.run(_restart(imd, breakable, mode))


async def _restart(imd: Imd, database: PostgresServer, mode: str) -> None:
    async with Rest(imd.port, token(DOCTOR, "doctor")) as rest:
        page = await _open(imd, rest)
        await asyncio.to_thread(database.halt, "immediate" if mode == "immediate" else "fast")
        _must_be_away(await rest.post(SESSION, "之后", "k"))
        _must_be_away(await rest.ask("GET", f"/sessions/{SESSION}/messages"))
        assert (await rest.ask("GET", "/readyz")).status == 503
        (await rest.ask("GET", "/healthz")).must(200)
        await asyncio.to_thread(database.start)
        (await _back(rest, "k")).must(201)
        assert [m["content"] for m in await rest.every_message(SESSION)] == ["之前", "之后"]
        await page.until(lambda: page.last_seq == 2)
        assert (page.faults, len(page.logins)) == ([], 1)
        (await rest.ask("GET", "/readyz")).must(200)
        await page.close()


@pytest.mark.parametrize("whole", [True, False], ids=["server", "one-backend"])
def test_a_database_that_freezes(tmp_path: Path, breakable: PostgresServer, whole: bool) -> None:
    url = breakable.create_database()
    with running(tmp_path / "state", url, **SETTINGS) as imd:
        asyncio.run(_freeze(imd, breakable, url, whole))


async def _freeze(imd: Imd, database: PostgresServer, url: str, whole: bool) -> None:
    async with Rest(imd.port, token(DOCTOR, "doctor")) as rest:
        page = await _open(imd, rest)
        frozen = [None] if whole else _backends(database, url)
        for pid in frozen:
            database.pause(pid)
        try:
            async with asyncio.timeout(10):
                answer = await rest.post(SESSION, "之后", "k")
            if whole or answer.status == 503:
                _must_be_away(answer)
            # Otherwise a fresh connection stored it meanwhile, which is better still.
            (await rest.ask("GET", "/healthz")).must(200)
        finally:
            for pid in frozen:
                database.resume(pid)
        (await _back(rest, "k")).must(201)
        assert [m["content"] for m in await rest.every_message(SESSION)] == ["之前", "之后"]
        await page.until(lambda: page.last_seq == 2)
        assert (page.faults, len(page.logins)) == ([], 1)
        await page.close()


def _backends(database: PostgresServer, url: str) -> list[int | None]:
    """The server's sides of imd's connections."""
    rows = database.execute(
        "SELECT pid FROM pg_stat_activity WHERE application_name = 'imd'"
        " AND datname = current_database()",
        url=url,
    )
    assert rows
    return [row[0] for row in rows]
