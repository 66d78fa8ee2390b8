"""How the process starts, refuses to start, and ends (pages 4.6 and 5.2)."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
import sqlite3
import time
from contextlib import closing
from functools import partial
from pathlib import Path

from tests.e2e.page import Page
from tests.e2e.rest import Rest
from tests.e2e.server import NO_LIMITS, Imd, running, token, until

DOCTOR, PATIENT, SESSION = "D1", "p1", "p1_t1_2"
#: seconds; what the contract allows beside it is 5
DRAIN = 2.0


def test_the_first_lines_name_version_port_and_profile(imd: Imd) -> None:
    line = re.compile(rf"Starting IM server, version \d+\.\S+, running on port {imd.port}, \S+")
    assert line.search(imd.out)
    assert "Configuration profile: test" in imd.out


def test_sigterm_answers_what_is_in_flight_and_closes_sockets(tmp_path: Path) -> None:
    settings = {**NO_LIMITS, "IMD_HTTP_DRAIN": str(DRAIN)}
    with running(tmp_path / "state", None, **settings) as imd:
        asyncio.run(_terminate(imd))


async def _terminate(imd: Imd) -> None:
    async with Rest(imd.port, token(DOCTOR, "doctor")) as rest:
        await rest.open_session(SESSION, f"{DOCTOR}:doctor", f"{PATIENT}:patient")
        pages = [Page(imd.port, token(PATIENT, "patient"), "patient", SESSION) for _ in range(5)]
        for page in pages:
            await page.opened()
        # Whoever holds the database's only lock keeps the send in flight.
        with closing(sqlite3.connect(imd.state / "imd.db", isolation_level=None)) as lock:
            lock.execute("BEGIN IMMEDIATE")
            sending = asyncio.ensure_future(rest.post(SESSION, "还在路上", "k1"))
            await asyncio.sleep(0)
            async with Rest(imd.port) as other:
                # Asked later and answered: the send has been taken in.
                (await other.ask("GET", "/healthz")).must(200)
            started = time.monotonic()
            imd.signal(signal.SIGTERM)
            await asyncio.to_thread(
                until, lambda: not _accepts(imd.port), DRAIN + 5, "the port to be closed"
            )
            assert not sending.done()
            lock.execute("ROLLBACK")
        assert (await sending).must(201)["content"] == "还在路上"
        for page in pages:
            await page.until(partial(bool, page.closes))
            code, reason = page.closes[0]
            assert code == 4503
            assert re.fullmatch(r"reconnect_in=\d+", reason)
            assert int(reason.partition("=")[2]) <= DRAIN * 1000
            await page.close()
        left = started + DRAIN + 5 - time.monotonic()
        assert await asyncio.to_thread(imd.wait, left) in (0, -signal.SIGTERM)
        assert not imd.trouble()


def _accepts(port: int) -> bool:
    with closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_sigterm_with_nobody_there_is_quick(imd: Imd) -> None:
    """Well within the drain time, which is for callers."""
    imd.signal(signal.SIGTERM)
    assert imd.wait(8) in (0, -signal.SIGTERM)


def test_what_was_stored_is_there_after_a_stop(imd: Imd) -> None:
    async def post() -> object:
        async with Rest(imd.port, token(DOCTOR, "doctor")) as rest:
            await rest.open_session(SESSION, f"{DOCTOR}:doctor", f"{PATIENT}:patient")
            return (await rest.post(SESSION, "您好", "k1")).must(201)

    async def read() -> list[dict[str, object]]:
        async with Rest(imd.port, token(DOCTOR, "doctor")) as rest:
            return await rest.every_message(SESSION)

    sent = asyncio.run(post())
    assert imd.stop() in (0, -signal.SIGTERM)
    imd.start()
    assert asyncio.run(read()) == [sent]


def test_a_taken_port_is_a_clear_failure(tmp_path: Path) -> None:
    with closing(socket.socket()) as taken:
        imd = Imd(tmp_path / "state")
        taken.bind(("127.0.0.1", imd.port))
        taken.listen()
        try:
            imd.launch()
            assert imd.wait(30) > 0
        finally:
            imd.kill()
    lines = [line for line in imd.err.splitlines() if str(imd.port) in line]
    assert len(lines) == 1, imd.err
    assert "in use" in lines[0]
    assert "Traceback" not in imd.log


def test_a_wrong_profile_is_one_line_and_status_1(tmp_path: Path) -> None:
    imd = Imd(tmp_path / "state", IM_PROFILE="staging")
    try:
        imd.launch()
        assert imd.wait(30) == 1
    finally:
        imd.kill()
    (line,) = imd.err.strip().splitlines()
    assert all(word in line for word in ("staging", "dev", "test", "prod")), line
