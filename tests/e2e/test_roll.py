"""Workers replaced and sent away under load, with real Redis and PostgreSQL (page 4.6)."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from pathlib import Path

import pytest

from tests.e2e.rest import Rest
from tests.e2e.server import NO_LIMITS, Imd, token, twistd, until
from tests.redis_server import NoRedis, RedisServer

WORKERS = 4
#: senders, and seconds between two messages of one: 200 messages a second
SENDERS, PAUSE = 8, 0.04
DRAIN = 1.0


class Sender:
    """A doctor who sends on and on, over one kept connection."""

    def __init__(self, imd: Imd, number: int) -> None:
        self._imd, self.doctor, self.session = imd, f"D{number}", f"s{number}"
        self.acknowledged: list[tuple[int, str]] = []
        self.failed: Counter[str] = Counter()
        self.over = False

    async def open(self) -> None:
        async with Rest(self._imd.port, token(self.doctor, "doctor")) as rest:
            await rest.open_session(self.session, f"{self.doctor}:doctor", "p1:patient")

    async def send(self) -> None:
        async with Rest(self._imd.port, token(self.doctor, "doctor")) as rest:
            number = 0
            while not self.over:
                number += 1
                await self._send(rest, f"k{number}")
                await asyncio.sleep(PAUSE)

    async def _send(self, rest: Rest, key: str) -> None:
        try:
            answer = await rest.post(self.session, "x", key)
        except OSError as error:
            self.failed[type(error).__name__] += 1
            return
        if answer.status == 201:
            self.acknowledged.append((answer.json["seq"], key))
        else:
            self.failed[str(answer.status)] += 1

    async def history(self) -> list[tuple[int, str]]:
        async with Rest(self._imd.port, token(self.doctor, "doctor")) as rest:
            messages = await rest.every_message(self.session)
        return [(message["seq"], message["client_msg_id"]) for message in messages]


def test_a_roll_and_a_farewell_of_4_workers_fail_no_send(tmp_path: Path, postgres_url: str) -> None:
    redis = RedisServer()
    try:
        redis.start()
    except NoRedis as error:
        pytest.skip(f"WORKERS ARE NOT TESTED: {error}")
    more = {**NO_LIMITS, "IMD_BUS_URL": redis.url, "IMD_HTTP_DRAIN": str(DRAIN)}
    imd = Imd(tmp_path / "state", postgres_url, **more)
    try:
        imd.start([*twistd(), "--workers", str(WORKERS)])
        until(lambda: "Starting IM server" in imd.log, 30, "all workers serve")
        asyncio.run(_roll_under_load(imd))
        assert not imd.trouble()
    finally:
        imd.kill()
        redis.stop()


async def _roll_under_load(imd: Imd) -> None:
    senders = [Sender(imd, number) for number in range(SENDERS)]
    for sender in senders:
        await sender.open()
    sending = [asyncio.ensure_future(sender.send()) for sender in senders]
    imd.signal(signal.SIGHUP)
    replaced = f"all {WORKERS} workers are replaced"
    await asyncio.to_thread(until, lambda: replaced in imd.log, 60, replaced)
    sent = sum(len(sender.acknowledged) for sender in senders)
    assert sent > 100
    assert not sum((sender.failed for sender in senders), Counter())
    for sender in senders:
        acknowledged = list(sender.acknowledged)
        history = await sender.history()
        assert history[: len(acknowledged)] == acknowledged
        assert [seq for seq, _ in history] == list(range(1, len(history) + 1))
    # They go on while the server stops: what was taken in is answered, then nobody is there.
    imd.signal(signal.SIGTERM)
    assert await asyncio.to_thread(imd.wait, DRAIN + 5) == 0
    for sender in senders:
        sender.over = True
    await asyncio.gather(*sending)
    failed = sum((sender.failed for sender in senders), Counter())
    assert set(failed) <= {"ConnectionRefusedError"}
