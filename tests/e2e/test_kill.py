"""kill -9 anywhere on the write path, of imd or of its database: nothing acknowledged is lost.

Each round runs senders on REST and on sockets against a server that dies at one named point
(:mod:`tests.e2e.crashing`), starts it again and holds what it has against what it had promised
(I1 to I3 and I5 of page 4.1). ``IMD_TEST_ROUNDS=25`` is the full measure.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path
from random import Random

import pytest

from tests.e2e import crashing
from tests.e2e.conftest import seed, size
from tests.e2e.ledger import Ledger
from tests.e2e.load import Load
from tests.e2e.page import Page
from tests.e2e.server import NO_LIMITS, Imd, running, token, until
from tests.servers import PostgresServer

SCRIPT = Path(crashing.__file__)
#: which passing of the point is the last, at most; the default suits what a batch passes once
LATEST = {"amid-sessions": 6, "before-answer": 80, "before-socket-write": 80}
SESSIONS = 4


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("point", crashing.POINTS)
def test_nothing_acknowledged_is_lost(tmp_path: Path, database_url: str, point: str) -> None:
    random = Random(f"{seed()} {point}")
    imd = Imd(tmp_path / "state", database_url, **NO_LIMITS)
    ledger = Ledger(imd.port)
    program = [sys.executable, "-P", str(SCRIPT)]
    try:
        for round_ in range(size("IMD_TEST_ROUNDS")):
            last = random.randint(1, LATEST.get(point, 25))
            imd.start(program, CRASH_AT=f"{point}:{last}")
            asyncio.run(_round(imd, ledger, f"{point}-{round_}"))
        imd.start()
        asyncio.run(_look_back(ledger, set(ledger.members)))
        trouble = imd.trouble()
        assert not trouble, trouble
    finally:
        imd.kill()


async def _round(imd: Imd, ledger: Ledger, name: str) -> None:
    # What the round before left behind is looked at on the server that came after it.
    await _look_back(ledger, set(list(ledger.members)[-SESSIONS:]))
    load = Load(imd, ledger, name, SESSIONS)
    await load.open()
    try:
        imd.signal(signal.SIGUSR2)
        load.start()
        await asyncio.to_thread(until, lambda: not imd.alive, 60, f"the end at {name}")
        assert imd.status == -signal.SIGKILL
        load.stopping = True
        await load.finish()
    finally:
        await load.close()


async def _look_back(ledger: Ledger, sessions: set[str]) -> None:
    """Check these sessions, repeat what has no answer, and check again."""
    await ledger.check(only=sessions)
    await ledger.retry(only=sessions)
    await ledger.check(only=sessions)


@pytest.mark.timeout(1200)
def test_pages_go_on_over_kills(tmp_path: Path, database_url: str) -> None:
    """A page that stays through kills of the server shows each message once, in order."""
    imd = Imd(tmp_path / "state", database_url, **NO_LIMITS)
    ledger = Ledger(imd.port)
    try:
        imd.start()
        asyncio.run(_watch(imd, ledger, Random(seed())))
        trouble = imd.trouble()
        assert not trouble, trouble
    finally:
        imd.kill()


async def _watch(imd: Imd, ledger: Ledger, random: Random) -> None:
    load = Load(imd, ledger, "watched", 3)
    await load.open()
    load.persist(pause=0.005)
    try:
        for _ in range(max(2, size("IMD_TEST_ROUNDS"))):
            wanted = ledger.acknowledged + random.randint(20, 120)
            async with asyncio.timeout(60):
                while ledger.acknowledged < wanted:
                    await asyncio.sleep(0.01)
            imd.kill()
            imd.launch()
            await asyncio.to_thread(imd.ready)
        load.stopping = True
        await load.finish()
        await ledger.check()
        for page, session_id in zip(load.pages, load.sessions, strict=True):
            newest = max(
                promise.answer["seq"]
                for promise in ledger.promises.values()
                if promise.session_id == session_id and promise.answer is not None
            )
            await page.reached(newest)
            assert [m["seq"] for m in page.shown] == list(range(1, page.last_seq + 1))
            assert len(page.logins) >= 2
    finally:
        await load.close()


@pytest.mark.timeout(1200)
def test_the_database_is_killed_under_load(tmp_path: Path, breakable: PostgresServer) -> None:
    """PostgreSQL crashes (and now and then imd with it); senders repeat until they are answered."""
    url = breakable.create_database()
    with running(tmp_path / "state", url, **NO_LIMITS) as imd:
        asyncio.run(_database_rounds(imd, breakable, Random(seed())))


async def _database_rounds(imd: Imd, database: PostgresServer, random: Random) -> None:
    ledger = Ledger(imd.port)
    load = Load(imd, ledger, "db", SESSIONS)
    await load.open()
    watcher = Page(
        imd.port, token(load.doctor(load.sessions[0]), "doctor"), "doctor", load.sessions[0]
    )
    load.pages.append(watcher)
    load.persist()
    try:
        for round_ in range(max(3, size("IMD_TEST_ROUNDS"))):
            wanted = ledger.acknowledged + random.randint(10, 150)
            async with asyncio.timeout(60):
                while ledger.acknowledged < wanted:
                    await asyncio.sleep(0.01)
            together = round_ % 3 == 2
            if together:
                imd.kill()
            await asyncio.to_thread(database.restart, "immediate")
            if together:
                imd.launch()
                await asyncio.to_thread(imd.ready)
        wanted = ledger.acknowledged + 50
        async with asyncio.timeout(60):
            while ledger.acknowledged < wanted:
                await asyncio.sleep(0.01)
        load.stopping = True
        await load.finish()
        await ledger.check()
        await ledger.retry()
        await ledger.check()
        assert all(promise.answer is not None for promise in ledger.promises.values())
    finally:
        await load.close()
