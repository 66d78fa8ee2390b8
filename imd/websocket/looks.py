"""When each connection is to be looked at next, so that thousands of silent ones cost nothing.

A link says after how many ticks something of it may be due: a ping, the end of a login's time, of
a token, of a peer's silence. The factory asks once a tick whom to look at. It refuses to know why.
"""

from __future__ import annotations

from math import ceil
from typing import Protocol


class Looked(Protocol):
    """``look`` is the tick of its next look, 0 for none; only :class:`Looks` sets it."""

    look: int

    def sweep(self, now: int) -> None: ...


class Looks:
    """Links by the tick at which they are due."""

    def __init__(self) -> None:
        self._due: dict[int, dict[Looked, None]] = {}

    def within(self, link: Looked, now: int, ticks: float) -> None:
        """Have it looked at in so many ticks, if it is not sooner anyway; in one at the soonest."""
        look = now + max(1, ceil(ticks))
        if not link.look or look < link.look:
            self.forget(link)
            link.look = look
            self._due.setdefault(look, {})[link] = None

    def forget(self, link: Looked) -> None:
        """It is not to be looked at any more."""
        if link.look:
            waiting = self._due[link.look]
            del waiting[link]
            if not waiting:
                del self._due[link.look]
            link.look = 0

    def at(self, tick: int) -> list[Looked]:
        """Whom to look at now; each has to say anew when the next time is."""
        due = list(self._due.pop(tick, ()))
        for link in due:
            link.look = 0
        return due
