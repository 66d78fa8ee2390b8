"""Start one thing after the other, stop them in reverse, and wait for each, but not for ever.

Twisted's ``MultiService`` starts without waiting and stops everything at once. The root of the
service tree is an :class:`OrderedService`; what is started, and how, is told it as one coroutine.
It refuses to know any of its steps.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

Stop = Callable[[], Awaitable[Any] | None]


@dataclass(frozen=True, slots=True)
class _Step:
    name: str
    stop: Stop
    limit: float


class Steps:
    """What has been started so far, and how to end it again."""

    log = Logger()

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._steps: list[_Step] = []

    def add(self, name: str, stop: Stop, limit: float) -> None:
        """Something is up now; ``stop`` ends it, for which it has ``limit`` seconds."""
        self._steps.append(_Step(name, stop, limit))

    async def stop(self) -> None:
        """End everything, the newest first; what fails or is stuck is logged and passed."""
        while self._steps:
            await self._ended(self._steps.pop())

    async def _ended(self, step: _Step) -> None:
        stopping = maybeDeferred(step.stop)
        over: Deferred[bool] = Deferred()
        timer = self._clock.callLater(step.limit, over.callback, False)

        def done(outcome: object) -> None:
            if timer.active():
                timer.cancel()
                over.callback(True)
            if isinstance(outcome, Failure) and not outcome.check(CancelledError):
                self.log.failure("stopping {step} failed", outcome, step=step.name)

        stopping.addBoth(done)
        if not await over:
            self.log.warn(
                "{step} did not stop within {limit} s and is left behind",
                step=step.name,
                limit=step.limit,
            )
            stopping.cancel()


class OrderedService(Service):
    """Runs ``start(steps)`` when it is started; stops the steps that it added, in reverse.

    When the start fails, what is up already is stopped again and ``failed`` is told the Failure,
    once; a stop during the start cancels it.
    """

    log = Logger()

    def __init__(
        self,
        start: Callable[[Steps], Awaitable[None]],
        clock: IReactorTime,
        failed: Callable[[Failure], None],
    ) -> None:
        self._start, self._failed = start, failed
        self._steps = Steps(clock)
        self._starting: Deferred[None] | None = None
        self._stopping: Deferred[None] | None = None

    def startService(self) -> None:
        """Begin the start; it goes on while the reactor runs."""
        super().startService()  # type: ignore[no-untyped-call]
        self._starting = Deferred.fromCoroutine(self._rise())

    def stopService(self) -> Deferred[None]:
        """Stop everything; fires when it is done. A second call waits for the first."""
        if self._stopping is None:
            super().stopService()  # type: ignore[no-untyped-call]
            self._stopping = Deferred.fromCoroutine(self._stop())
        again: Deferred[None] = Deferred()

        def pass_on(outcome: None) -> None:
            again.callback(None)

        self._stopping.addCallback(pass_on)
        return again

    async def _stop(self) -> None:
        if self._starting is not None:
            self._starting.cancel()
            await self._starting
        await self._steps.stop()

    async def _rise(self) -> None:
        try:
            await self._start(self._steps)
        except Exception as error:
            if isinstance(error, CancelledError) and not self.running:
                return  # stopService cancelled it, and ends the steps itself
            failure = Failure()
            await self._steps.stop()
            self._failed(failure)
