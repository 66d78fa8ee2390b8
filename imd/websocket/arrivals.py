"""Who wants into a session at the same time is looked up together.

A login reads three things of the database. Alone it asks at once; in a storm those who wait while
another look is under way share the next one, which costs a fraction of a look for each, and leaves
the database's other connections to everybody else. Methods ask it; it knows no socket.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from imd.actions import live
from imd.actions.ports import House
from imd.domain.errors import ImError, Unavailable

#: who shares a look, and looks under way at once
MOST: Final = 16
LOOKS: Final = 2


class Arrivals:
    """Carries :func:`imd.actions.live.join` out for whoever waits.

    ``go_on`` runs what follows for each of them: sixteen at once would take too long.
    """

    def __init__(self, house: House, go_on: Callable[[Callable[[], object]], None]) -> None:
        self._house, self._go_on = house, go_on
        self._waiting: list[tuple[live.Entry, Deferred[live.Joined]]] = []
        self._looks = 0

    def join(self, entry: live.Entry) -> Deferred[live.Joined]:
        """What the session shows the user; its ImError where it is refused."""
        done: Deferred[live.Joined] = Deferred()
        self._waiting.append((entry, done))
        self._go()
        return done

    def _go(self) -> None:
        while self._waiting and self._looks < LOOKS:
            some, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
            self._looks += 1
            Deferred.fromCoroutine(self._look(some))

    async def _look(self, some: list[tuple[live.Entry, Deferred[live.Joined]]]) -> None:
        outcomes: list[live.Joined | ImError | Failure]
        try:
            outcomes = [*await live.join(self._house, [entry for entry, _ in some])]
        except CancelledError:
            # The look was, not those who wait for it: they are told, and may come again.
            outcomes = [Unavailable()] * len(some)
        except Exception:
            outcomes = [Failure()] * len(some)
        finally:
            self._looks -= 1
        for (_, done), outcome in zip(some, outcomes, strict=True):
            self._go_on(partial(_tell, done, outcome))
        self._go()


def _tell(done: Deferred[live.Joined], outcome: live.Joined | ImError | Failure) -> None:
    if not done.called:
        done.callback(Failure(outcome) if isinstance(outcome, ImError) else outcome)
