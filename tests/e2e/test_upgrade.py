"""Servers follow one another on a socket that somebody else holds, as imd.socket does (page 5.5).

``debian/upgrade-test`` does the same with the package and a systemd that lives.
"""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from tests.e2e.page import Page
from tests.e2e.rest import Rest
from tests.e2e.server import NO_LIMITS, Imd, token, twistd
from tests.redis_server import NoRedis, RedisServer

SENDERS, NEWCOMERS, UPGRADES = 4, 2, 3
#: seconds between two requests of one caller
PAUSE = 0.03


class Traffic:
    """Doctors who send on kept connections, callers who come anew each time, patients' pages."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.acknowledged: dict[str, list[str]] = {f"s{number}": [] for number in range(SENDERS)}
        self.pages: list[Page] = []
        self.came, self.over = 0, False
        #: connections that ended without an answer: only these requests are made again
        self.ended: Counter[str] = Counter()
        self._tasks: list[asyncio.Task[None]] = []

    async def begin(self) -> None:
        for session in self.acknowledged:
            async with Rest(self._port, token(f"D-{session}", "doctor")) as rest:
                await rest.open_session(session, f"D-{session}:doctor", f"p-{session}:patient")
            page = Page(self._port, token(f"p-{session}", "patient"), "patient", session)
            self.pages.append(page)
            await page.opened()
        self._tasks = [asyncio.ensure_future(self._send(session)) for session in self.acknowledged]
        self._tasks += [asyncio.ensure_future(self._come()) for _ in range(NEWCOMERS)]

    async def end(self) -> None:
        """Stop; whatever a caller met that it may not is raised here."""
        self.over = True
        await asyncio.gather(*self._tasks)

    async def further(self, number: int) -> None:
        """Wait until every doctor has sent ``number`` more."""
        wanted = {session: len(keys) + number for session, keys in self.acknowledged.items()}
        async with asyncio.timeout(60):
            while any(len(self.acknowledged[session]) < wanted[session] for session in wanted):
                if failed := [task for task in self._tasks if task.done()]:
                    await failed[0]
                await asyncio.sleep(PAUSE)

    async def _send(self, session: str) -> None:
        async with Rest(self._port, token(f"D-{session}", "doctor")) as rest:
            while not self.over:
                key = f"k{len(self.acknowledged[session])}"
                try:
                    answer = await rest.post(session, key, key)
                except (ConnectionResetError, BrokenPipeError) as error:
                    self.ended[type(error).__name__] += 1
                    continue
                answer.must(201)
                self.acknowledged[session].append(key)
                await asyncio.sleep(PAUSE)

    async def _come(self) -> None:
        while not self.over:
            async with Rest(self._port) as rest:
                (await rest.ask("GET", "/healthz")).must(200)
            self.came += 1
            await asyncio.sleep(PAUSE)

    async def check(self) -> None:
        """Everything is there once and in order, in the log and on the pages."""
        for (session, keys), page in zip(self.acknowledged.items(), self.pages, strict=True):
            async with Rest(self._port, token(f"D-{session}", "doctor")) as rest:
                log = await rest.every_message(session)
            assert [message["content"] for message in log] == keys
            assert [message["seq"] for message in log] == list(range(1, len(log) + 1))
            await page.reached(len(log))
            assert [message["content"] for message in page.shown] == keys
            assert page.faults == [] and page.reloads == 0
            await page.close()


async def _upgrades(imd: Imd, program: list[str]) -> Traffic:
    traffic = Traffic(imd.port)
    await traffic.begin()
    for _ in range(UPGRADES):
        await traffic.further(10)
        # As systemctl restart: the next begins when the one before has gone.
        assert await asyncio.to_thread(imd.stop) == 0
        imd.launch(program)
        await asyncio.to_thread(imd.ready)
    await traffic.further(10)
    await traffic.end()
    await traffic.check()
    return traffic


@pytest.mark.parametrize("workers", [1, 2])
def test_an_upgrade_under_traffic_refuses_and_loses_nothing(
    tmp_path: Path, workers: int, request: pytest.FixtureRequest, note
) -> None:
    program, settings = twistd(), {**NO_LIMITS, "IMD_HTTP_DRAIN": "1"}
    redis, url = RedisServer(), None
    if workers > 1:
        try:
            redis.start()
        except NoRedis as error:
            pytest.skip(f"WORKERS ARE NOT TESTED: {error}")
        url = request.getfixturevalue("postgres_url")
        settings["IMD_BUS_URL"] = redis.url
        program += ["--workers", str(workers)]
    with closing(socket.create_server(("127.0.0.1", 0), backlog=4096)) as listener:
        imd = Imd(tmp_path / "state", url, **settings).given(listener)
        try:
            imd.start(program)
            traffic = asyncio.run(_upgrades(imd, program))
            assert not imd.trouble()
        finally:
            imd.kill()
            redis.stop()
    sent = sum(map(len, traffic.acknowledged.values()))
    note(
        f"{UPGRADES} upgrades, {workers} worker(s): {sent} messages, {traffic.came} newcomers,"
        f" {traffic.ended.total()} sent again"
    )
