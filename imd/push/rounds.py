"""When to look for work, and what is under way: the timer and the flights of one loop.

The postman and the webhooks' courier each have one. It looks when woken, when what was expected is
due, and when room is free again; it never looks twice at a time. It knows nothing of what is sent.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from imd.domain.errors import ImError
from imd.push.ports import Clock

#: seconds until the next look when the database is away, and between attempts to record a result
AWAY, RECORD_PAUSE, RECORD_ATTEMPTS = 2.0, 1.0, 25
#: seconds that are added to a due time, so that it has passed for certain
_AFTER: Final = 0.001

log = Logger()


class Rounds:
    """One loop named ``name``; ``look`` claims work and starts flights, at most ``slots``."""

    def __init__(
        self, reactor: Any, clock: Clock, name: str, look: Callable[[], Awaitable[None]], slots: int
    ) -> None:
        self.reactor, self._clock, self._name, self._look = reactor, clock, name, look
        self._slots = slots
        self._flights: set[Deferred[None]] = set()
        self._looking: Deferred[None] | None = None
        self._timer: IDelayedCall | None = None
        self._grounded: list[Deferred[None]] = []
        #: None when it was not started, or is stopped
        self._wake: Callable[[], None] | None = None

    # ---- life

    def start(self) -> None:
        """Look now, and whenever something is due from then on."""
        self._wake = self.kick
        self.kick()

    async def stop(self) -> None:
        """Begin nothing more, and wait for what is under way."""
        self._wake, self._slots = None, 0
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        if self._looking is not None:
            await _ended(self._looking)
        await self.grounded()

    def grounded(self) -> Deferred[None]:
        """Fires when nothing is under way."""
        if not self._flights:
            return succeed(None)
        done: Deferred[None] = Deferred()
        self._grounded.append(done)
        return done

    # ---- looks

    def expect(self, due: int) -> None:
        """Something comes due at ``due`` (ms): look then, if not earlier."""
        if self._wake is None:
            return
        delay = max(0.0, (due - self._clock.now()) / 1000) + _AFTER
        if self._timer is not None and self._timer.active():
            if self._timer.getTime() <= self.reactor.seconds() + delay:
                return
            self._timer.cancel()
        self._timer = self.reactor.callLater(delay, self.kick)

    def kick(self) -> None:
        """Look now, unless that is under way."""
        if self._wake is None or self._looking is not None:
            return
        looking: Deferred[None] = Deferred.fromCoroutine(_run(self._look))
        self._looking = looking
        looking.addErrback(self._troubled).addBoth(self._looked)

    def _looked(self, result: object) -> None:
        self._looking = None

    def _troubled(self, trouble: Failure) -> None:
        if not trouble.check(ImError, CancelledError):
            log.failure("looking for work of {name} failed", trouble, name=self._name)
        self.expect(self._clock.now() + round(AWAY * 1000))

    # ---- flights

    @property
    def room(self) -> int:
        """How many flights may begin."""
        return self._slots - len(self._flights)

    def fly(self, work: Coroutine[Deferred[Any], Any, None]) -> None:
        """Let it go on beside; when half of the slots are free again, there is another look."""
        flight: Deferred[None] = Deferred.fromCoroutine(work)
        self._flights.add(flight)

        def landed(result: object) -> None:
            self._flights.discard(flight)
            if isinstance(result, Failure) and not result.check(CancelledError):
                log.failure("a flight of {name} failed", result, name=self._name)
            if not self._flights:
                grounded, self._grounded = self._grounded, []
                for done in grounded:
                    done.callback(None)
            if len(self._flights) <= self._slots // 2:
                self.kick()

        flight.addBoth(landed)

    async def recorded(self, record: Callable[[], Awaitable[Any]]) -> Any:
        """Record what happened, again while the database is away, as long as a lease lasts.

        Gives what ``record`` found.
        """
        for attempt in range(1, RECORD_ATTEMPTS + 1):
            try:
                return await record()
            except ImError:
                if attempt == RECORD_ATTEMPTS:
                    raise
                await deferLater(self.reactor, RECORD_PAUSE, lambda: None)


async def _run(look: Callable[[], Awaitable[None]]) -> None:
    await look()


async def _ended(looking: Deferred[None]) -> None:
    """Wait for a look that is under way; its errors have been dealt with."""
    waiting: Deferred[None] = Deferred()

    def pass_on(result: object) -> None:
        waiting.callback(None)

    looking.addBoth(pass_on)
    await waiting
