"""The links of this process: by user, by token, and how many of each client type.

The courier, presence and the metrics ask it; :mod:`imd.delivery.admission` keeps it. Which links
stand inside a session is known by that session's feed alone. It refuses to know what is sent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from typing import Protocol

from imd.domain.client_types import ClientType
from imd.domain.errors import RateLimited
from imd.wire.closing import Close

#: seconds until a user with too many sockets may try again
FULL_RETRY = 10.0


class Origin(Protocol):
    """A send under way: the courier answers it in the message's place in the stream (page 3.2)."""

    @property
    def link(self) -> Link: ...

    def take(self) -> None:
        """The courier will answer; whoever waits for the store must not."""

    def answer(self, message: bytes) -> None:
        """Write the result around the message, which is JSON already."""


class Link(Protocol):
    """A logged-in socket, as delivery sees it."""

    @property
    def user_id(self) -> str: ...

    @property
    def client(self) -> ClientType: ...

    @property
    def fingerprint(self) -> str | None:
        """Names the token that opened it, for revocation."""

    @property
    def sid(self) -> frozenset[str] | None:
        """The only sessions that its token may see; None means all of the user's."""

    @property
    def write(self) -> Callable[[bytes], object]:
        """Write one ready WebSocket frame; never raises, does nothing once it is closing."""

    def end(self, code: Close) -> None:
        """Close it; nothing that is written afterwards arrives."""

    def origin_of(self, session_id: str, client_msg_id: str | None) -> Origin | None:
        """The send of this link that is under way with this key."""


def unwatched(user_id: str, online: bool) -> None:
    """Nobody wants to know."""


def unmoved(user_id: str) -> None:
    """Nobody writes it down."""


class Registry:
    """An *admitted* link counts against its user's limit and can be revoked; a *seated* one is
    present, and gets what outer sockets get.

    ``most_per_user`` is ``limits.sockets_per_user`` (0: no limit).
    """

    def __init__(self, most_per_user: int = 20) -> None:
        self.most_per_user = most_per_user
        #: told, after ``moved``, when a user's first link is seated and when the last one is gone
        self.watch: Callable[[str, bool], None] = unwatched
        #: told each user one of whose seated links came, entered another session or went
        self.moved: Callable[[str], None] = unmoved
        self._admitted: dict[str, int] = {}
        # Tuples: a user has few links, and an idle one must be cheap.
        self._tokens: dict[str, tuple[Link, ...]] = {}
        self._users: dict[str, tuple[Link, ...]] = {}
        self._outer: dict[str, tuple[Link, ...]] = {}
        self._sessions: dict[Link, str] = {}
        #: seated links by client type, for the metrics
        self.counts: Counter[ClientType] = Counter()

    def admit(self, link: Link) -> None:
        """Count a link; RateLimited when its user has as many as allowed (page 5.6)."""
        number = self._admitted.get(link.user_id, 0)
        if 0 < self.most_per_user <= number:
            raise RateLimited(FULL_RETRY)
        self._admitted[link.user_id] = number + 1
        if link.fingerprint is not None:
            _put(self._tokens, link.fingerprint, link)

    def seat(self, link: Link) -> None:
        """The admitted link is logged in (or, an outer one, about to be)."""
        first = link.user_id not in self._users
        _put(self._users, link.user_id, link)
        if not link.client.inside:
            _put(self._outer, link.user_id, link)
        self.counts[link.client] += 1
        self.moved(link.user_id)
        if first:
            self.watch(link.user_id, True)

    def place(self, link: Link, session_id: str | None) -> None:
        """The seated link is inside this session now, or on its way to another."""
        if session_id is None:
            self._sessions.pop(link, None)
        else:
            self._sessions[link] = session_id
        self.moved(link.user_id)

    def session_of(self, link: Link) -> str | None:
        """The session that a link is inside."""
        return self._sessions.get(link)

    def remove(self, link: Link) -> None:
        """Forget an admitted link, seated or not."""
        self._sessions.pop(link, None)
        left = self._admitted[link.user_id] - 1
        if left:
            self._admitted[link.user_id] = left
        else:
            del self._admitted[link.user_id]
        if link.fingerprint is not None:
            _drop(self._tokens, link.fingerprint, link)
        if not _drop(self._users, link.user_id, link):
            return
        _drop(self._outer, link.user_id, link)
        self.counts[link.client] -= 1
        self.moved(link.user_id)
        if link.user_id not in self._users:
            self.watch(link.user_id, False)

    def of_user(self, user_id: str) -> tuple[Link, ...]:
        return self._users.get(user_id, ())

    def outer(self, user_id: str) -> tuple[Link, ...]:
        """The user's ``_system`` sockets."""
        return self._outer.get(user_id, ())

    def of_token(self, fingerprint: str) -> tuple[Link, ...]:
        return self._tokens.get(fingerprint, ())

    @property
    def users(self) -> Collection[str]:
        return self._users.keys()

    @property
    def outer_users(self) -> Collection[str]:
        """The users who have a ``_system`` socket here."""
        return self._outer.keys()


def _put(index: dict[str, tuple[Link, ...]], name: str, link: Link) -> None:
    index[name] = (*index.get(name, ()), link)


def _drop(index: dict[str, tuple[Link, ...]], name: str, link: Link) -> bool:
    links = index.get(name, ())
    if link not in links:
        return False
    rest = tuple(other for other in links if other is not link)
    if rest:
        index[name] = rest
    else:
        del index[name]
    return True
