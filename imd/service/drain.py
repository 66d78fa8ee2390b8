"""A farewell that loses nobody: what is in flight is answered, sockets come back elsewhere.

Page 4.6: stop accepting, close sockets with 4503 spread over ``http.drain``, answer what is in
flight or was about to be asked, then say no to new work. :mod:`imd.service.wiring` makes it the
first step of a stop. It refuses to know what a socket or a request is about.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.defer import TimeoutError as GivenUp
from twisted.internet.interfaces import IListeningPort, IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

#: seconds after which new requests of those who are still connected are refused
LAST_CALL = 1.0
#: seconds beyond the drain time for last answers and closing handshakes to arrive
GRACE = 1.0
_LOOK_EVERY = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Drain:
    """The parties of a farewell.

    ``last_call`` makes readiness say no and closes connections as they fall silent, ``shut``
    refuses new requests; ``sockets`` closes all sockets within that many seconds and fires when
    none is left; ``idle`` fires when no request is in flight, ``connections`` counts those left.
    """

    last_call: Callable[[], None]
    shut: Callable[[], None]
    port: IListeningPort
    sockets: Callable[[float], Awaitable[Any] | None]
    idle: Callable[[], Awaitable[Any] | None]
    connections: Callable[[], int]
    seconds: Callable[[], float]
    clock: IReactorTime

    log = Logger()

    async def __call__(self) -> None:
        """Carry it out; ends as soon as nobody is left, at the latest GRACE after ``seconds``."""
        seconds = self.seconds()
        end = self.clock.seconds() + seconds + GRACE
        self.last_call()
        await maybeDeferred(self.port.stopListening)
        self.log.info("draining: no new connections are taken")
        shutting = self.clock.callLater(LAST_CALL, self.shut)
        sockets = self._until(end, maybeDeferred(self.sockets, seconds), "sockets")
        await self._until(end, Deferred.fromCoroutine(self._empty()), "connections")
        await self._until(end, maybeDeferred(self.idle), "requests")
        await sockets
        if shutting.active():
            shutting.cancel()

    def _until(self, end: float, work: Deferred[Any], what: str) -> Deferred[None]:
        """``work``, given up at the end of the drain time."""
        work.addTimeout(max(0.0, end - self.clock.seconds()), self.clock)

        def left(failure: Failure) -> None:
            if failure.check(GivenUp):
                self.log.warn("draining: some {what} are left behind", what=what)
            else:
                self.log.failure("draining: {what} failed", failure, what=what)

        return work.addCallbacks(lambda _: None, left)

    async def _empty(self) -> None:
        """Ends when the last connection is gone."""
        while self.connections():
            await deferLater(self.clock, _LOOK_EVERY)
