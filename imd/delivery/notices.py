"""What outer sockets are told: a notice for each counted message, and changes of their sessions.

The courier adds events, and so does whoever hears of messages that other processes stored; who of
the connected outer users is a member, and what was said elsewhere, is read from the database, one
query at a time for everything that has gathered (page 4.3: joined to current membership). It keeps
each session's order. It knows nothing of inside sockets, and asks nothing while nobody has an outer
socket.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from imd.actions.ports import Committed, Database, Transaction
from imd.delivery.outages import log_failed_read
from imd.delivery.registry import Registry
from imd.delivery.spans import Spans
from imd.domain.message import LastMessage
from imd.domain.message_types import counts
from imd.domain.session import unread
from imd.wire.codec import encode, raw
from imd.wire.frames import notification, text_frame

#: seconds after a query that failed
RETRY = 1.0
#: events kept while the database is away; older ones are dropped (clients reload their lists)
MOST = 10_000
#: messages of one session that are read at a time
MOST_READ = 50


class Event(NamedTuple):
    """Messages ``first`` to ``seq``, or a ready frame for the members of a session.

    ``entry`` is the message where this process stored it. What others stored before ``since`` (ms)
    is no news, unless it fills a gap.
    """

    session_id: str
    entry: Committed | None = None
    frame: bytes = b""
    seq: int = 0
    first: int = 0
    since: int = 0


class Notices:
    """``changed(user_id)`` is called for each user whose badge a delivered message changes."""

    log = Logger()

    def __init__(
        self,
        db: Database,
        registry: Registry,
        reactor: IReactorTime,
        changed: Callable[[str], None],
    ) -> None:
        self._db, self._registry, self._reactor, self._changed = db, registry, reactor, changed
        self._events: list[Event] = []
        self._spans = Spans()
        self._round: Deferred[None] | None = None

    def stored(self, entry: Committed) -> None:
        """This process stored a message."""
        if self._registry.outer_users:
            message = entry.message
            self.add(Event(message.session_id, entry, seq=message.seq, first=message.seq))
        else:
            self._spans.clear()

    def add(self, event: Event) -> None:
        """Queue an event; :meth:`go` starts the query."""
        if self._registry.outer_users:
            self._events.append(event)
            if len(self._events) > 2 * MOST:
                del self._events[:-MOST]
        else:
            # Nobody is told from here on, and who comes later wants nothing of before.
            self._spans.clear()

    def go(self) -> None:
        """Ask for the audience of what has gathered, unless a query is under way already."""
        if self._events and self._round is None:
            self._round = Deferred.fromCoroutine(self._go_round())
            self._round.addErrback(self._lost).addCallback(self._done)

    def stop(self) -> None:
        """Drop what waits."""
        self._events.clear()
        if self._round is not None:
            self._round.cancel()

    async def _go_round(self) -> None:
        while self._events:
            events, self._events = self._events, []
            users = list(self._registry.outer_users)
            if not users:
                continue
            sessions = list({event.session_id for event in events})
            missing = self._spans.missing(events, MOST_READ)
            try:
                audience, read = await self._db.read(_audience, sessions, users, missing)
            except CancelledError:
                raise
            except Exception:
                log_failed_read(
                    self.log, "notices wait for the database; events: {n}", n=len(events)
                )
                self._events = [*events, *self._events][-MOST:]
                await deferLater(self._reactor, RETRY)
                continue
            self._deliver(events, audience, read)

    def _deliver(
        self,
        events: list[Event],
        audience: Collection[tuple[str, str, int]],
        read: Iterable[Committed],
    ) -> None:
        members: dict[str, list[tuple[str, int]]] = {}
        for session_id, user_id, read_counted in audience:
            members.setdefault(session_id, []).append((user_id, read_counted))
        entries = {(e.message.session_id, e.message.seq): e for e in read}
        for event in events:
            if event.entry is not None:
                entries[event.session_id, event.seq] = event.entry
        for event in events:
            there = members.get(event.session_id, ())
            if event.frame:
                self._tell(event.session_id, there, event.frame)
                continue
            if not there:
                self._spans.forget(event.session_id)
                continue
            for seq, since in self._spans.due(event):
                entry = entries.get((event.session_id, seq))
                if entry is not None and entry.message.timestamp >= since:
                    self._spans.told(event.session_id, seq)
                    self._notify(entry, there)

    def _notify(self, entry: Committed, members: Collection[tuple[str, int]]) -> None:
        """The notice, and the topic that the message answered."""
        message = entry.message
        if counts(message.type):
            self._count(entry, members)
        if entry.answered is not None:
            frame = text_frame(notification("topic", encode(entry.answered)))
            self._tell(message.session_id, members, frame)

    def _count(self, entry: Committed, members: Collection[tuple[str, int]]) -> None:
        message = entry.message
        last = raw(encode(LastMessage.of(message)))
        frames: dict[int, bytes] = {}
        for user_id, read_counted in members:
            self._changed(user_id)
            if user_id == message.sender_id:
                continue  # its badge may have changed too: sending reads what stands before
            number = unread(entry.counted, read_counted)
            if number not in frames:
                notice = {
                    "session_id": message.session_id,
                    "session_type": entry.session_type,
                    "unread": number,
                    "last_message": last,
                }
                frames[number] = text_frame(notification("notice", encode(notice)))
            self._write(user_id, message.session_id, frames[number])

    def _tell(self, session_id: str, members: Iterable[tuple[str, int]], frame: bytes) -> None:
        for user_id, _ in members:
            self._write(user_id, session_id, frame)

    def _write(self, user_id: str, session_id: str, frame: bytes) -> None:
        for link in self._registry.outer(user_id):
            if link.sid is None or session_id in link.sid:
                link.write(frame)

    def _done(self, _: object) -> None:
        self._round = None
        self.go()

    def _lost(self, failure: Failure) -> None:
        if not failure.check(CancelledError):
            self.log.failure("notices failed", failure)


def _audience(
    tx: Transaction, sessions: list[str], users: list[str], missing: list[tuple[str, int]]
) -> tuple[list[tuple[str, str, int]], list[Committed]]:
    audience = tx.participants.audience(sessions, users)
    # What was said is read only where there is somebody to tell.
    heard = {session_id for session_id, _, _ in audience}
    wanted = [pair for pair in missing if pair[0] in heard]
    return audience, tx.messages.ranges(wanted, MOST_READ)
