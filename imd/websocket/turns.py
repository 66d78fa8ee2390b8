"""The requests of one socket, in order (page 3.2).

A link makes one when a request comes and drops it when nothing is left, so that an idle socket
has none. Sends that stand behind each other are handed on without waiting, so that the writer can
group them; any other request waits until what came before it has been answered. Nothing is begun
while the peer does not read its answers. It knows neither methods nor JSON.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred

from imd.wire.frames import Call


class Turn(NamedTuple):
    """A request: ``work``, a coroutine, carries it out for its link and answers; it raises nothing.

    A ``grouped`` one (a send) may overlap with its like: its ``work`` is a plain function that
    only begins, and tells :meth:`Turns.answered` itself.
    """

    call: Call
    work: Callable[[Any, Turn], Any]
    grouped: bool
    params: object = None


class Turns:
    """``idle`` is called when everything has been answered; ``blocked`` says whether to wait."""

    __slots__ = ("_blocked", "_idle", "_link", "_pause", "_queue", "_running", "outstanding")

    def __init__(self, link: object, blocked: Callable[[], bool], idle: Callable[[], None]) -> None:
        self._link, self._blocked, self._idle = link, blocked, idle
        self._queue: deque[Turn] = deque()
        #: grouped requests that are not answered yet
        self.outstanding = 0
        self._running: Deferred[None] | None = None
        self._pause: Deferred[None] | None = None

    def __len__(self) -> int:
        """Requests that were not answered yet, the running one left out."""
        return len(self._queue) + self.outstanding

    def add(self, turn: Turn) -> None:
        if turn.grouped and self._running is None and not self._blocked():
            self._begin(turn)
            return
        self._queue.append(turn)
        if self._running is None:
            self._running = Deferred.fromCoroutine(self._work())
            self._running.addBoth(self._rest)

    def clear(self) -> None:
        """Begin nothing more; what is under way goes on, for the store's sake."""
        self._queue.clear()
        self.go_on()

    def go_on(self) -> None:
        """What the work waited for may have come."""
        pause, self._pause = self._pause, None
        if pause is not None:
            pause.callback(None)

    def answered(self) -> None:
        """A grouped request has been answered."""
        self.outstanding -= 1
        if self.outstanding == 0:
            self.go_on()
            self._rest_if_done()

    async def _work(self) -> None:
        while self._queue:
            if self._blocked() or (self.outstanding and not self._queue[0].grouped):
                self._pause = Deferred()
                await self._pause
                continue
            turn = self._queue.popleft()
            if turn.grouped:
                self._begin(turn)
            else:
                await turn.work(self._link, turn)

    def _begin(self, turn: Turn) -> None:
        """Hand a grouped request on; it goes its own way."""
        self.outstanding += 1
        turn.work(self._link, turn)

    def _rest(self, result: object) -> object:
        self._running = None
        self._rest_if_done()
        return result

    def _rest_if_done(self) -> None:
        if self._running is None and self.outstanding == 0 and not self._queue:
            self._idle()
