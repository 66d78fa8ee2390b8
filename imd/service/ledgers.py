"""The ledgers in a running server: statistics on request, and the comparison by the clock.

Both wait for databases for long, so they have one thread of their own and connections of their
own; messages never wait for them. Wiring starts it; what is counted, the ledger room knows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from threading import Thread
from typing import TYPE_CHECKING, Any, Final, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.threadpool import ThreadPool

from imd.actions.ports import Clock
from imd.config import Settings
from imd.domain.errors import InvalidInput, Unavailable
from imd.ledger.times import NoTime, parse_time, zone_of
from imd.storage.consults import open_consults
from imd.storage.engine import StorageError

if TYPE_CHECKING:
    from imd.ledger.platform import Platform

T = TypeVar("T")
#: pieces of work that may wait for the thread
_QUEUE: Final = 50
#: seconds between two looks for days to sum up
SUM_UP_SECONDS: Final = 600.0
#: seconds between two looks whether to compare, where that is not wanted more often: a timer of
#: ``reconcile.every`` would never come to its end in processes that live shorter
TURN_SECONDS: Final = 600.0
#: ms: what the timer compares begins 30 days ago and ends a minute ago (page 7.2)
_BACK: Final = 30 * 86_400_000
_UP_TO: Final = 60_000


class _Daemon(Thread):
    """A thread that the end of the process does not wait for."""

    def __init__(self, *args: Any, **kw: Any) -> None:
        super().__init__(*args, **kw, daemon=True)


class Ledgers:
    """Implements the port ``Statistics``; one piece of work at a time."""

    log = Logger()

    def __init__(self, settings: Settings, reactor: Any, clock: Clock) -> None:
        self._settings, self._reactor, self._clock = settings, reactor, clock
        self._pool = ThreadPool(0, 1, name="imd-ledger")
        # A count that is stuck in a foreign database is not to hold up the end of the process.
        self._pool.threadFactory = _Daemon
        self._waiting = 0
        #: differences by class, as the last comparison found them; empty before the first
        self.differences: Counter[str] = Counter()

    def start(self) -> None:
        """Let the thread be started when there is work."""
        self._pool.start()

    def stop(self) -> None:
        """Start nothing more; what runs ends with the process."""
        if not self._waiting:
            self._pool.stop()

    def consults(
        self,
        by: str,
        org: str | None,
        type_: int | None,
        window: tuple[str | int | None, str | int | None],
        listed: bool,
    ) -> Deferred[Any]:
        """The answer of page 7.3, within ``http.request_timeout``."""
        if self._waiting >= _QUEUE:
            raise Unavailable("Too many counts are under way.")
        zone = zone_of(self._settings.platform.timezone)
        times: list[int | None] = []
        for name, given in zip(("since", "until"), window, strict=True):
            try:
                times.append(None if given is None else parse_time(str(given), zone))
            except NoTime as error:
                raise InvalidInput.of(name, str(error)) from None

        def work(book: Any, platform: Platform | None) -> Any:
            from imd.ledger.statistics import Query, count_consults

            return count_consults(book, platform, Query(by, org, type_, times[0], times[1], listed))

        counting = self._run(work)
        counting.addTimeout(self._settings.http.request_timeout, self._reactor, _late)
        return counting

    async def compare(self) -> None:
        """Compare the last 30 days, and keep what differs for ``/metrics``.

        Of several processes one does it in ``reconcile.every`` seconds; the others take over what
        it found.
        """
        now, every = self._clock.now(), int(self._settings.reconcile.every * 1000)

        def work(book: Any, platform: Platform | None) -> tuple[bool, Mapping[str, int]]:
            from imd.ledger.reconciling import CLASSES, reconcile
            from imd.ledger.repairs import Repairs, Wishes

            assert platform is not None
            ours, found = book.turn(now, every)
            if not ours:
                return False, found
            repairs = Repairs(book, platform, Wishes(), self._clock.now, "timer")
            window = (now - _BACK, now - _UP_TO)
            differences = reconcile(book, platform, window, 0, repairs).differences
            found = {name: differences[name] for name in CLASSES}
            book.end_turn(found)
            return True, found

        ours, found = await self._run(work)
        self.differences = Counter(found)
        if ours:
            self.log.info("ledgers compared: {left} differences", left=sum(found.values()))

    async def sum_up(self) -> None:
        """Sum up the days that are over, and those that have changed, a few in a transaction."""
        now = self._clock.now()

        def some() -> bool:
            try:
                with open_consults(self._settings.database.url) as book:
                    return book.sum_up(now)
            except StorageError as error:
                raise Unavailable("Days cannot be summed up at the moment.") from error

        while self._pool.started and await self._threaded(some):
            pass

    def _run(self, work: Callable[[Any, Platform | None], T]) -> Deferred[T]:
        def run() -> T:
            # Here and not above: a server that is never asked need not carry SQLAlchemy.
            from imd.ledger.foreign import Foreign, ForeignFailed
            from imd.ledger.platform import BadNames, Names, Platform

            try:
                with ExitStack() as open_:
                    platform = None
                    there = self._settings.platform
                    if there.url:
                        foreign = open_.enter_context(Foreign(there.url))
                        platform = Platform(foreign, Names(there.names), zone_of(there.timezone))
                    book = open_.enter_context(open_consults(self._settings.database.url))
                    return work(book, platform)
            except (ForeignFailed, BadNames, StorageError) as error:
                self.log.warn("the ledgers cannot be read: {kind}", kind=type(error).__name__)
                raise Unavailable("The ledgers cannot be read at the moment.") from error

        return self._threaded(run)

    def _threaded(self, run: Callable[[], T]) -> Deferred[T]:
        """What ``run`` gives, from the thread; who gives up before its turn leaves nothing to do.

        One who gives up later is no longer told, but the thread is taken until ``run`` is done.
        """
        asked: Deferred[T] = Deferred()

        def begin() -> T:
            if asked.called:
                raise CancelledError
            return run()

        def done(result: Any) -> Any:
            self._waiting -= 1
            return result

        self._waiting += 1
        running: Deferred[T] = deferToThreadPool(self._reactor, self._pool, begin)
        running.addBoth(done).chainDeferred(asked)
        return asked


def _late(*_: object) -> Any:
    raise Unavailable("The count took too long; ask for less.")
