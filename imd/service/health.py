"""Whether this process should be sent work: named checks, asked each time (pages 2.8 and 5.4).

``/readyz`` asks :class:`Readiness`; drain tells it to say no. It refuses to know HTTP and what a
check looks at.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IReactorTime

Check = Callable[[], Awaitable[Any] | None]

DRAINING = "draining"


class Report(NamedTuple):
    """``failed`` names what is not ready; ``degraded`` what is missed without harm."""

    ready: bool
    failed: list[str]
    degraded: list[str]


class Readiness:
    """Asks every check at once; one that raises, or says nothing for ``limit`` seconds, failed.

    A failed check of ``optional`` only degrades.
    """

    def __init__(
        self,
        checks: Mapping[str, Check],
        clock: IReactorTime,
        *,
        optional: Mapping[str, Check] | None = None,
        limit: float = 2.0,
    ) -> None:
        self._needed, self._optional = dict(checks), dict(optional or {})
        self._clock, self._limit = clock, limit
        self.draining = False

    async def report(self) -> Report:
        """How things stand now."""
        every = {**self._needed, **self._optional}
        running = {name: self._holds(check) for name, check in every.items()}
        held = {name: await answer for name, answer in running.items()}
        failed = [name for name in self._needed if not held[name]]
        if self.draining:
            failed.insert(0, DRAINING)
        degraded = [name for name in self._optional if not held[name]]
        return Report(not failed, failed, degraded)

    def _holds(self, check: Check) -> Deferred[bool]:
        asked = maybeDeferred(check)
        asked.addTimeout(self._limit, self._clock)
        return asked.addCallbacks(lambda _: True, lambda _: False)
