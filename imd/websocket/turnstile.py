"""Newcomers, and who leaves, one after another: a storm of them must not keep all others waiting.

When a proxy restarts, or at a roll, thousands of pages are gone at once and back within a second.
What a socket costs when it ends, handshakes, logins and the results of these pass here. They get a
slice of the reactor's time, and then everybody else a part of that, whatever each costs: so a storm
never has it all, and in the breaks the threads of the database get on too. Who has come further
goes first; at most ``MOST`` may wait in each line. It refuses to know what anybody wants.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from imd.domain.errors import Unavailable

#: newcomers that may wait: some seconds' worth
MOST: Final = 10_000
#: seconds of work in which they pass without a break
SLICE: Final = 0.0005
#: what everybody else gets at least, for each second of theirs
OTHERS: Final = 0.5

Pass = Callable[[], object]


class Turnstile:
    """Runs what newcomers need of the reactor, in the order in which they came.

    ``spent`` tells the seconds of work that this thread has done so far.
    """

    def __init__(
        self,
        clock: IReactorTime,
        most: int = MOST,
        spent: Callable[[], float] = time.thread_time,
    ) -> None:
        self._clock, self._most, self._spent = clock, most, spent
        self._outside: deque[Pass] = deque()
        self._halfway: deque[Pass] = deque()
        #: set from a passage until the next may be
        self._break: IDelayedCall | None = None

    def __len__(self) -> int:
        """How many wait."""
        return len(self._outside) + len(self._halfway)

    def enter(self, pass_through: Pass) -> bool:
        """Run it now when nobody passed just now, else when it is its turn.

        False when too many wait: then it never runs.
        """
        if len(self._outside) >= self._most:
            return False
        self._line_up(self._outside, pass_through)
        return True

    def turn(self) -> Deferred[None]:
        """Fires when it is one's turn to go on; Unavailable when too many wait."""
        done: Deferred[None] = Deferred()

        def pass_through() -> None:
            if not done.called:  # else it has gone meanwhile
                done.callback(None)

        if len(self._halfway) >= self._most:
            done.errback(Unavailable("Too many connect at this moment."))
        else:
            self.go_on(pass_through)
        return done

    def go_on(self, pass_through: Pass) -> None:
        """Run it before those who have not begun: it is of one who was let in, or who leaves."""
        self._line_up(self._halfway, pass_through)

    def stop(self) -> None:
        """Forget whoever waits."""
        self._outside.clear()
        self._halfway.clear()
        if self._break is not None:
            self._break.cancel()
            self._break = None

    def _line_up(self, line: deque[Pass], pass_through: Pass) -> None:
        line.append(pass_through)
        if self._break is None:
            self._let_pass()

    def _let_pass(self) -> None:
        """As many as there is time for, one at least; then a break."""
        self._break = None
        if not len(self):
            return
        self._break = self._clock.callLater(0, self._let_pass)
        started = self._spent()
        try:
            while len(self) and self._spent() - started < SLICE:
                (self._halfway or self._outside).popleft()()
        finally:
            if self._break is not None:  # else it was stopped
                self._break.reset(OTHERS * (self._spent() - started))
