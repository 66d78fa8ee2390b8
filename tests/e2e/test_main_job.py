"""What the product is for: a doctor writes, a patient reads and answers, the counts are right."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.e2e.page import Page
from tests.e2e.rest import Rest
from tests.e2e.server import Imd, token

DOCTOR, PATIENT, SESSION = "D2016008240003", "p_eef1", "p_eef1_t1_2"


def test_doctor_and_patient_talk(imd: Imd) -> None:
    asyncio.run(_talk(imd))


async def _talk(imd: Imd) -> None:
    async with Rest(imd.port, token(DOCTOR, "doctor")) as doctor:
        await doctor.open_session(SESSION, f"{DOCTOR}:doctor", f"{PATIENT}:patient")
        patient = Page(imd.port, token(PATIENT, "patient"), "patient", SESSION)
        await patient.opened()

        sent = (await doctor.post(SESSION, "您好，血压多少？", "k1")).must(201)
        await patient.until(lambda: patient.shown)
        assert patient.shown == [sent]
        assert (sent["seq"], sent["content"]) == (1, "您好，血压多少？")
        assert await doctor.unread(SESSION, DOCTOR) == 0

        read = await patient.call("read")
        assert read == {"read_seq": 1, "unread": 0}

        reply = await patient.send("130/85 😀", "k1")
        assert (reply["seq"], reply["sender_id"]) == (2, PATIENT)
        assert await doctor.every_message(SESSION) == [sent, reply]
        assert await doctor.unread(SESSION, DOCTOR) == 1

        second = (await doctor.post(SESSION, "好的", "k2")).must(201)
        await patient.reached(3)
        async with Rest(imd.port, token(PATIENT, "patient")) as own:
            assert await own.unread(SESSION, PATIENT) == 1
        # The doctor's answer moved the doctor's own marks.
        assert await doctor.unread(SESSION, DOCTOR) == 0
        assert patient.shown == [sent, reply, second]
        assert patient.faults == []
        await patient.close()


def test_a_hundred_sends_with_one_key_are_one_message(imd: Imd) -> None:
    asyncio.run(_hundred(imd))


async def _hundred(imd: Imd) -> None:
    credential = token(PATIENT, "patient")
    async with Rest(imd.port, token(DOCTOR, "doctor")) as doctor:
        await doctor.open_session(SESSION, f"{DOCTOR}:doctor", f"{PATIENT}:patient")
        callers = [Rest(imd.port, credential) for _ in range(50)]
        pages = [Page(imd.port, credential, "patient", SESSION) for _ in range(50)]
        for page in pages:
            await page.opened()

        async def by_rest(caller: Rest) -> Any:
            answer = await caller.post(SESSION, "只发一次", "one")
            return answer.must(201)

        answers = await asyncio.gather(
            *(by_rest(caller) for caller in callers),
            *(page.send("只发一次", "one") for page in pages),
        )
        (stored,) = await doctor.every_message(SESSION)
        assert len(answers) == 100
        assert all(answer == stored for answer in answers)
        assert await doctor.unread(SESSION, DOCTOR) == 1
        for page in pages:
            await page.reached(1)
            assert page.shown == [stored]
            await page.close()
        for caller in callers:
            caller.close()
