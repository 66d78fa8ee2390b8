"""A repeating call that survives its errors, for whatever must go on as long as the process lives.

Twisted's own ``TimerService`` ends for good at the first error. Wiring starts one for each poll;
it refuses to know what is repeated.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, maybeDeferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from imd.domain.errors import ImError


class Steady:
    """Calls ``work`` again and again, ``every`` seconds after the former run has ended.

    The first of several failures in a row is logged with its traceback, then only the recovery.
    """

    log = Logger()

    def __init__(
        self,
        name: str,
        every: float,
        work: Callable[[], Awaitable[Any] | None],
        clock: IReactorTime,
    ) -> None:
        self.name, self._every, self._work, self._clock = name, every, work, clock
        self._call: IDelayedCall | None = None
        self._run: Deferred[None] | None = None
        self._on = self._again = False
        self._failures = 0

    def start(self) -> None:
        """Run for the first time after ``every`` seconds."""
        self._on = True
        self._schedule()

    def soon(self) -> None:
        """Run now, or again as soon as the run under way has ended."""
        if self._run is not None:
            self._again = True
        elif self._call is not None:
            self._call.reset(0)

    def stop(self) -> Deferred[None]:
        """Run no more; a run under way is cancelled. Fires when it has ended."""
        self._on = False
        if self._call is not None:
            self._call.cancel()
            self._call = None
        if self._run is None:
            return succeed(None)
        ended: Deferred[None] = Deferred()
        self._run.addCallback(ended.callback)
        self._run.cancel()
        return ended

    def _schedule(self) -> None:
        self._call = self._clock.callLater(0.0 if self._again else self._every, self._begin)
        self._again = False

    def _begin(self) -> None:
        self._call = None
        # An awaitable that is no Deferred is a coroutine: maybeDeferred drives both.
        run: Deferred[None] = maybeDeferred(self._work).addCallbacks(self._good, self._bad)
        self._run = run
        run.addCallback(self._next)

    def _good(self, _: object) -> None:
        if self._failures:
            self.log.info("{name} works again", name=self.name, failures=self._failures)
        self._failures = 0

    def _bad(self, failure: Failure) -> None:
        if not self._on and failure.check(CancelledError) is not None:
            return
        self._failures += 1
        if self._failures > 1:
            return
        if isinstance(failure.value, ImError):
            # Said by another room, and no fault of this program: the database is away.
            self.log.warn(
                "{name} failed: {code}; it is tried again",
                name=self.name,
                code=failure.value.code,
            )
        else:
            self.log.failure("{name} failed; it is tried again", failure, name=self.name)

    def _next(self, _: object) -> None:
        self._run = None
        if self._on:
            self._schedule()
