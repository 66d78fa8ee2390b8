"""What outer sockets are told: a notice for each counted message, and changes of their sessions.

The courier adds events; who of the connected outer users is a member is asked from the database,
one query at a time for everything that has gathered (page 4.3: joined to current membership). It
keeps each session's order. It knows nothing of inside sockets, and asks nothing while nobody has
an outer socket.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import NamedTuple

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from imd.actions.ports import Committed, Database, Transaction
from imd.delivery.registry import Registry
from imd.domain.message import LastMessage
from imd.domain.session import unread
from imd.wire.codec import encode, raw
from imd.wire.frames import notification, text_frame

#: seconds after a query that failed
RETRY = 1.0
#: events kept while the database is away; older ones are dropped (clients reload their lists)
MOST = 10_000


class Event(NamedTuple):
    """A counted message, or a ready frame for the members of a session."""

    session_id: str
    entry: Committed | None = None
    frame: bytes = b""


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
        self._round: Deferred[None] | None = None

    def add(self, event: Event) -> None:
        """Queue an event; :meth:`go` starts the query."""
        if self._registry.outer_users:
            self._events.append(event)

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
            try:
                audience = await self._db.read(_audience, sessions, users)
            except CancelledError:
                raise
            except Exception:
                self.log.failure("notices wait for the database; events: {n}", n=len(events))
                self._events = [*events, *self._events][-MOST:]
                await deferLater(self._reactor, RETRY)
                continue
            self._deliver(events, audience)

    def _deliver(self, events: list[Event], audience: Collection[tuple[str, str, int]]) -> None:
        members: dict[str, list[tuple[str, int]]] = {}
        for session_id, user_id, read_counted in audience:
            members.setdefault(session_id, []).append((user_id, read_counted))
        for event in events:
            there = members.get(event.session_id, ())
            if event.entry is None:
                for user_id, _ in there:
                    self._write(user_id, event.session_id, event.frame)
            elif there:
                self._notify(event.entry, there)

    def _notify(self, entry: Committed, members: Collection[tuple[str, int]]) -> None:
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


def _audience(tx: Transaction, sessions: list[str], users: list[str]) -> list[tuple[str, str, int]]:
    return tx.participants.audience(sessions, users)
