"""The sweep: what no hint told is found within ``bus.sweep`` seconds all the same (page 4.3).

It looks into the database on a timer, and at once when the bus was lost and is back: for inside
links whether their sessions went on and they are still members; for outer ones, only while hints
are or were missing, some users at a time. It knows no bus but whether it is up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from imd.actions.ports import Database, Transaction
from imd.delivery.courier import Courier
from imd.delivery.notices import Event
from imd.domain.errors import ImError

#: outer users that one sweep looks after
MOST_USERS = 200
#: ms by which a lost bus, or another process's clock, may be noticed too late
MARGIN = 10_000


class Sweep:
    """``every`` is ``bus.sweep`` in seconds, ``up`` whether hints arrive, ``now`` gives ms."""

    log = Logger()

    def __init__(
        self,
        db: Database,
        courier: Courier,
        reactor: IReactorTime,
        now: Callable[[], int],
        up: Callable[[], bool],
        every: float,
    ) -> None:
        self._db, self._courier, self._reactor = db, courier, reactor
        self._now, self._up, self._every = now, up, every
        #: sweeps that found what no hint had told
        self.found = 0
        self._timer: IDelayedCall | None = None
        self._run: Deferred[None] | None = None
        self._at_once = self._failing = False
        #: when the bus was good for the last time, ms
        self._good = now()
        #: outer users who may have missed something since then, ms
        self._owed: dict[str, None] = {}
        self._since: int | None = None

    def start(self) -> None:
        """Sweep for the first time after ``every`` seconds."""
        self._schedule(self._every)

    def stop(self) -> None:
        """No more reads."""
        if self._run is not None:
            self._run.cancel()
        if self._timer is not None:  # after the run, whose end sets it
            self._timer.cancel()
            self._timer = None

    def catch_up(self, since: int | None = None) -> None:
        """Hints were lost since then (ms), or since the bus was last seen up; look at once."""
        self._owe(self._good if since is None else since)
        if self._run is not None:
            self._at_once = True
        elif self._timer is not None:
            self._timer.cancel()
            self._schedule(0.0)

    def _owe(self, since: int) -> None:
        since -= MARGIN
        self._since = since if self._since is None else min(self._since, since)
        self._owed.update(dict.fromkeys(self._courier.registry.outer_users))

    def _schedule(self, delay: float) -> None:
        self._timer = self._reactor.callLater(delay, self._begin)

    def _begin(self) -> None:
        self._timer = None
        self._run = Deferred.fromCoroutine(self._sweep())
        self._run.addCallbacks(self._swept, self._failed).addCallback(self._next)

    async def _sweep(self) -> None:
        up = self._up()
        if not up and not self._owed:
            self._owe(self._good)
        went_on, expelled = await self._courier.feeds.sweep()
        if went_on or expelled:
            self.found += 1
            self.log.debug(
                "the sweep found {sessions} sessions and {links} links that no hint told of",
                sessions=went_on,
                links=expelled,
            )
        if self._owed:
            await self._look_after_outer()
        if up and self._up():
            self._good = self._now()
            if not self._owed:
                self._since = None

    async def _look_after_outer(self) -> None:
        """Notices and badges of some outer users, from what the database says."""
        courier, since = self._courier, self._since or 0
        users = [name for name in list(self._owed)[:MOST_USERS] if courier.registry.outer(name)]
        if users:
            spoken = await self._db.read(_spoken, users, since)
            for session_id, seq in spoken:
                courier.notices.add(Event(session_id, seq=seq, first=seq, since=since))
            courier.notices.go()
        for name in list(self._owed)[:MOST_USERS]:
            del self._owed[name]
            courier.badges.stale(name)

    def _swept(self, _: object) -> None:
        self._failing = False

    def _failed(self, failure: Failure) -> None:
        if failure.check(CancelledError) or self._failing:
            return
        self._failing = True
        if isinstance(failure.value, ImError):
            self.log.warn("the sweep failed: {code}; it goes on", code=failure.value.code)
        else:
            self.log.failure("the sweep failed; it goes on", failure)

    def _next(self, outcome: object) -> None:
        self._run = None
        delay, self._at_once = 0.0 if self._at_once else self._every, False
        self._schedule(delay)


def _spoken(tx: Transaction, users: Sequence[str], since: int) -> list[tuple[str, int]]:
    return tx.sessions.spoken_since(users, since)
