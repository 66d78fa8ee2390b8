"""Tells this process's sockets what has been committed (pages 3.3 and 4.3).

Actions and the writer call it through :class:`imd.actions.ports.Courier`, after the commit and
only then. It never blocks and never fails: what needs the database is asked later and tried again.
It knows no WebSocket, no membership of inside links (they were checked when they came in), and
nothing of other processes, save that one may give a :meth:`Courier.hint`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from imd.actions.ports import Committed, Database
from imd.delivery.badges import Badges
from imd.delivery.feeds import Feeds
from imd.delivery.notices import Event, Notices
from imd.delivery.registry import Registry
from imd.domain.message import Message
from imd.domain.message_types import counts
from imd.domain.participant import Marked
from imd.domain.session import Session
from imd.domain.topic import Topic
from imd.wire.closing import Close
from imd.wire.codec import encode
from imd.wire.frames import notification, text_frame

#: ms between two ``typing`` of one user in one session that are relayed (page 3.2)
TYPING_PAUSE = 3000


class Courier:
    """Implements :class:`imd.actions.ports.Courier` for one process.

    ``now`` gives ms; ``reactor`` times the patience with holes and the pauses of badges.
    """

    log = Logger()

    def __init__(
        self, db: Database, registry: Registry, reactor: IReactorTime, now: Callable[[], int]
    ) -> None:
        self.registry, self._now = registry, now
        #: messages that this process stored, and how often one was written to an inside socket
        self.stored = self.delivered = 0
        self.feeds = Feeds(db, reactor, self._broadcast)
        self.badges = Badges(db, registry, reactor)
        self.notices = Notices(db, registry, reactor, self.badges.stale)

    def committed(self, entries: Sequence[Committed]) -> None:
        """Deliver messages that are durable, in whatever order they come."""
        self.stored += len(entries)
        for entry in entries:
            try:
                self._commit(entry)
            except Exception:
                self.log.failure("a message was not delivered")
        self.notices.go()

    def _commit(self, entry: Committed) -> None:
        message = entry.message
        self.feeds.offer(entry)
        if counts(message.type):
            self.notices.add(Event(message.session_id, entry))
        if entry.answered is not None:
            self.notices.add(Event(message.session_id, frame=_frame("topic", entry.answered)))

    def _broadcast(self, entry: Committed) -> None:
        """Count it; and after its place in the stream, the topic that the message answered."""
        feed = self.feeds.get(entry.message.session_id)
        if feed is None:
            return
        self.delivered += feed.audience
        if entry.answered is not None:
            feed.tell(_frame("topic", entry.answered))

    def updated(self, message: Message) -> None:
        """A card was changed or a message recalled."""
        self._tell(message.session_id, _frame("update", message))

    def session_changed(self, session: Session) -> None:
        """Name, members or status changed: to inside sockets and members' outer ones."""
        self._tell_all(session.id, _frame("session", session))

    def topic_changed(self, topic: Topic) -> None:
        """A topic started or ended: to inside sockets and members' outer ones."""
        self._tell_all(topic.session_id, _frame("topic", topic))

    def marked(self, marked: Marked) -> None:
        """A member read on: its badge changes, and the others see how far."""
        if not marked.moved:
            return
        params = {
            "session_id": marked.session_id,
            "user_id": marked.user_id,
            "read_seq": marked.read_seq,
        }
        self._tell(marked.session_id, _frame("read", params))
        self.badges.stale(marked.user_id)

    def typing(self, session_id: str, user_id: str, origin: object) -> None:
        """Relay to the other inside sockets, at most once in 3 s a user; never stored."""
        feed = self.feeds.get(session_id)
        if feed is None:
            return
        now = self._now()
        if now - feed.typed.get(user_id, now - TYPING_PAUSE) < TYPING_PAUSE:
            return
        feed.typed[user_id] = now
        feed.tell(_frame("typing", {"session_id": session_id, "user_id": user_id}), origin)

    def expelled(self, session_id: str, user_ids: Collection[str]) -> None:
        """These are no members any more: their links in the session end with 4403 at once."""
        feed = self.feeds.get(session_id)
        for link in feed.links(set(user_ids)) if feed is not None else ():
            assert feed is not None
            feed.leave(link)
            link.end(Close.NOT_A_MEMBER)
        for user_id in user_ids:
            self.badges.stale(user_id)

    def revoked(self, fingerprint: str) -> None:
        """The token is refused from now on: its links end with 4403."""
        for link in self.registry.of_token(fingerprint):
            link.end(Close.NOT_A_MEMBER)

    def hint(self, session_id: str, seq: int) -> None:
        """Another process says that the session goes up to ``seq``; false hints do no harm."""
        self.feeds.hint(session_id, seq)

    def stop(self) -> None:
        """No more timers and queries."""
        self.feeds.stop()
        self.notices.stop()
        self.badges.stop()

    def _tell(self, session_id: str, frame: bytes) -> None:
        feed = self.feeds.get(session_id)
        if feed is not None:
            feed.tell(frame)

    def _tell_all(self, session_id: str, frame: bytes) -> None:
        self._tell(session_id, frame)
        self.notices.add(Event(session_id, frame=frame))
        self.notices.go()


def _frame(method: str, params: object) -> bytes:
    return text_frame(notification(method, encode(params)))
