"""Pages 2.1 and 4.6: a database that is slow, frozen, gone or back costs a 503, never a thread."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.threads import deferToThread

from imd.actions.ports import Posted
from imd.domain.errors import SessionNotFound, Unavailable
from imd.storage import sqlite
from imd.storage.engine import Broken, Collided, Connection, Refused, Row, connector
from imd.storage.executor import Executor
from tests.servers import PostgresServer
from tests.storage.ground import Ground, HandClock, check_order, outcomes, together, until


@pytest.fixture(scope="module")
def own_server() -> Iterator[PostgresServer]:
    """A server to break; one that IMD_TEST_DATABASE_URL lends is not ours to stop."""
    server = PostgresServer()
    if not server.ours:
        pytest.skip("the server is not ours to stop")
    with server:
        yield server


class Gate:
    """Work that waits inside its thread until it is let go."""

    def __init__(self) -> None:
        self.inside, self.open = 0, threading.Event()

    def __call__(self, connection: object) -> str:
        self.inside += 1
        self.open.wait(30)
        return "done"


def pool(url: str, **settings) -> Executor:
    given = {"name": "test", "threads": 2, **settings}
    return Executor(reactor, connector(url), **given)


@pytest_twisted.ensureDeferred
async def test_the_queue_is_bounded(migrated_url: str) -> None:
    executor, gate = pool(migrated_url, waiting=5), Gate()
    running = [executor.run(gate) for _ in range(7)]
    found = await outcomes([executor.run(gate) for _ in range(3)])
    assert [type(f) for f in found] == [Unavailable] * 3
    assert executor.load == 7
    gate.open.set()
    assert await together(running) == ["done"] * 7
    assert executor.load == 0
    assert await executor.run(gate) == "done"
    await executor.close(5)


@pytest_twisted.ensureDeferred
async def test_what_waits_too_long_is_refused_and_never_runs(migrated_url: str) -> None:
    executor, gate = pool(migrated_url, timeout=0.5), Gate()
    running = [executor.run(gate) for _ in range(2)]
    await until(lambda: gate.inside == 2)
    [waiting] = await outcomes([executor.run(gate)])
    assert type(waiting) is Unavailable
    # What runs says itself what became of it, however late.
    assert not any(one.called for one in running)
    gate.open.set()
    assert await together(running) == ["done"] * 2
    await until(lambda: executor.load == 0)
    assert gate.inside == 2
    await executor.close(5)


@pytest_twisted.ensureDeferred
async def test_a_statement_that_takes_too_long_is_broken_off(migrated_url: str) -> None:
    executor = pool(migrated_url, threads=1, timeout=0.5)
    endless = {
        True: "SELECT pg_sleep(60)",
        False: "WITH RECURSIVE t (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t)"
        " SELECT count(*) FROM t",
    }

    def work(connection: Connection) -> list[Row]:
        connection.begin(write=False)
        return connection.rows(endless[connection.row_locks])

    [found] = await outcomes([executor.run(work)])
    assert type(found) is Unavailable
    assert await executor.run(lambda connection: "next") == "next"
    await executor.close(5)


@pytest_twisted.ensureDeferred
async def test_a_caller_that_leaves_drops_only_the_answer(migrated_url: str) -> None:
    executor, gate = pool(migrated_url, threads=1), Gate()
    running = executor.run(gate)
    await until(lambda: gate.inside == 1)
    left = running.addErrback(lambda failure: failure.trap(CancelledError))
    running.cancel()
    await left
    gate.open.set()
    assert await executor.run(lambda connection: "next") == "next"
    await executor.close(5)


@pytest.mark.parametrize(("error", "times", "expected"), [
    (Broken, 1, "done"), (Broken, 2, "done"), (Broken, 3, Unavailable),
    (Collided, 2, "done"), (Collided, 3, Unavailable), (Refused, 1, Unavailable),
    (SessionNotFound, 1, SessionNotFound), (KeyError, 1, KeyError),
])  # fmt: skip
@pytest_twisted.ensureDeferred
async def test_what_is_tried_again_and_what_is_not(
    sqlite_copy: str, error, times, expected
) -> None:
    executor, runs = pool(sqlite_copy, threads=1), []

    def work(connection: object) -> str:
        runs.append(connection)
        if len(runs) <= times:
            raise error("x")
        return "done"

    [found] = await outcomes([executor.run(lambda connection: None)])
    [found] = await outcomes([executor.run(work)])
    assert found == expected or type(found) is expected
    if error is Broken:
        assert len(set(map(id, runs))) == len(runs)  # each time on a new connection
    assert await executor.run(lambda connection: "next") == "next"
    await executor.close(5)


@pytest_twisted.ensureDeferred
async def test_closing_waits_for_work_and_refuses_more(migrated_url: str) -> None:
    executor, gate = pool(migrated_url), Gate()
    running = executor.run(gate)
    await until(lambda: gate.inside)
    closing = executor.close(30)
    [refused] = await outcomes([executor.run(gate)])
    assert type(refused) is Unavailable
    assert not closing.called
    gate.open.set()
    assert await running == "done"
    await closing
    await until(lambda: not any(lane.thread.is_alive() for lane in executor._lanes))
    assert all(lane.connection is None for lane in executor._lanes)


@pytest_twisted.ensureDeferred
async def test_closing_gives_up_on_stuck_work(migrated_url: str) -> None:
    executor, gate = pool(migrated_url), Gate()
    running = executor.run(gate).addErrback(lambda failure: failure.trap(Unavailable))
    await until(lambda: gate.inside)
    await executor.close(0.2)
    gate.open.set()
    await until(lambda: not any(lane.thread.is_alive() for lane in executor._lanes))
    await running


@pytest_twisted.ensureDeferred
async def test_closing_the_store_finishes_what_waits(migrated_url: str) -> None:
    ground = await Ground(migrated_url, HandClock()).open()
    await ground.session("s", "A")
    sends = [ground.send("s", "A", f"{n}") for n in range(300)]
    await ground.close(30)
    assert all(type(posted) is Posted for posted in await outcomes(sends))
    [late] = await outcomes([ground.send("s", "A", "late")])
    assert type(late) is Unavailable


# ---- SQLite


@pytest_twisted.ensureDeferred
async def test_a_busy_file_is_unavailable_and_heals(sqlite_copy: str, monkeypatch) -> None:
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.2)
    ground = await Ground(sqlite_copy, HandClock()).open()
    await ground.session("s", "A")
    path = sqlite_copy.removeprefix("sqlite:///")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        found = await outcomes(
            [ground.send("s", "A", "x", client_msg_id="k"), ground.mark("s", "A")]
        )
        assert [type(f) for f in found] == [Unavailable] * 2
        assert await ground.rows("SELECT count(*) FROM messages") == [(0,)]
        other.execute("ROLLBACK")
    posted = await ground.send("s", "A", "x", client_msg_id="k")
    assert (posted.message.seq, posted.replayed) == (1, False)
    await ground.close()


# ---- PostgreSQL that freezes, dies and comes back


@pytest_twisted.ensureDeferred
async def test_a_frozen_database_gives_its_threads_back(own_server: PostgresServer) -> None:
    url = own_server.create_database()
    ground = await Ground(url, HandClock()).open(timeout=1.0)
    await ground.session("s", "A")
    await together([ground.rows("SELECT 1") for _ in range(8)])
    await deferToThread(own_server.pause)
    try:
        acts: list[Any] = [ground.rows("SELECT 1") for _ in range(8)]
        acts += [ground.send("s", "A", f"{n}", client_msg_id=f"k{n}") for n in range(5)]
        found = await outcomes(acts)
        assert [type(f) for f in found] == [Unavailable] * 13
        # The threads come back although the server is still frozen.
        lanes = [lane for executor in ground.store._executors for lane in executor._lanes]
        await until(lambda: all(lane.task is None for lane in lanes), "all threads free")
    finally:
        await deferToThread(own_server.resume)
    await repeat(lambda: ground.rows("SELECT 1"))
    assert await together([ground.rows("SELECT 1") for _ in range(8)]) == [[(1,)]] * 8
    for n in range(5):
        await repeat(lambda n=n: ground.send("s", "A", f"{n}", client_msg_id=f"k{n}"))
    log = await ground.log("s")
    check_order(log)
    assert sorted(str(m.content) for m in log) == [f"{n}" for n in range(5)]
    await ground.close()


async def repeat(act) -> object:
    """What a client does: the same again after a 503, until it goes through."""
    result: list[object] = []

    async def attempt() -> bool:
        [found] = await outcomes([act()])
        assert isinstance(found, Unavailable) or not isinstance(found, BaseException), found
        result[:] = [found]
        return not isinstance(found, Unavailable)

    deadline = time.monotonic() + 60
    while not await attempt():
        assert time.monotonic() < deadline
        pause: Deferred[None] = Deferred()
        reactor.callLater(0.05, pause.callback, None)
        await pause
    return result[0]


@pytest.mark.parametrize("mode", ["immediate", "fast"])
@pytest_twisted.ensureDeferred
async def test_a_restart_under_load_loses_and_repeats_nothing(
    own_server: PostgresServer, mode
) -> None:
    url = own_server.create_database()
    ground = await Ground(url, HandClock()).open()
    for session in ("s", "t"):
        await ground.session(session, "A", "B")
    stop = False
    said: list[str] = []

    async def talk(session: str, who: str, number: int) -> None:
        turn = 0
        while not stop:
            turn += 1
            text = f"{number}-{turn}"
            posted = await repeat(partial(ground.send, session, who, text, client_msg_id=text))
            assert isinstance(posted, Posted)
            said.append(text)

    async def look() -> None:
        while not stop:
            await repeat(lambda: ground.rows("SELECT count(*) FROM messages"))

    talkers = [talk("st"[n % 2], "AB"[n // 2 % 2], n) for n in range(8)]
    everybody = together([*talkers, *(look() for _ in range(4))])
    await until(lambda: len(said) > 50)
    await deferToThread(own_server.restart, mode)
    before = len(said)
    # It goes on without anybody's help.
    await until(lambda: len(said) > before + 50, "success after the restart")
    stop = True
    await everybody
    stored = []
    for session in ("s", "t"):
        log = await ground.log(session)
        check_order(log)
        stored += [str(m.content) for m in log]
        assert all(a == b for a, b in (await ground.recount(session)).values())
    assert sorted(stored) == sorted(said)
    # No connection was poisoned: every lane answers.
    assert await together([ground.rows("SELECT 1") for _ in range(50)]) == [[(1,)]] * 50
    await ground.close()


@pytest_twisted.ensureDeferred
async def test_a_database_that_is_away_is_unavailable_and_needs_no_restart(own_server) -> None:
    url = own_server.create_database()
    ground = await Ground(url, HandClock()).open()
    await ground.session("s", "A")
    await deferToThread(own_server.halt)
    acts = [
        ground.rows("SELECT 1"),
        ground.send("s", "A"),
        ground.mark("s", "A"),
        ground.store.ping(),
    ]
    found = await outcomes(acts)
    assert [type(f) for f in found] == [Unavailable] * 4
    await deferToThread(own_server.start)
    await repeat(ground.store.ping)
    await repeat(lambda: ground.send("s", "A"))
    await ground.close()
