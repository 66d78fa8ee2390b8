"""What all connections of a process share, and what a connection stands between.

The factory makes one :class:`Room`; links and methods look into it. A link speaks down to a
:class:`Wire` and sideways to an :class:`Admission`, which the service room brings. Nothing here
acts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol

from twisted.internet.defer import DeferredSemaphore
from twisted.logger import Logger

from imd.actions.ports import House
from imd.websocket.arrivals import LOOKS, MOST, Arrivals
from imd.websocket.looks import Looks
from imd.websocket.turns import Turn
from imd.websocket.turnstile import Turnstile
from imd.wire.fields import Request

#: see :attr:`Room.logins`
LOGINS: Final = 2 * LOOKS * MOST

#: carries a request out for a link, and answers
Work = Callable[[Any, Turn], Coroutine[Any, Any, None]]
#: begins to, and returns at once
Start = Callable[[Any, Turn], None]


class Wire(Protocol):
    """The connection below; nothing here raises."""

    def put(self, frame: bytes) -> None:
        """Send a ready frame, or queue what the socket does not take."""

    def close(self, code: int, reason: str) -> None:
        """Send a close frame; later frames are dropped."""

    def abort(self) -> None:
        """Drop the connection without waiting for anything."""

    def ping(self) -> None: ...

    def stop_reading(self) -> None: ...

    def go_on_reading(self) -> None: ...


class Admission(Protocol):
    """Who is told what comes in and goes (:class:`imd.delivery.admission.Admission`)."""

    def admit(self, link: Any) -> None: ...

    def expect(self, link: Any, session_id: str) -> None: ...

    def forsake(self, link: Any) -> None: ...

    def depart(self, link: Any) -> None: ...

    def settle(self, link: Any, after: int, roster: int) -> None: ...

    def welcome(self, link: Any, unread_total: int) -> None: ...

    def leave(self, link: Any) -> None: ...


class Method(NamedTuple):
    """A row of the method table: what its params are, and what carries it out and answers."""

    model: type[Request]
    function: Work | Start
    grouped: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketSettings:
    """What an operator may set (page 5.6); times in seconds, sizes in bytes."""

    #: between the server's pings; what the login result calls ``heartbeat_ms``
    heartbeat: float = 25.0
    #: of silence until a peer is dropped, and of not reading until it is a slow consumer
    peer_timeout: float = 60.0
    #: until a connection that has not logged in is closed
    login_timeout: float = 10.0
    #: waiting to be written at which a peer is a slow consumer (``limits.socket_buffer``)
    buffer: int = 1 << 20
    #: the largest frame that is taken (``limits.body``)
    frame: int = 256 * 1024
    #: permessage-deflate, without context takeover
    compression: bool = False
    #: ``http.allowed_origins``, besides the server's own
    allowed_origins: frozenset[str] = frozenset()


class Room:
    """What all links of a process share.

    Times are counted in ``tick``, the seconds of one sweep (:mod:`imd.websocket.factory`), so that
    a clock that jumps, or a process that slept, closes nobody.
    """

    log = Logger()

    def __init__(
        self,
        house: House,
        admission: Admission,
        methods: Mapping[str, Method],
        settings: SocketSettings,
        turnstile: Turnstile,
    ) -> None:
        self.house, self.admission, self.methods = house, admission, methods
        self.settings, self.turnstile = settings, turnstile
        self.tick = 0
        self.looks = Looks()
        #: while the server says goodbye: the ms that whoever still comes is asked to wait
        self.draining: Callable[[], int] | None = None
        #: called when a link is closed, by whoever counts them
        self.closed: Callable[[Any], None] = _nothing
        #: logins on their way at once: those in a look at the database, and those for the next
        self.logins = DeferredSemaphore(LOGINS)
        self.arrivals = Arrivals(house, turnstile.go_on)
        #: how often a session was entered, by what became of ``after_seq`` (page 3.2)
        self.recoveries: Counter[str] = Counter()
        #: how many sockets the server has closed, by close code (page 3.4)
        self.closes: Counter[int] = Counter()

    async def in_turn(self, work: Callable[[], Awaitable[None]]) -> None:
        """Carry out a login's work, when few others are at it."""
        await self.logins.acquire()
        try:
            await work()
        finally:
            self.logins.release()

    def entered(self, after_seq: int | None, recovered: bool) -> None:
        """Count whether a client came afresh, or got what it had missed."""
        known = "recovered" if recovered else "reloaded"
        self.recoveries["fresh" if after_seq is None else known] += 1


def _nothing(link: object) -> None:
    """Nobody counts."""
