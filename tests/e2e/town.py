"""Two servers as one service: a caller at each, pages at either, and all of it closed at the end.

Tests of several processes play in one; who starts the servers, and when, is theirs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from tests.e2e.page import Page
from tests.e2e.rest import Rest
from tests.e2e.server import Imd, token
from tests.redis_server import RedisServer

DOCTOR, PATIENT, SESSION = "D1", "p1", "p1_t1_2"
Test = Callable[["Town"], Awaitable[None]]


class Town:
    """Two servers, a caller at each, and pages that are closed at the end."""

    def __init__(self, here: Imd, there: Imd, redis: RedisServer) -> None:
        self.here, self.there, self.redis = here, there, redis
        self.near, self.far = Rest(here.port, self.doctor()), Rest(there.port, self.doctor())
        self.pages: list[Page] = []

    @staticmethod
    def doctor(name: str = DOCTOR) -> str:
        return token(name, "doctor")

    async def page(self, imd: Imd, user: str, session_id: str | None = SESSION) -> Page:
        role = "doctor" if user.startswith("D") else "patient"
        kind = role if session_id is not None else f"{role}_system"
        page = Page(imd.port, token(user, role), kind, session_id)
        self.pages.append(page)
        await page.opened()
        return page

    async def opened(self) -> None:
        await self.near.open_session(SESSION, f"{DOCTOR}:doctor", f"{PATIENT}:patient")

    async def close(self) -> None:
        for page in self.pages:
            await page.close()
        self.near.close()
        self.far.close()

    async def ready(self, rest: Rest, degraded: bool, seconds: float = 15.0) -> None:
        expected = ["bus"] if degraded else None
        async with asyncio.timeout(seconds):
            while (await rest.ask("GET", "/readyz")).must(200).get("degraded") != expected:
                await asyncio.sleep(0.02)


def told(page: Page, method: str) -> list[dict[str, Any]]:
    return [params for name, params in page.notices if name == method]


def answered(page: Page) -> bool:
    return any(topic["reply"] == 1 for topic in told(page, "topic"))


def play(town: Town, test: Test) -> None:
    async def whole() -> None:
        try:
            async with asyncio.timeout(120):
                await town.opened()
                await test(town)
        finally:
            await town.close()

    asyncio.run(whole())
