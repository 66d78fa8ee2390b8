"""When waiting exchanges have waited long enough: one timer for all of them.

The dispatch adds an exchange whose action did not end at once, and drops it when it does. All wait
equally long, so the first one added is the first one due, and the reactor need not sort a timer of
each request's own. It refuses to know what being overdue means.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import takewhile

from twisted.internet.interfaces import IReactorTime

from imd.rest.exchange import Exchange


class Deadlines:
    """``seconds`` after an exchange was added, ``overdue`` is called with it, unless dropped."""

    def __init__(
        self, clock: IReactorTime, seconds: float, overdue: Callable[[Exchange], None]
    ) -> None:
        self._clock, self._seconds, self._overdue = clock, seconds, overdue
        #: in the order of adding, with the time at which each is due
        self._due: dict[Exchange, float] = {}
        self._armed = False

    def add(self, exchange: Exchange) -> None:
        """Its time begins now."""
        self._due[exchange] = self._clock.seconds() + self._seconds
        if not self._armed:
            self._arm(self._seconds)

    def drop(self, exchange: Exchange) -> None:
        """Its time does not matter any more; nothing when it is not among those that wait."""
        self._due.pop(exchange, None)

    def _arm(self, seconds: float) -> None:
        self._armed = True
        self._clock.callLater(seconds, self._tick)

    def _tick(self) -> None:
        """Tell of those that are due, and come back when the next one is."""
        now = self._clock.seconds()
        late = [exchange for exchange, _ in takewhile(lambda one: one[1] <= now, self._due.items())]
        try:
            for exchange in late:
                # An earlier one's end may have been this one's.
                if self._due.pop(exchange, None) is not None:
                    self._overdue(exchange)
        finally:
            self._armed = False
            for due in self._due.values():
                self._arm(max(0.0, due - now))
                break
