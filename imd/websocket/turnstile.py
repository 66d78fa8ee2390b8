"""Newcomers one after another: a storm of them must not keep everybody else waiting.

After a restart of a proxy or a roll, thousands of pages come back within a second. Their handshakes
and logins pass here one at each turn of the reactor, so that what the others ask comes in between;
at most ``MOST`` may wait. It refuses to know what a newcomer wants.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from imd.domain.errors import Unavailable

#: newcomers that may wait: some seconds' worth
MOST = 10_000


class Turnstile:
    """Runs one ``pass_through`` a turn of the reactor, in the order in which they came."""

    def __init__(self, clock: IReactorTime, most: int = MOST) -> None:
        self._clock, self._most = clock, most
        self._waiting: deque[Callable[[], object]] = deque()
        #: set from one passage until the next turn
        self._turn: IDelayedCall | None = None

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def enter(self, pass_through: Callable[[], object]) -> bool:
        """Run it now when nobody passed in this turn, else when it is its turn.

        False when too many wait: then it never runs.
        """
        if self._turn is None:
            self._turn = self._clock.callLater(0, self._next)
            pass_through()
            return True
        if len(self._waiting) >= self._most:
            return False
        self._waiting.append(pass_through)
        return True

    def turn(self) -> Deferred[None]:
        """Fires when it is one's turn; Unavailable when too many wait."""
        done: Deferred[None] = Deferred()

        def pass_through() -> None:
            if not done.called:  # else it has gone meanwhile
                done.callback(None)

        if not self.enter(pass_through):
            done.errback(Unavailable("Too many connect at this moment."))
        return done

    def stop(self) -> None:
        """Forget whoever waits."""
        self._waiting.clear()
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None

    def _next(self) -> None:
        self._turn = None
        if self._waiting:
            self._turn = self._clock.callLater(0, self._next)
            self._waiting.popleft()()
