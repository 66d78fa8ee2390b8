"""The feeds of this process, and the mending of holes in them.

The courier offers what was committed, admission opens feeds, a bus gives hints. A hole that is not
filled within :data:`PATIENCE` is read from the database, many sessions in one query, so that a
lost call or hint never stalls a stream (page 4.3). It knows nothing of outer sockets.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from imd.actions.ports import Committed, Database, Transaction
from imd.delivery.feed import Feed

#: seconds that a missing message may be late before it is read
PATIENCE = 0.1
#: seconds after a read that failed or brought nothing
RETRY = 1.0
#: messages read for one session at a time
MOST = 200


class Feeds:
    """Feeds by session; ``sent`` is called with each entry that was broadcast."""

    log = Logger()

    def __init__(
        self, db: Database, reactor: IReactorTime, sent: Callable[[Committed], None]
    ) -> None:
        self._db, self._reactor, self._sent = db, reactor, sent
        self._feeds: dict[str, Feed] = {}
        self._due: dict[str, float] = {}
        self._timer: IDelayedCall | None = None
        self._reading: Deferred[None] | None = None

    def __len__(self) -> int:
        return len(self._feeds)

    def get(self, session_id: str) -> Feed | None:
        """The session's feed, when it has an inside link here."""
        return self._feeds.get(session_id)

    def open(self, session_id: str) -> Feed:
        """The session's feed; the caller puts a link in it."""
        feed = self._feeds.get(session_id)
        if feed is None:
            feed = self._feeds[session_id] = Feed(session_id, self._sent)
        return feed

    def close(self, feed: Feed) -> None:
        """Forget the feed when its last link is gone."""
        if feed.empty:
            self._feeds.pop(feed.session_id, None)

    def offer(self, entry: Committed) -> bool:
        """Give an entry to its feed; False when there is none."""
        feed = self._feeds.get(entry.message.session_id)
        if feed is None:
            return False
        feed.offer(entry)
        self.mend(feed)
        return True

    def hint(self, session_id: str, seq: int) -> None:
        """Another process stored up to ``seq``: read what is missing, without waiting for more."""
        feed = self._feeds.get(session_id)
        if feed is not None:
            feed.hint(seq)
            self.mend(feed, 0)

    def mend(self, feed: Feed, patience: float = PATIENCE) -> None:
        """Have the feed's holes read, unless they fill by themselves before."""
        if feed.wanted() is None:
            return
        due = self._reactor.seconds() + patience
        if due < self._due.get(feed.session_id, due + 1):
            self._due[feed.session_id] = due
            self._schedule()

    def stop(self) -> None:
        """No more reads."""
        self._due.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._reading is not None:
            self._reading.cancel()

    def _schedule(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._due and self._reading is None:
            delay = max(0.0, min(self._due.values()) - self._reactor.seconds())
            self._timer = self._reactor.callLater(delay, self._ripe)

    def _ripe(self) -> None:
        self._timer = None
        now = self._reactor.seconds()
        wanted = {}
        for session_id in [name for name, due in self._due.items() if due <= now]:
            del self._due[session_id]
            feed = self._feeds.get(session_id)
            after = feed.wanted() if feed is not None else None
            if feed is not None and after is not None:
                wanted[feed] = after
        if not wanted:
            self._schedule()
            return
        self._reading = Deferred.fromCoroutine(self._read(wanted))
        self._reading.addErrback(self._lost).addCallback(self._done)

    async def _read(self, wanted: dict[Feed, int]) -> None:
        believed = {feed: feed.known for feed in wanted}
        ranges = [(feed.session_id, after) for feed, after in wanted.items()]
        try:
            entries = await self._db.read(_ranges, ranges)
        except CancelledError:
            raise
        except Exception:
            self.log.failure(
                "missing messages not read; sessions: {sessions}", sessions=len(wanted)
            )
            entries = None
        found: dict[str, list[Committed]] = {feed.session_id: [] for feed in wanted}
        for entry in entries or ():
            found[entry.message.session_id].append(entry)
        for feed, after in wanted.items():
            some = found[feed.session_id]
            if entries is not None:
                feed.fill(some, believed[feed] if len(some) < MOST else None)
            if self._feeds.get(feed.session_id) is feed:
                went_on = feed.wanted() != after
                self.mend(feed, 0 if went_on and entries is not None else RETRY)

    def _done(self, _: object) -> None:
        self._reading = None
        self._schedule()

    def _lost(self, failure: Failure) -> None:
        """Cancelled at the end, or a fault of this module, which must not stop the next read."""
        if not failure.check(CancelledError):
            self.log.failure("mending of feeds failed", failure)


def _ranges(tx: Transaction, wanted: Sequence[tuple[str, int]]) -> list[Committed]:
    return tx.messages.ranges(wanted, MOST)
