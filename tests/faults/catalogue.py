"""The faults that a run can have, by name: each begins, lasts, and is over.

A fault is a context around the time that it lasts; what it draws comes from a generator of its
own. Those of the network stand in :mod:`tests.faults.networks`, those of pages that do not read in
:mod:`tests.faults.readers`.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import closing, suppress
from pathlib import Path
from random import Random
from typing import Any, Final

import psycopg2

from imd.delivery.redis_bus import channel_of
from imd.service.crew import Crew
from tests.e2e.crashing import POINTS
from tests.faults.acting import SESSIONS
from tests.faults.fault import Fault, Shelf
from tests.faults.networks import NETWORK_FAULTS
from tests.faults.readers import READER_FAULTS
from tests.faults.world import Node, World, limit_files, processes_of

_shelf = Shelf()
_fault = _shelf.put


# ---- nodes (F1, F2, F3, F32)


@_fault("node")
async def kill(world: World, random: Random) -> AsyncIterator[None]:
    """kill -9 of a node, which stays away."""
    node = random.choice(world.nodes)
    node.held = True
    node.kill()
    yield
    node.held = False


@_fault("node")
async def kill_all(world: World, random: Random) -> AsyncIterator[None]:
    """kill -9 of all nodes at once."""
    for node in world.nodes:
        node.held = True
        node.kill()
    yield
    for node in world.nodes:
        node.held = False


@_fault("node", "alone")
async def crash_point(world: World, random: Random) -> AsyncIterator[None]:
    """A node dies at a named point of the write path."""
    node = random.choice(world.nodes)
    node.kill()
    node.crash_at = f"{random.choice(sorted(POINTS))}:{random.randint(1, 12)}"
    await _served(node)
    with suppress(ProcessLookupError):
        node.expected = True
        node.imd.signal(signal.SIGUSR2)
    yield
    node.crash_at = ""
    node.kill()


@_fault("node")
async def term(world: World, random: Random) -> AsyncIterator[None]:
    """SIGTERM, and a new process."""
    node = random.choice(world.nodes)
    node.held = True
    await node.terminate()
    node.held = False
    yield


@_fault("node")
async def roll(world: World, random: Random) -> AsyncIterator[None]:
    """One node after another is stopped and started again."""
    for node in world.nodes:
        node.held = True
        await node.terminate()
        node.held = False
        await _served(node)
    yield


@_fault("node")
async def pause(world: World, random: Random) -> AsyncIterator[None]:
    """A node is frozen, and goes on as if nothing had been."""
    node = random.choice(world.nodes)
    process = node.imd.process
    if process is None or not node.imd.alive:
        yield
        return
    process.send_signal(signal.SIGSTOP)
    yield
    process.send_signal(signal.SIGCONT)


@_fault("node", "workers")
async def worker_kill(world: World, random: Random) -> AsyncIterator[None]:
    """kill -9 of one worker; its supervisor has it back within 3 s."""
    _signal_worker(world, random, signal.SIGKILL)
    yield


@_fault("node", "workers")
async def worker_pause(world: World, random: Random) -> AsyncIterator[None]:
    """One worker is frozen."""
    pid = _signal_worker(world, random, signal.SIGSTOP)
    yield
    if pid is not None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


@_fault("node", "workers")
async def worker_roll(world: World, random: Random) -> AsyncIterator[None]:
    """SIGHUP: workers are replaced one after another, and no connection is refused."""
    for node in world.nodes:
        if node.served and node.imd.alive:
            node.imd.signal(signal.SIGHUP)
    yield


@_fault("node", "workers")
async def crash_loop(world: World, random: Random) -> AsyncIterator[None]:
    """One worker dies whenever it is started; the pauses between its starts double (F3)."""
    node = random.choice(world.nodes)
    name = f"--worker={random.randint(1, world.workers)}".encode()
    dead: set[int] = set()

    def strike() -> None:
        for pid in processes_of(node.imd.pid) if node.imd.alive else []:
            with suppress(OSError):
                if name in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
                    os.kill(pid, signal.SIGKILL)
                    dead.add(pid)

    async def poison() -> None:
        while True:
            await asyncio.to_thread(strike)
            await asyncio.sleep(0.05)

    begun = time.monotonic()
    poisoning = asyncio.ensure_future(poison())
    yield
    poisoning.cancel()
    # After pauses of 0.1, 0.2, 0.4 ... seconds, and a roll that it came into.
    most = 3 + math.log2(1 + (time.monotonic() - begun) / Crew.minRestartDelay)
    if len(dead) > most:
        node.trouble.append(f"a worker that dies at once was started {len(dead)} times")


def _signal_worker(world: World, random: Random, number: signal.Signals) -> int | None:
    node = random.choice(world.nodes)
    workers = processes_of(node.imd.pid) if node.imd.alive else []
    if not workers:
        return None
    pid = random.choice(workers)
    os.kill(pid, number)
    return pid


async def _served(node: Node) -> None:
    """Wait until the keeper has brought it back."""
    await asyncio.sleep(0.2)
    async with asyncio.timeout(30):
        while not (node.imd.alive and await asyncio.to_thread(node.imd.answers, "/healthz")):
            await asyncio.sleep(0.05)


# ---- the database (F4, F6, F7, F8)


@_fault("database", "postgres")
async def db_crash(world: World, random: Random) -> AsyncIterator[None]:
    """The database crashes and comes back at once."""
    assert world.postgres is not None
    await asyncio.to_thread(world.postgres.restart, "immediate")
    yield


@_fault("database", "postgres")
async def db_restart(world: World, random: Random) -> AsyncIterator[None]:
    """The database is restarted in good order, and is away for a while."""
    assert world.postgres is not None
    await asyncio.to_thread(world.postgres.halt, "fast")
    yield
    await asyncio.to_thread(world.postgres.start)


@_fault("database", "postgres")
async def db_freeze(world: World, random: Random) -> AsyncIterator[None]:
    """The whole database stands still."""
    assert world.postgres is not None
    world.postgres.pause()
    yield
    world.postgres.resume()


@_fault("database", "postgres")
async def db_freeze_one(world: World, random: Random) -> AsyncIterator[None]:
    """One backend stands still."""
    assert world.postgres is not None
    backends = await asyncio.to_thread(_backends, world)
    if not backends:
        yield
        return
    pid = random.choice(backends)
    world.postgres.pause(pid)
    yield
    with suppress(ProcessLookupError):
        world.postgres.resume(pid)


@_fault("database", "postgres")
async def db_lock(world: World, random: Random) -> AsyncIterator[None]:
    """Somebody else holds the lock of every session."""
    connection = await asyncio.to_thread(psycopg2.connect, world.url)
    with closing(connection), connection.cursor() as cursor:
        sql = "SELECT id FROM sessions ORDER BY id FOR UPDATE"
        # A batch that is under way holds some; it ends soon.
        await asyncio.to_thread(cursor.execute, sql)
        yield


@_fault("database")
async def disk_full(world: World, random: Random) -> AsyncIterator[None]:
    """Nothing can be added any more (SQLite: no file grows; PostgreSQL: SQLSTATE 53100)."""
    if world.postgres is not None:
        await asyncio.to_thread(_execute, world, _FULL)
        yield
        await asyncio.to_thread(_execute, world, "DROP TRIGGER full_disk ON im.messages")
        return
    pids = [node.imd.pid for node in world.nodes if node.imd.alive]
    for pid in pids:
        limit_files(pid, 4096)
    yield
    for pid in pids:
        with suppress(ProcessLookupError):
            limit_files(pid, None)


_FULL: Final = """
CREATE OR REPLACE FUNCTION public.full_disk() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'no space left on device' USING ERRCODE = '53100'; END $$;
CREATE TRIGGER full_disk BEFORE INSERT ON im.messages EXECUTE FUNCTION public.full_disk();
"""


@_fault("database", "postgres")
async def db_read_only(world: World, random: Random) -> AsyncIterator[None]:
    """The database takes no writes, as one that is being failed over does (F5)."""
    await asyncio.to_thread(_read_only, world, "on")
    yield
    await asyncio.to_thread(_read_only, world, "off")


def _read_only(world: World, value: str) -> None:
    # In a session that may write whatever the default is.
    _execute(world, f"ALTER SYSTEM SET default_transaction_read_only = {value}")
    _execute(world, "SELECT pg_reload_conf()")


def _rows(world: World, sql: str) -> list[Any]:
    assert world.postgres is not None
    return world.postgres.execute(sql, url=world.url)


def _execute(world: World, sql: str) -> None:
    assert world.postgres is not None
    world.postgres.execute(sql, url=world.url)


def _backends(world: World) -> list[int]:
    assert world.postgres is not None
    rows = world.postgres.execute(
        "SELECT pid FROM pg_stat_activity WHERE application_name = 'imd'"
        " AND datname = current_database() ORDER BY pid",
        url=world.url,
    )
    return [row[0] for row in rows]


# ---- Redis (F10, F11)


@_fault("bus", "redis")
async def redis_kill(world: World, random: Random) -> AsyncIterator[None]:
    """Redis dies and is away."""
    await asyncio.to_thread(world.redis.kill)
    yield
    await asyncio.to_thread(world.redis.start)


@_fault("bus", "redis")
async def redis_freeze(world: World, random: Random) -> AsyncIterator[None]:
    """Redis stands still."""
    with world.redis.paused():
        yield


@_fault("bus", "redis")
async def redis_flush(world: World, random: Random) -> AsyncIterator[None]:
    """Everything that Redis holds is gone."""
    await asyncio.to_thread(world.redis.ask, "FLUSHALL")
    yield


@_fault("hints", "redis")
async def forged_hints(world: World, random: Random) -> AsyncIterator[None]:
    """Somebody on Redis says what is not so, twice, late, and in no form at all (F12)."""
    epoch = (await asyncio.to_thread(_rows, world, "SELECT value FROM store WHERE name = 'epoch'"))[
        0
    ][0]
    channel = channel_of(epoch)

    async def forge() -> None:
        while True:
            session, seq = random.choice(sorted(SESSIONS)), random.choice((1, 3, 10**6, 2**53))
            hint = {"session": session, **random.choice((
                {"kind": "message", "seq": seq, "first": 1},
                {"kind": "message", "seq": seq, "first": seq},
                {"kind": "expelled", "user": random.choice(("D1", "D2", "p1", "p2"))},
                {"kind": "read", "user": "D1"},
                {"kind": "topic", "topic": "c1"},
            ))}  # fmt: skip
            bundle = {"epoch": epoch, "origin": "f", "time": 1, "hints": [hint] * 2}
            payload = random.choice((json.dumps(bundle), json.dumps(bundle), "{", "\u0000"))
            with suppress(OSError):
                await asyncio.to_thread(world.redis.ask, "PUBLISH", channel, payload)
            await asyncio.sleep(random.uniform(0, 0.1))

    forging = asyncio.ensure_future(forge())
    yield
    forging.cancel()


# ---- clocks (F13)


@_fault("clock", "alone")
async def clock_back(world: World, random: Random) -> AsyncIterator[None]:
    """One node's clock is an hour late."""
    node = random.choice(world.nodes)
    node.clock.write_text(str(-3_600_000))
    yield
    node.clock.write_text("0")


@_fault("clock", "alone")
async def clock_ahead(world: World, random: Random) -> AsyncIterator[None]:
    """One node's clock is ten minutes early."""
    node = random.choice(world.nodes)
    node.clock.write_text(str(600_000))
    yield
    node.clock.write_text("0")


FAULTS: Final[dict[str, Fault]] = {**_shelf.faults, **NETWORK_FAULTS, **READER_FAULTS}


def possible(world: Any) -> list[str]:
    """The names of the faults that a world can have."""
    has = {
        "": True,
        "postgres": world.postgres is not None,
        "redis": world.redis is not None,
        "alone": not world.workers,
        "workers": bool(world.workers),
    }
    return [name for name, fault in FAULTS.items() if has[fault.needs]]
