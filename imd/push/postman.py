"""Takes what is due from the outbox, lets a carrier send it, and records what came of it.

One postman a channel and process; wiring starts it, the store's commits wake it. It sleeps until
the next row is due. What a provider says is the carrier's to understand, whether a push is still
wanted the domain's; this module is the order of the steps (page 4.4).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Collection
from typing import Any, Final, Protocol

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure as Trouble

from imd.domain.push import (
    Channel,
    Claim,
    Close,
    Facts,
    Failure,
    PutOff,
    State,
    Terms,
    judge,
)
from imd.domain.user import FOREGROUND
from imd.push.breaker import Breaker, Stage
from imd.push.ports import Carrier, Clock, Failed, Job, Outbox, Outcome, Refused, Sent
from imd.push.rounds import Rounds

#: ms for which a claim is held (page 4.4)
LEASE: Final = 30_000
#: seconds that one push may take, renewing a token and repeating included; less than the lease
SEND_SECONDS: Final = 25.0
#: how many pushes one process has under way in a channel
SLOTS: Final = 16
#: seconds after which the outbox is looked at even if nobody woke the postman
IDLE: Final = 15.0
#: ms between two looks at the least
_PAUSE: Final = 20

log = Logger()


class Presence(Protocol):
    def clients(self, user_ids: Collection[str]) -> Awaitable[dict[str, list[str]]]:
        """Client types by user; a user without sockets is left out."""


class Postman:
    """Delivers one channel's pushes.

    ``chance`` gives numbers in [0, 1) for the jitter, ``new_id`` a name for each claim.
    ``results`` counts what came of pushes by code.
    """

    def __init__(
        self,
        reactor: Any,
        clock: Clock,
        outbox: Outbox,
        carrier: Carrier,
        terms: Terms,
        *,
        chance: Callable[[], float],
        new_id: Callable[[], str],
        presence: Presence | None = None,
        slots: int = SLOTS,
    ) -> None:
        self._reactor, self._clock, self._outbox, self._carrier = reactor, clock, outbox, carrier
        self._terms, self._chance, self._new_id = terms, chance, new_id
        self._presence = presence
        self._channel = str(carrier.channel)
        self.breaker = Breaker()
        self.results: Counter[str] = Counter()
        self._rounds = Rounds(reactor, clock, self._channel, self.look, slots)

    def start(self) -> None:
        """Look at the outbox now, and whenever something is due from then on."""
        self._rounds.start()

    async def stop(self) -> None:
        """Claim no more, and wait for what is under way."""
        await self._rounds.stop()

    def grounded(self) -> Deferred[None]:
        """Fires when nothing is under way."""
        return self._rounds.grounded()

    def expect(self, due: int) -> None:
        """Something comes due at ``due`` (ms)."""
        self._rounds.expect(due)

    # ---- a look at the outbox

    async def look(self) -> None:
        """Claim what is due and let it fly; then sleep until the next is due."""
        while (wanted := self._room()) > 0:
            probe = self.breaker.stage is Stage.DOWN
            claims = await self._outbox.claim(self._channel, wanted, LEASE, self._new_id(), probe)
            if probe and claims:
                self.breaker.probing()
            facts = await self._outbox.facts(claims) if claims else []
            for claim, known in zip(claims, facts, strict=True):
                await self._begin(claim, known)
            if len(claims) < wanted:
                break
        await self._sleep()

    def _room(self) -> int:
        return self.breaker.allows(self._reactor.seconds(), self._rounds.room)

    async def _sleep(self) -> None:
        """Until the next row is due, or the next probe, or somebody wakes the postman."""
        now, idle = self._clock.now(), round(IDLE * 1000)
        found = await self._outbox.next_due(self._channel)
        wait = idle if found is None else found - now
        again = self.breaker.again_at()
        if again is not None and again > self._reactor.seconds():
            wait = round((again - self._reactor.seconds()) * 1000)
        elif self._rounds.room <= 0 or self.breaker.stage is Stage.PROBING:
            wait = idle  # the flight that ends next looks again
        # What was not claimed although it is due is held by somebody else for a moment.
        self.expect(now + min(idle, max(_PAUSE, wait)))

    async def _begin(self, claim: Claim, facts: Facts) -> None:
        verdict = judge(claim, facts, self._clock.now(), self._terms)
        if isinstance(verdict, Close):
            await self._end(claim, verdict.state, verdict.code)
        elif isinstance(verdict, PutOff):
            await self._outbox.put_off(claim, verdict.due)
            self.expect(verdict.due)
        else:
            self._rounds.fly(self._carry(Job(claim.send_id, claim, facts)))
            return
        self.breaker.unused(self._reactor.seconds())

    # ---- a flight

    async def _carry(self, job: Job) -> None:
        wanted = await self._wanted(job)
        if wanted is None:
            await self._rounds.recorded(lambda: self._end(job.claim, State.FOREGROUND, None))
            self.breaker.unused(self._reactor.seconds())
            return
        sending: Deferred[Outcome] = Deferred.fromCoroutine(_send(self._carrier, wanted))
        sending.addTimeout(SEND_SECONDS, self._reactor, _too_late)
        outcome = await sending
        self.results[outcome.code] += 1
        back = self._heard(outcome)
        if isinstance(outcome, Failed):
            await self._rounds.recorded(lambda: self._failed(job.claim, outcome))
        else:
            await self._arrived(job.claim, outcome)
        if back:
            await self._rounds.recorded(self._back)

    async def _wanted(self, job: Job) -> Job | None:
        """The job without devices that show the app now, while the user has a socket."""
        if job.claim.channel != Channel.APP or self._presence is None:
            return job
        shown = [d for d in job.facts.devices if d.app_state == FOREGROUND]
        if not shown or job.claim.user_id not in await self._presence.clients([job.claim.user_id]):
            return job
        left = tuple(d for d in job.facts.devices if d.app_state != FOREGROUND)
        return job._replace(facts=job.facts._replace(devices=left)) if left else None

    async def _arrived(self, claim: Claim, outcome: Sent | Refused) -> None:
        """The provider has said its word, which is recorded first of all."""
        state = State.SENT if isinstance(outcome, Sent) else outcome.state
        await self._rounds.recorded(lambda: self._end(claim, state, outcome.code))
        if outcome.forget:
            await self._rounds.recorded(
                lambda: self._outbox.forget_devices(claim.user_id, outcome.forget)
            )
        gone = isinstance(outcome, Refused) and outcome.user
        if claim.channel == Channel.SUBSCRIBE:
            left = 0 if gone else None
            await self._rounds.recorded(lambda: self._outbox.spend_credit(claim.user_id, left))
        elif gone:
            await self._rounds.recorded(lambda: self._outbox.refuse(claim.user_id, outcome.code))

    async def _failed(self, claim: Claim, failed: Failed) -> None:
        """When to try again, if ever."""
        attempts, now = claim.attempts + 1, self._clock.now()
        wait = self._terms.wait(attempts, self._chance())
        if failed.after is not None:
            wait = max(wait, round(failed.after * 1000))
        if failed.failure is Failure.QUOTA:
            # Nobody is reached before the quota is filled again: one attempt finds out for all.
            wait = self._terms.most if failed.after is None else round(failed.after * 1000)
            wait = min(wait, self._terms.most)
            await self._outbox.park(self._channel, now + wait, failed.code)
        if now + wait >= claim.create_time + self._terms.ttl:
            await self._end(claim, State.DEAD, failed.code)
            return
        await self._outbox.retry(claim, now + wait, failed.failure, failed.code)
        self.expect(now + wait)

    def _heard(self, outcome: Outcome) -> bool:
        """What an attempt says about the channel; True when it has just come back."""
        if not isinstance(outcome, Failed) or outcome.failure is not Failure.OUTAGE:
            return self.breaker.succeeded()  # it answers, whatever it says
        if self.breaker.failed(self._reactor.seconds()):
            log.warn("{channel} is down: {code}", channel=self._channel, code=outcome.code)
        return False

    async def _back(self) -> None:
        log.info("{channel} is back", channel=self._channel)
        if await self._outbox.hurry(self._channel):
            self.expect(self._clock.now())

    async def _end(self, claim: Claim, state: State, code: str | None) -> None:
        await self._outbox.end(claim, state, code)
        if state is State.DEAD:
            log.warn(
                "a push to {user} by {channel} was given up: {code}",
                user=claim.user_id, channel=self._channel, session=claim.session_id, code=code,
            )  # fmt: skip


async def _send(carrier: Carrier, job: Job) -> Outcome:
    return await carrier.send(job)


def _too_late(result: Any, seconds: float) -> Any:
    if isinstance(result, Trouble) and result.check(CancelledError):
        return Failed(Failure.OUTAGE, "timeout")
    return result
