"""Senders that stop for nothing: REST and socket mixed, in several sessions at once.

Crash tests run them until the server dies under them; others ask them to carry on until each send
is answered. What they were promised goes into a :class:`tests.e2e.ledger.Ledger`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from tests.e2e.ledger import Ledger, Promise
from tests.e2e.page import Page, Refused
from tests.e2e.rest import Rest
from tests.e2e.server import Imd, token

#: 503 and a broken connection are to be repeated; anything else is an error of the test
_RETRY = 503


class Load:
    """Doctors on REST and patients on sockets, a pair a session; each sends one at a time."""

    def __init__(self, imd: Imd, ledger: Ledger, name: str, sessions: int) -> None:
        self._imd, self._ledger, self._name = imd, ledger, name
        self.sessions = [f"{name}-s{number}" for number in range(sessions)]
        self.pages: list[Page] = []
        self._tasks: list[asyncio.Task[None]] = []
        self.stopping = False

    @staticmethod
    def doctor(session_id: str) -> str:
        return f"D-{session_id}"

    @staticmethod
    def patient(session_id: str) -> str:
        return f"p-{session_id}"

    async def open(self) -> None:
        """Make the sessions and open the patients' pages."""
        for session_id in self.sessions:
            doctor, patient = self.doctor(session_id), self.patient(session_id)
            async with Rest(self._imd.port, token(doctor, "doctor")) as rest:
                await rest.open_session(session_id, f"{doctor}:doctor", f"{patient}:patient")
            self._ledger.members[session_id] = [doctor, patient]
            page = Page(self._imd.port, token(patient, "patient"), "patient", session_id)
            self.pages.append(page)
        for page in self.pages:
            await page.opened()

    def start(self) -> None:
        """Send until :meth:`stop`, or, without ``persist``, until the server is gone."""
        for page, session_id in zip(self.pages, self.sessions, strict=True):
            self._tasks.append(asyncio.ensure_future(self._by_rest(session_id, persist=False)))
            self._tasks.append(asyncio.ensure_future(self._by_socket(page, session_id)))

    def persist(self, pause: float = 0.0) -> None:
        """Send until :meth:`stop`, repeating each until it is answered."""
        for session_id in self.sessions:
            self._tasks.append(
                asyncio.ensure_future(self._by_rest(session_id, persist=True, pause=pause))
            )

    async def finish(self) -> None:
        """Wait for the senders; their errors are raised here."""
        await asyncio.gather(*self._tasks)
        self._tasks.clear()

    async def close(self) -> None:
        """Stop the senders where they are, close the pages; what these saw wrong fails here."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        faults = [fault for page in self.pages for fault in page.faults]
        for page in self.pages:
            await page.close()
        assert faults == []

    async def _by_rest(self, session_id: str, *, persist: bool, pause: float = 0.0) -> None:
        doctor = self.doctor(session_id)
        number = 0
        async with Rest(self._imd.port, token(doctor, "doctor")) as rest:
            while not self.stopping:
                number += 1
                key = f"{self._name}-r{number}"
                promise = self._ledger.promise(session_id, doctor, key, f"第{number}条 {key}")
                if not await self._keep(rest, promise, persist):
                    return
                if pause:
                    await asyncio.sleep(pause)

    @staticmethod
    async def _keep(rest: Rest, promise: Promise, persist: bool) -> bool:
        while True:
            try:
                answer = await rest.post(promise.session_id, promise.content, promise.key)
            except (OSError, TimeoutError):
                if not persist:
                    return False
                await asyncio.sleep(0.02)
                continue
            if answer.status == _RETRY:
                assert "retry-after" in answer.headers
                if not persist:
                    return False
                await asyncio.sleep(0.02)
                continue
            promise.answer = answer.must(201)
            return True

    async def _by_socket(self, page: Page, session_id: str) -> None:
        """Sends, and now and then marks as read, so that batches hold marks too."""
        patient = self.patient(session_id)
        number = 0
        while not self.stopping:
            number += 1
            key = f"{self._name}-w{number}"
            promise = self._ledger.promise(session_id, patient, key, f"回复{number} {key}")
            sending = asyncio.ensure_future(page.send(promise.content, key))
            lost = asyncio.ensure_future(_until(page, lambda: not page.open))
            await asyncio.wait({sending, lost}, return_when=asyncio.FIRST_COMPLETED)
            lost.cancel()
            if not sending.done():
                # The page goes on by itself; the promise is kept open for the ledger.
                return
            promise.answer = sending.result()
            if number % 3 == 0:
                with suppress(OSError, AssertionError, Refused):
                    await page.call("read")


async def _until(page: Page, condition: Callable[[], bool]) -> None:
    await page.until(condition, 3600)
