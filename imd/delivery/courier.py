"""Tells sockets what has been committed: those here at once, others by hints (pages 3.3 and 4.3).

Actions and the writer call it through :class:`imd.actions.ports.Courier`, after the commit and
only then. It never blocks and never fails: what needs the database is asked later and tried again.
What other processes commit comes to the same feeds and notices by :mod:`imd.delivery.hearing`. It
knows no WebSocket, and no membership of inside links (they were checked when they came in).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from imd.actions.ports import Committed, Database
from imd.delivery.badges import Badges
from imd.delivery.bus import Bus, MemoryBus, Street
from imd.delivery.feeds import Feeds
from imd.delivery.notices import Event, Notices
from imd.delivery.registry import Registry
from imd.domain.message import Message
from imd.domain.participant import Marked
from imd.domain.session import Session
from imd.domain.topic import Topic
from imd.wire import hints
from imd.wire.closing import Close
from imd.wire.codec import encode
from imd.wire.frames import notification, text_frame

#: ms between two ``typing`` of one user in one session that are relayed (page 3.2)
TYPING_PAUSE = 3000


class Courier:
    """Implements :class:`imd.actions.ports.Courier`.

    ``now`` gives ms; ``reactor`` times the patience with holes and the pauses of badges; ``bus``
    leads to the other processes; without one there are none.
    """

    log = Logger()

    def __init__(
        self,
        db: Database,
        registry: Registry,
        reactor: IReactorTime,
        now: Callable[[], int],
        bus: Bus | None = None,
    ) -> None:
        self.registry, self._now = registry, now
        self._bus = bus or MemoryBus(Street(), reactor, epoch=db.epoch, origin="alone", now=now)
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
        session_id, seq = entry.message.session_id, entry.message.seq
        self.feeds.offer(entry)
        self.notices.stored(entry)
        self._bus.tell(hints.Stored(session_id, seq, seq))

    def _broadcast(self, entry: Committed) -> None:
        """Count it; and after its place in the stream, the topic that the message answered."""
        feed = self.feeds.get(entry.message.session_id)
        if feed is None:
            return
        self.delivered += feed.audience
        if entry.answered is not None:
            feed.tell(_frame("topic", entry.answered), entry.roster)

    def updated(self, message: Message, roster: int) -> None:
        """A card was changed or a message recalled."""
        self.show_update(message, roster)
        self._bus.tell(hints.Updated(message.session_id, message.id))

    def session_changed(self, session: Session, roster: int) -> None:
        """Name, members or status changed: to inside sockets and members' outer ones."""
        self.show_session(session, roster)
        self._bus.tell(hints.SessionChanged(session.id))

    def topic_changed(self, topic: Topic, roster: int) -> None:
        """A topic started or ended: to inside sockets and members' outer ones."""
        self.show_topic(topic, roster)
        self._bus.tell(hints.TopicChanged(topic.session_id, topic.id))

    def marked(self, marked: Marked) -> None:
        """A member read on: its badge changes, and the others see how far."""
        if marked.moved:
            self.show_read(marked.session_id, marked.user_id, marked.read_seq, marked.roster)
            self._bus.tell(hints.Read(marked.session_id, marked.user_id))

    def typing(self, session_id: str, user_id: str, origin: object) -> None:
        """Relay to the other inside sockets, at most once in 3 s a user; never stored."""
        if self.show_typing(session_id, user_id, origin):
            self._bus.tell(hints.Typing(session_id, user_id))

    def expelled(self, session_id: str, user_ids: Collection[str]) -> None:
        """These are no members any more: their links in the session end with 4403 at once."""
        self.feeds.expel(session_id, set(user_ids))
        for user_id in user_ids:
            self.badges.stale(user_id)
            self._bus.tell(hints.Expelled(session_id, user_id))

    def revoked(self, fingerprint: str) -> None:
        """The token is refused from now on: its links end with 4403."""
        self.cut(fingerprint)
        self._bus.tell(hints.Revoked())

    # ---- to the sockets of this process alone

    def show_update(self, message: Message, roster: int) -> None:
        self._tell(message.session_id, _frame("update", message), roster)

    def show_session(self, session: Session, roster: int) -> None:
        self._tell_all(session.id, _frame("session", session), roster)

    def show_topic(self, topic: Topic, roster: int) -> None:
        self._tell_all(topic.session_id, _frame("topic", topic), roster)

    def show_read(self, session_id: str, user_id: str, read_seq: int, roster: int) -> None:
        params = {"session_id": session_id, "user_id": user_id, "read_seq": read_seq}
        self._tell(session_id, _frame("read", params), roster)
        self.badges.stale(user_id)

    def show_typing(
        self, session_id: str, user_id: str, origin: object = None, pause: int = TYPING_PAUSE
    ) -> bool:
        """False when this user's typing was shown less than ``pause`` ms ago, or to nobody."""
        feed = self.feeds.get(session_id)
        if feed is None:
            return False
        now = self._now()
        if now - feed.typed.get(user_id, now - pause) < pause:
            return False
        feed.typed[user_id] = now
        frame = _frame("typing", {"session_id": session_id, "user_id": user_id})
        feed.tell(frame, feed.roster, origin)  # nothing that was committed
        return True

    def cut(self, fingerprint: str) -> None:
        """End the links of a token that the store calls revoked."""
        for link in self.registry.of_token(fingerprint):
            link.end(Close.NOT_A_MEMBER)

    def stop(self) -> None:
        """No more timers and queries."""
        self.feeds.stop()
        self.notices.stop()
        self.badges.stop()

    def _tell(self, session_id: str, frame: bytes, roster: int) -> None:
        feed = self.feeds.get(session_id)
        if feed is not None:
            feed.tell(frame, roster)
            self.feeds.mend(feed)

    def _tell_all(self, session_id: str, frame: bytes, roster: int) -> None:
        self._tell(session_id, frame, roster)
        self.notices.add(Event(session_id, frame=frame))
        self.notices.go()


def _frame(method: str, params: object) -> bytes:
    return text_frame(notification(method, encode(params)))
