"""Webhooks: events posted to the platform's endpoints, signed, in order, until they are taken.

One :class:`Herald` an endpoint and process; wiring starts it. Of one session only the oldest
event is ever under way, so an endpoint sees them in order. Delivery is at least once: an event
keeps its id, by which the endpoint knows a repeat (page 4.4).
"""

from __future__ import annotations

import hashlib
import hmac
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple, Protocol

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from imd.domain.events import EventType, HookClaim
from imd.domain.push import Terms
from imd.push.breaker import Breaker, Stage
from imd.push.http import Poster, Unreachable
from imd.push.ports import Clock
from imd.push.rounds import Rounds

#: ms for which a claim is held
LEASE: Final = 30_000
#: how many events of an endpoint one process has under way, each of another session
SLOTS: Final = 8
#: seconds after which the outbox is looked at even if nobody woke the herald
IDLE: Final = 2.0
#: ms after which an endpoint that only failed is given up
PATIENCE: Final = 86_400_000
_PAUSE: Final = 20

log = Logger()


class HookOutbox(Protocol):
    """What waits for endpoints; times are ms, every act is durable when it fires."""

    def claim_hooks(
        self, endpoint: str, limit: int, lease: int, name: str, probe: bool
    ) -> Awaitable[list[HookClaim]]: ...

    def next_hook(self, endpoint: str) -> Awaitable[int | None]: ...

    def hook_delivered(self, endpoint: str, claim: HookClaim) -> Awaitable[None]: ...

    def hook_failed(
        self, endpoint: str, claim: HookClaim, due: int | None, code: str, patience: int
    ) -> Awaitable[bool]: ...

    def hook_outdated(self, endpoint: str, claim: HookClaim) -> Awaitable[bool]: ...

    def hurry_hooks(self, endpoint: str) -> Awaitable[int]: ...


class Hook(NamedTuple):
    """An endpoint: its name in the database, its address and the secret that signs."""

    name: str
    url: str
    secret: str


def name_of(url: str) -> str:
    """Names an endpoint without showing its address, which may hold a secret."""
    return hashlib.sha256(url.encode()).hexdigest()[:12]


def signature(secret: str, time: int, body: bytes) -> str:
    """``X-Imd-Signature`` of a body sent at ``time`` (ms): ``t=…,v1=…`` (page 5.6)."""
    digest = hmac.new(secret.encode(), f"{time}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={time},v1={digest}"


class Herald:
    """Delivers one endpoint's events; ``results`` counts attempts by what came of them."""

    def __init__(
        self,
        reactor: Any,
        clock: Clock,
        outbox: HookOutbox,
        poster: Poster,
        hook: Hook,
        terms: Terms,
        *,
        chance: Callable[[], float],
        new_id: Callable[[], str],
    ) -> None:
        self._reactor, self._clock, self._outbox = reactor, clock, outbox
        self._poster, self._hook, self._terms = poster, hook, terms
        self._chance, self._new_id = chance, new_id
        self.breaker = Breaker()
        self.results: Counter[str] = Counter()
        self._rounds = Rounds(reactor, clock, f"webhook {hook.name}", self.look, SLOTS)

    def start(self) -> None:
        """Deliver what waits, and whatever comes."""
        self._rounds.start()

    async def stop(self) -> None:
        """Begin nothing more, and wait for what is under way."""
        await self._rounds.stop()

    def grounded(self) -> Deferred[None]:
        """Fires when nothing is under way."""
        return self._rounds.grounded()

    def expect(self, due: int) -> None:
        """Something may be due at ``due`` (ms)."""
        self._rounds.expect(due)

    async def look(self) -> None:
        """Claim the next event of each session that is due, and post it."""
        name = self._hook.name
        while (room := self.breaker.allows(self._reactor.seconds(), self._rounds.room)) > 0:
            probe = self.breaker.stage is Stage.DOWN
            claims = await self._outbox.claim_hooks(name, room, LEASE, self._new_id(), probe)
            if probe and claims:
                self.breaker.probing()
            for claim in claims:
                self._rounds.fly(self._deliver(claim))
            if len(claims) < room:
                break
        await self._sleep()

    async def _sleep(self) -> None:
        now, idle = self._clock.now(), round(IDLE * 1000)
        again, wait = self.breaker.again_at(), idle
        if again is not None and again > self._reactor.seconds():
            wait = round((again - self._reactor.seconds()) * 1000)
        elif self._rounds.room > 0 and self.breaker.stage is not Stage.PROBING:
            found = await self._outbox.next_hook(self._hook.name)
            wait = idle if found is None else found - now
        self._rounds.expect(now + min(idle, max(_PAUSE, wait)))

    async def _deliver(self, claim: HookClaim) -> None:
        if await self._outdated(claim):
            self.breaker.unused(self._reactor.seconds())
            self._rounds.expect(self._clock.now())
            return
        body = body_of(claim)
        now = self._clock.now()
        headers = {
            "X-Imd-Signature": signature(self._hook.secret, now, body),
            "X-Imd-Event": claim.type,
        }
        after: float | None = None
        try:
            answer = await self._poster.post(self._hook.url, body, headers)
            code, after = f"http_{answer.status}", answer.retry_after
            taken = 200 <= answer.status < 300
        except Unreachable as error:
            code, taken = error.code, False
        self.results["0" if taken else code] += 1
        if taken:
            back = self.breaker.succeeded()
            await self._rounds.recorded(lambda: self._outbox.hook_delivered(self._hook.name, claim))
            if back:
                log.info("webhook {name} is back", name=self._hook.name)
                await self._rounds.recorded(lambda: self._outbox.hurry_hooks(self._hook.name))
            self._rounds.expect(self._clock.now())
            return
        if self.breaker.failed(self._reactor.seconds()):
            log.warn("webhook {name} is down: {code}", name=self._hook.name, code=code)
        await self._rounds.recorded(lambda: self._failed(claim, code, after))

    async def _outdated(self, claim: HookClaim) -> bool:
        """Whether what it says was true when it was noted, and is not now; then it is dropped."""
        if claim.type != EventType.TOPIC_OVERDUE:
            return False
        return bool(
            await self._rounds.recorded(lambda: self._outbox.hook_outdated(self._hook.name, claim))
        )

    async def _failed(self, claim: HookClaim, code: str, after: float | None) -> None:
        """When to try again, if ever."""
        now = self._clock.now()
        wait = self._terms.wait(claim.attempts + 1, self._chance())
        if after is not None:
            wait = max(wait, round(after * 1000))
        due = now + wait if now + wait < claim.time + self._terms.ttl else None
        name = self._hook.name
        if await self._outbox.hook_failed(name, claim, due, code, PATIENCE):
            log.error(
                "webhook {name} has failed for a day and is given up: imdctl webhook enable",
                name=name, code=code,
            )  # fmt: skip
        elif due is None:
            log.warn("an event for webhook {name} was given up: {code}", name=name, code=code)
        else:
            self._rounds.expect(due)


def body_of(claim: HookClaim) -> bytes:
    """The event as it is posted: ``{id, type, time, data}`` (page 5.6)."""
    return (
        f'{{"id":"{claim.id}","type":"{claim.type}","time":{claim.time},"data":{claim.data}}}'
    ).encode()
