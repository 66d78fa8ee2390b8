"""The feeds of this process, and the mending of holes in them.

The courier offers what was committed, admission opens feeds, a bus gives hints. A hole that is not
filled within :data:`PATIENCE` is read from the database, many sessions in one query, so that a
lost call or hint never stalls a stream (page 4.3). What was committed after members had changed is
read at once, with who is a member in the same snapshot. A sweep asks whether the sessions went on,
and whether who is inside is still a member. It knows nothing of outer sockets.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import islice

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from imd.actions.ports import Committed, Database, Transaction
from imd.delivery.feed import Feed
from imd.delivery.outages import log_failed_read
from imd.delivery.registry import Link
from imd.wire.closing import Close

#: seconds that a missing message may be late before it is read
PATIENCE = 0.1
#: seconds after a read that failed or brought nothing
RETRY = 1.0
#: messages read for one session at a time, and sessions in one read
MOST, MOST_READ = 200, 200
#: sessions in one query of a sweep
MOST_SWEPT = 1000

Pairs = list[tuple[str, str]]


class Seats:
    """Who stood inside some sessions, and how far these were known, when a read began.

    Links that come in later were let in by a later read, so this one says nothing about them.
    """

    __slots__ = ("_feeds", "_links", "known")

    def __init__(self, feeds: Iterable[Feed]) -> None:
        self._feeds = {feed.session_id: feed for feed in feeds}
        self.known = [(feed.session_id, feed.known) for feed in self._feeds.values()]
        self._links: dict[tuple[str, str], list[Link]] = {}
        for feed in self._feeds.values():
            for link in feed.settled:
                self._links.setdefault((feed.session_id, link.user_id), []).append(link)

    @property
    def pairs(self) -> Pairs:
        return list(self._links)

    def of(self, pair: tuple[str, str]) -> tuple[Feed, list[Link]]:
        return self._feeds[pair[0]], self._links[pair]

    def vouch(self, rosters: Mapping[str, int]) -> None:
        """Whoever was not ended since is a member at these rosters of the same read."""
        links: dict[str, list[Link]] = {}
        for (session_id, _), some in self._links.items():
            links.setdefault(session_id, []).extend(some)
        for session_id, roster in rosters.items():
            self._feeds[session_id].vouch(links.get(session_id, []), roster)


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
        #: links that a sweep ended, as their users are no members any more
        self.expelled = 0

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
        if not feed.whole:
            self.mend(feed)
        return True

    def hint(self, session_id: str, seq: int) -> None:
        """Somebody says that the session goes up to ``seq``; who lacks it reads at once."""
        feed = self._feeds.get(session_id)
        if feed is not None:
            feed.hint(seq)
            self.mend(feed, 0)

    def expel(self, session_id: str, user_ids: Collection[str]) -> None:
        """These are no members any more: their links in the session end with 4403 at once."""
        feed = self._feeds.get(session_id)
        if feed is not None:
            self._end(feed, feed.links(user_ids))

    def _end(self, feed: Feed, links: Iterable[Link]) -> None:
        for link in links:
            feed.leave(link)
            link.end(Close.NOT_A_MEMBER)

    def seats(self, session_ids: Iterable[str]) -> Seats:
        """Who is inside these sessions at this moment, for a read that finds who may be."""
        feeds = [self._feeds[name] for name in session_ids if name in self._feeds]
        return Seats(feeds)

    def keep(self, seats: Seats, strangers: Pairs) -> int:
        """End the links of those who the read says are no members; how many there were."""
        ended = 0
        for pair in strangers:
            feed, links = seats.of(pair)
            links = [link for link in links if link in feed.settled]
            self._end(feed, links)
            ended += len(links)
        return ended

    async def sweep(self) -> tuple[int, int]:
        """Look whether anything went by: how many sessions went on and links ended by it.

        Whoever sweeps waits for it before the next; a failed read raises.
        """
        went_on, names = 0, iter(list(self._feeds))
        before = self.expelled
        while some := list(islice(names, MOST_SWEPT)):
            seats = self.seats(some)
            news, strangers = await self._db.read(_news, seats.known, seats.pairs)
            self.expelled += self.keep(seats, strangers)
            for session_id, seq in news:
                feed = self._feeds.get(session_id)
                if feed is not None and feed.position is not None and seq > feed.known:
                    went_on += 1
                    feed.hint(seq)
                    self.mend(feed)  # patiently: it may be on its way to here
        return went_on, self.expelled - before

    def mend(self, feed: Feed, patience: float | None = None) -> None:
        """Have the feed's holes read, unless they fill by themselves before.

        Without a ``patience`` in seconds that is PATIENCE, and none where something waits for a
        look at who is a member.
        """
        if feed.wanted() is None:
            return
        if patience is None:
            patience = 0.0 if feed.doubtful else PATIENCE
        due = self._reactor.seconds() + patience
        if due < self._due.get(feed.session_id, due + 1):
            self._due[feed.session_id] = due
            if self._timer is None or due < self._timer.getTime():
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
        ripe = [name for name, due in self._due.items() if due <= now]
        for session_id in ripe[:MOST_READ]:
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
        seats = Seats(list(wanted))
        try:
            entries, strangers, rosters = await self._db.read(_ranges, ranges, seats.pairs)
        except CancelledError:
            raise
        except Exception:
            log_failed_read(
                self.log, "missing messages not read; sessions: {sessions}", sessions=len(wanted)
            )
            entries, strangers, rosters = None, [], {}
        self.keep(seats, strangers)
        seats.vouch(rosters)
        found: dict[str, list[Committed]] = {feed.session_id: [] for feed in wanted}
        for entry in entries or ():
            found[entry.message.session_id].append(entry)
        for feed, after in wanted.items():
            some = found[feed.session_id]
            if entries is not None:
                feed.fill(some, believed[feed] if len(some) < MOST else None)
            if self._feeds.get(feed.session_id) is feed:
                # Who came in meanwhile may have been looked at sooner than the others.
                behind = feed.roster < rosters.get(feed.session_id, 0)
                went_on = feed.wanted() != after or behind
                self.mend(feed, 0 if went_on and entries is not None else RETRY)

    def _done(self, _: object) -> None:
        self._reading = None
        self._schedule()

    def _lost(self, failure: Failure) -> None:
        """Cancelled at the end, or a fault of this module, which must not stop the next read."""
        if not failure.check(CancelledError):
            self.log.failure("mending of feeds failed", failure)


def _ranges(
    tx: Transaction, wanted: Sequence[tuple[str, int]], pairs: Pairs
) -> tuple[list[Committed] | None, Pairs, dict[str, int]]:
    """In one snapshot, so that nobody gets what was said after it was shut out (I8)."""
    entries = tx.messages.ranges(wanted, MOST)
    rosters = {entry.message.session_id: entry.roster for entry in entries}
    silent = [session_id for session_id, _ in wanted if session_id not in rosters]
    rosters |= tx.sessions.rosters(silent)
    return entries, tx.participants.strangers(pairs), rosters


def _news(
    tx: Transaction, known: Sequence[tuple[str, int]], pairs: Pairs
) -> tuple[list[tuple[str, int]], Pairs]:
    return tx.sessions.beyond(known), tx.participants.strangers(pairs)
