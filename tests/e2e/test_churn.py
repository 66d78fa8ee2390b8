"""A page whose connection is cut again and again under load shows no hole and no repeat (I4)."""

from __future__ import annotations

import asyncio
import time
from random import Random

import pytest

from tests.e2e.conftest import seed, size
from tests.e2e.page import Page
from tests.e2e.rest import Rest
from tests.e2e.server import Imd, token

DOCTOR, PATIENT, SESSION = "D1", "p1", "p1_t1_2"
RATE, SENDERS = 200, 8


@pytest.mark.timeout(300)
def test_no_hole_and_no_repeat(imd: Imd) -> None:
    asyncio.run(_churn(imd, Random(seed())))


async def _churn(imd: Imd, random: Random) -> None:
    async with Rest(imd.port, token(DOCTOR, "doctor")) as doctor:
        await doctor.open_session(SESSION, f"{DOCTOR}:doctor", f"{PATIENT}:patient")
        cut = Page(imd.port, token(PATIENT, "patient"), "patient", SESSION, seed=seed())
        steady = Page(imd.port, token(DOCTOR, "doctor"), "doctor", SESSION)
        await cut.opened()
        await steady.opened()
        end = time.monotonic() + size("IMD_TEST_SECONDS")
        answers = asyncio.ensure_future(_senders(imd, end))
        own = asyncio.ensure_future(_speak(cut, end))
        while not answers.done():
            await asyncio.sleep(random.expovariate(4))
            cut.cut()
        seqs = await answers + await own
        newest = max(seqs)
        await cut.reached(newest)
        await steady.reached(newest)
        log = await doctor.every_message(SESSION)
        assert sorted(seqs) == [message["seq"] for message in log]
        assert (cut.faults, steady.faults) == ([], [])
        assert steady.shown == log
        assert cut.shown == log
        assert len(cut.logins) > 3
        assert sum(login["recovered"] for login in cut.logins[1:]) + cut.reloads == (
            len(cut.logins) - 1
        )
        await cut.close()
        await steady.close()


async def _senders(imd: Imd, end: float) -> list[int]:
    """RATE messages a second by SENDERS connections; the seqs of what was stored."""

    async def one(number: int) -> list[int]:
        seqs = []
        async with Rest(imd.port, token(DOCTOR, "doctor")) as rest:
            due = time.monotonic() + number / RATE
            while due < end:
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                answer = await rest.post(SESSION, f"{number} {due}", f"{number} {due}")
                seqs.append(answer.must(201)["seq"])
                due += SENDERS / RATE
        return seqs

    parts = await asyncio.gather(*(one(number) for number in range(SENDERS)))
    return [seq for part in parts for seq in part]


async def _speak(page: Page, end: float) -> list[int]:
    """The page that is cut sends, too: its sends survive the cuts, once each."""
    seqs = []
    number = 0
    while time.monotonic() < end:
        number += 1
        message = await page.send(f"在吗 {number}", f"own-{number}")
        seqs.append(message["seq"])
        await asyncio.sleep(0.02)
    return seqs
