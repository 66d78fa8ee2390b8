"""What other processes say happened: read from the database, and told to the sockets here (4.3).

The bus brings hints; this module believes none of them. A message's is a reason for feeds and
notices to look. For the others it reads what there is now, one query at a time for all that has
gathered, and only where somebody is there to tell. It sends nothing over the bus.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from imd.actions.ports import Database, Transaction
from imd.delivery.courier import TYPING_PAUSE, Courier
from imd.delivery.feeds import Pairs
from imd.delivery.notices import Event
from imd.delivery.outages import log_failed_read
from imd.delivery.sweep import Sweep
from imd.wire.hints import (
    AnyHint,
    Bundle,
    Expelled,
    Missed,
    Read,
    Revoked,
    SessionChanged,
    Stored,
    TopicChanged,
    Typing,
    Updated,
)

#: seconds after a query that failed
RETRY = 1.0
#: hints in one query, and those that may wait for one
MOST_READ, MOST_WAITING = 500, 10_000
#: ms after which a stored message is no news to outer sockets
STALE = 60_000
#: ms after which nobody is told any more of what another process could not tell
FORGOTTEN = 3_600_000
#: ms by which a hint about typing may come sooner than the pause
HASTE = 250


#: what is told together with the roster at which it was read
_COMMITTED = (Updated, SessionChanged, TopicChanged, Read)


class Facts(NamedTuple):
    """What the database says about the hints of one round."""

    messages: list[Any]
    sessions: list[Any]
    topics: list[Any]
    read_seqs: dict[tuple[str, str], int]
    strangers: Pairs
    rosters: dict[str, int]


class Hearing:
    """Implements :class:`imd.delivery.bus.Listener`.

    ``revoked`` is called when some token was revoked: whoever keeps credentials looks into the
    store. ``now`` gives ms.
    """

    log = Logger()

    def __init__(
        self,
        db: Database,
        courier: Courier,
        sweep: Sweep,
        reactor: IReactorTime,
        now: Callable[[], int],
        revoked: Callable[[], object],
    ) -> None:
        self._db, self._courier, self._sweep = db, courier, sweep
        self._reactor, self._now, self._revoked = reactor, now, revoked
        self._waiting: dict[AnyHint, None] = {}
        self._round: Deferred[None] | None = None

    def regained(self) -> None:
        """Hints may have been lost until now."""
        self._sweep.catch_up()

    def hear(self, bundle: Bundle) -> None:
        """Look at what happened elsewhere."""
        courier = self._courier
        outer = bool(courier.registry.outer_users)
        for hint in bundle.hints:
            match hint:
                case Stored(session_id, seq, first):
                    courier.feeds.hint(session_id, seq)
                    if outer and first <= seq:
                        since = self._now() - STALE
                        courier.notices.add(Event(session_id, seq=seq, first=first, since=since))
                case Missed(since):
                    self._sweep.catch_up(max(since, self._now() - FORGOTTEN))
                case Revoked():
                    self._revoked()
                case _:
                    self._note(hint, outer)
        courier.notices.go()
        self._go()

    def stop(self) -> None:
        """Drop what waits."""
        self._waiting.clear()
        if self._round is not None:
            self._round.cancel()

    def _note(self, hint: AnyHint, outer: bool) -> None:
        """Keep what somebody here is to be told."""
        match hint:
            case Read(_, user_id) | Expelled(_, user_id):
                self._courier.badges.stale(user_id)
                wanted = False
            case SessionChanged() | TopicChanged():
                wanted = outer
            case _:
                wanted = False
        inside = self._courier.feeds.get(hint.session) is not None  # type: ignore[union-attr]
        if (wanted or inside) and len(self._waiting) < MOST_WAITING:
            self._waiting[hint] = None

    def _go(self) -> None:
        if self._waiting and self._round is None:
            self._round = Deferred.fromCoroutine(self._go_round())
            self._round.addErrback(self._lost).addCallback(self._done)

    async def _go_round(self) -> None:
        while self._waiting:
            some = list(self._waiting)[:MOST_READ]
            for hint in some:
                del self._waiting[hint]
            gone = [hint.session for hint in some if isinstance(hint, Expelled)]
            seats = self._courier.feeds.seats(gone)
            try:
                facts = await self._db.read(_facts, some, seats.pairs)
            except CancelledError:
                raise
            except Exception:
                log_failed_read(self.log, "hints wait for the database; hints: {n}", n=len(some))
                kept = [hint for hint in some if not isinstance(hint, Typing)]
                self._waiting = {**dict.fromkeys(kept), **self._waiting}
                await deferLater(self._reactor, RETRY)
                continue
            self._courier.feeds.keep(seats, facts.strangers)
            self._show(some, facts)

    def _show(self, hints: Iterable[AnyHint], facts: Facts) -> None:
        courier, rosters = self._courier, facts.rosters
        for message in facts.messages:
            courier.show_update(message, rosters[message.session_id])
        for session in facts.sessions:
            courier.show_session(session, rosters[session.id])
        for topic in facts.topics:
            courier.show_topic(topic, rosters[topic.session_id])
        for hint in hints:
            if isinstance(hint, Read | Typing):
                pair = hint.session, hint.user
                if pair not in facts.read_seqs:
                    continue
                if isinstance(hint, Read):
                    courier.show_read(*pair, facts.read_seqs[pair], rosters[hint.session])
                else:
                    courier.show_typing(*pair, None, TYPING_PAUSE - HASTE)

    def _done(self, _: object) -> None:
        self._round = None
        self._go()

    def _lost(self, failure: Failure) -> None:
        if not failure.check(CancelledError):
            self.log.failure("hearing failed", failure)


def _facts(tx: Transaction, hints: Sequence[AnyHint], pairs: Pairs) -> Facts:
    messages, sessions, topics = [], [], []
    members: Pairs = []
    for hint in hints:
        match hint:
            case Updated(session_id, message_id):
                messages.append(tx.messages.get(session_id, message_id))
            case SessionChanged(session_id):
                sessions.append(tx.sessions.view(session_id))
            case TopicChanged(session_id, topic_id):
                topic = tx.topics.get(topic_id)
                topics.append(topic if topic and topic.session_id == session_id else None)
            case Read(session_id, user_id) | Typing(session_id, user_id):
                members.append((session_id, user_id))
            case _:
                continue
    return Facts(
        [found for found in messages if found is not None],
        [found for found in sessions if found is not None],
        [found for found in topics if found is not None],
        {(session, user): seq for session, user, seq in tx.participants.read_seqs(members)},
        tx.participants.strangers(pairs),
        tx.sessions.rosters({hint.session for hint in hints if isinstance(hint, _COMMITTED)}),
    )
