"""How a link comes in, moves between sessions and goes.

The socket room calls it at each step of a login, so that nothing is lost between the snapshot that
a login reads and the live stream (page 3.2, Recovery). It reads no database and judges nobody:
membership was checked by the action that read the snapshot.
"""

from __future__ import annotations

from imd.delivery.badges import Badges
from imd.delivery.feeds import Feeds
from imd.delivery.registry import Link, Registry


class Admission:
    """The steps: *admit*, then *expect* before the snapshot is read, then *settle* or *forsake*.

    ``leave`` ends it from wherever it is, and may be called more than once.
    """

    def __init__(self, registry: Registry, feeds: Feeds, badges: Badges) -> None:
        self._registry, self._feeds, self._badges = registry, feeds, badges
        self._expected: dict[Link, str] = {}
        self._admitted: set[Link] = set()

    def admit(self, link: Link) -> None:
        """The credential was good. An outer link gets everything from now on.

        RateLimited when the user has as many sockets as allowed (``limits.sockets_per_user``).
        """
        self._registry.admit(link)
        self._admitted.add(link)
        if not link.client.inside:
            self._registry.seat(link)

    def expect(self, link: Link, session_id: str) -> None:
        """The link wants into a session, and its snapshot is about to be read."""
        self._expected[link] = session_id
        self._feeds.open(session_id).expect(link)

    def forsake(self, link: Link) -> None:
        """It was refused; where it was before, it stays."""
        session_id = self._expected.pop(link, None)
        feed = self._feeds.get(session_id) if session_id is not None else None
        if feed is not None:
            feed.forsake(link)
            self._feeds.close(feed)

    def depart(self, link: Link) -> None:
        """It moves: nothing of the session where it was arrives any more."""
        session_id = self._registry.session_of(link)
        if session_id is not None and session_id != self._expected.get(link):
            self._quit(link, session_id)
            self._registry.place(link, None)

    def settle(self, link: Link, after: int, roster: int) -> None:
        """Its result, which reached up to seq ``after``, has been written: live goes on there.

        ``roster`` is the session's when the user was found to be a member.
        """
        session_id = self._expected.pop(link, None)
        if session_id is None or link not in self._admitted:
            return
        if not self._is_seated(link):
            self._registry.seat(link)
        self._registry.place(link, session_id)
        feed = self._feeds.open(session_id)
        feed.settle(link, after, roster)
        self._feeds.mend(feed)

    def welcome(self, link: Link, unread_total: int) -> None:
        """An outer link's result, with this badge in it, has been written."""
        if link in self._admitted:
            self._badges.shown(link, unread_total)

    def leave(self, link: Link) -> None:
        """The link is closing or gone; nothing reaches it any more."""
        places = {self._registry.session_of(link), self._expected.pop(link, None)}
        for session_id in places - {None}:
            assert session_id is not None
            self._quit(link, session_id)
        if link in self._admitted:
            self._admitted.remove(link)
            self._registry.remove(link)
            self._badges.forget(link.user_id)

    def _is_seated(self, link: Link) -> bool:
        return link in self._registry.of_user(link.user_id)

    def _quit(self, link: Link, session_id: str) -> None:
        feed = self._feeds.get(session_id)
        if feed is not None:
            feed.leave(link)
            self._feeds.close(feed)
