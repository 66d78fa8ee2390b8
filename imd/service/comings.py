"""Who comes online and goes, for webhooks that want to know (page 4.4, ``user.online|offline``).

It stands in for delivery's admission and looks at the registry after each step. A user who only
changes pages was never gone: offline is believed after a while. It knows no endpoint.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from imd.actions.ports import Presence
from imd.delivery.admission import Admission
from imd.delivery.badges import Badges
from imd.delivery.feeds import Feeds
from imd.delivery.registry import Link, Registry

#: seconds without a socket after which a user is offline
PATIENCE: Final = 5.0

log = Logger()


class Comings(Admission):
    """An admission that says who is there; ``tell(user_id, online)`` writes the event."""

    def __init__(self, reactor: Any, registry: Registry, feeds: Feeds, badges: Badges) -> None:
        super().__init__(registry, feeds, badges)
        self._reactor, self._seats = reactor, registry
        self._online: set[str] = set()
        self._going: dict[str, IDelayedCall] = {}
        self._presence: Presence | None = None
        self._tell: Callable[[str, bool], Awaitable[None]] | None = None

    def watch(self, presence: Presence, tell: Callable[[str, bool], Awaitable[None]]) -> None:
        """From now on ``tell`` is told; ``presence`` knows the other processes' sockets."""
        self._presence, self._tell = presence, tell

    def stop(self) -> None:
        """Whoever is going now is not said to be gone: the server is."""
        self._tell = None
        for call in self._going.values():
            call.cancel()
        self._going.clear()

    # ---- the steps of an admission

    def admit(self, link: Link) -> None:
        super().admit(link)
        self._look(link.user_id)

    def settle(self, link: Link, after: int, roster: int) -> None:
        super().settle(link, after, roster)
        self._look(link.user_id)

    def leave(self, link: Link) -> None:
        super().leave(link)
        self._look(link.user_id)

    def _look(self, user_id: str) -> None:
        if self._tell is None:
            return
        if self._seats.of_user(user_id):
            going = self._going.pop(user_id, None)
            if going is not None:
                going.cancel()
            elif user_id not in self._online:
                self._say(user_id, True)
            self._online.add(user_id)
        elif user_id in self._online and user_id not in self._going:
            self._going[user_id] = self._reactor.callLater(PATIENCE, self._gone, user_id)

    def _gone(self, user_id: str) -> None:
        del self._going[user_id]
        self._online.discard(user_id)
        self._say(user_id, False)

    def _say(self, user_id: str, online: bool) -> None:
        said: Deferred[None] = Deferred.fromCoroutine(self._said(user_id, online))
        said.addErrback(_unsaid)

    async def _said(self, user_id: str, online: bool) -> None:
        if self._tell is None or self._presence is None:
            return
        if not online and user_id in await self._presence.clients([user_id]):
            return  # another process has sockets of this user
        await self._tell(user_id, online)


def _unsaid(failure: Failure) -> None:
    log.failure("an event of presence was not written", failure)
