"""One HTTP connection as stages, each with an absolute deadline.

twisted.web has no limit on bodies, restarts its only timer at each byte and guesses where framing
is ambiguous.  This channel keeps its door to resources (``Request``, producers, the upgrade by
``WebSocketResource``) and replaces the way in: ``framing`` reads a head in one piece, and a request
exists only once its body is complete.  ``channel.HardenedSite`` makes one for each connection; it
refuses to know routes, callers and JSON bodies.
"""

# twisted.web's own methods have no annotations.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import math
from enum import Enum
from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IDelayedCall, ISSLTransport
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web.server import Request

from imd.rest.channel_answer import AnsweringChannel
from imd.rest.channel_seats import seat_key
from imd.rest.framing import (
    ChunkedBody,
    Head,
    Refusal,
    SizedBody,
    check_unfinished_head,
    read_head,
)

if TYPE_CHECKING:
    from imd.rest.channel import HardenedSite

_READ_AHEAD = 16_384
"""Bytes of later requests which are kept while one is being answered; then reading pauses."""

_DRAINED = 16_777_216
"""Bytes which a refused peer may still send before the connection is cut instead of drained."""

_TURNED_AWAY = 256
"""Connections above their address's cap that may wait for their 503 at once; others are cut."""

_DUE = 0.001
"""Seconds by which a deadline may be early, so that rounding does not make a timer of nothing."""


class Stage(Enum):
    """Where a connection stands, and what its deadline does (:meth:`HardenedChannel._expire`).

    ======= ============================ ================================ ====================
    stage   entered by                   left by                          deadline
    ======= ============================ ================================ ====================
    IDLE    connection made, answer done first byte: HEAD                 closed without a word
    HEAD    first byte of a request      empty line: BODY or ANSWER       408
    BODY    head with a body             last byte: ANSWER                408
    ANSWER  request handed to a resource answer done: IDLE, or CLOSING    none; stalled: cut
    CLOSING refusal, last answer written peer hangs up: GONE              cut
    GONE    connection lost, or upgraded -                                none
    ======= ============================ ================================ ====================
    """

    IDLE = "idle"
    HEAD = "head"
    BODY = "body"
    ANSWER = "answer"
    CLOSING = "closing"
    GONE = "gone"


_READING = frozenset((Stage.IDLE, Stage.HEAD, Stage.BODY))


class HardenedChannel(AnsweringChannel):
    """One HTTP connection.

    It has one timer, which is never moved to an earlier time (that would cost a search among all
    timers of the reactor): it ticks at least as often as the shortest limit, and a tick looks at
    the deadline, which is only a number.
    """

    requestFactory: Any
    _networkProducer: Any

    def __init__(self, site: HardenedSite) -> None:
        super().__init__()
        self.site = self.factory = site
        self.requestFactory = site.requestFactory
        self.timeOut = None
        self._limits = site.limits
        self._stage = Stage.IDLE
        self._deadline = math.inf
        self._stalled = math.inf
        self._timer: IDelayedCall | None = None
        self._seat: str | None = None
        self._held = b""
        self._blank_lines = 0
        self._parsing = False
        self._drained = 0
        self._head: Head | None = None
        self._body: SizedBody | ChunkedBody | None = None

    # The connection's beginning and end.

    def connectionMade(self) -> None:
        """Take a seat and begin to count the time for the first byte."""
        super().connectionMade()
        self.site.channels.add(self)
        host = getattr(self.getPeer(), "host", None)
        if host is not None:
            key = seat_key(host)
            if not self.site.seats.take(key):
                self._turn_away()
                return
            self._seat = key
        self._deadline = self.site.reactor.seconds() + self._limits.header_time
        self._arm(min(self._limits.header_time, self.site.tick))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The peer, a deadline or the transport ended it."""
        super().connectionLost(reason)
        self._leave()

    def _leave(self) -> None:
        """Give back what the connection held in this room."""
        self._stage = Stage.GONE
        self._held = b""
        self._head = self._body = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._seat is not None:
            self.site.seats.leave(self._seat)
            self._seat = None
        self.site.channels.discard(self)
        self.site.turned_away.discard(self)

    def loseConnection(self) -> None:
        """Close once the peer has taken what was written; cut it when it does not."""
        if self._stage is Stage.GONE or self.transport is None:
            return
        self.flush()
        self._close(self._limits.stall_time)
        super().loseConnection()

    def take_last_call(self) -> None:
        """The server stops: a next request must come soon, and is answered as the last."""
        if self._stage is Stage.IDLE:
            last_call = self._limits.last_call
            self._deadline = min(self._deadline, self.site.reactor.seconds() + last_call)
            self._arm(last_call)

    def _cut(self) -> None:
        self._stage = Stage.CLOSING
        self._held = b""
        self.transport.abortConnection()

    def _close(self, seconds: float) -> None:
        self._stage = Stage.CLOSING
        self._held = b""
        self._head = self._body = None
        self._deadline = self.site.reactor.seconds() + seconds
        self._arm(seconds)

    # Refusals.

    def _refuse(self, refusal: Refusal) -> None:
        """Answer for the channel, read nothing more of what the peer means, and close.

        A TCP peer gets the end of the stream at once but is read (and ignored) for
        ``linger_time``: closing over unread bytes would send a reset that overtakes the answer.
        """
        transport = self.transport
        self._close(self._limits.linger_time)
        transport.write(self._answer(refusal))
        half_close = getattr(transport, "loseWriteConnection", None)
        if half_close is None or ISSLTransport.providedBy(transport):
            super().loseConnection()
        else:
            self._networkProducer.unregisterProducer()
            self._networkProducer.resumeProducing()
            half_close()
        self.site.refused(refusal, getattr(self.getPeer(), "host", ""))

    def _answer(self, refusal: Refusal) -> bytes:
        body = refusal.problem()
        lines = [
            f"HTTP/1.1 {refusal.status} {refusal.title}",
            f"Date: {self.site.date().decode('ascii')}",
            "Content-Type: application/problem+json",
            f"Content-Length: {len(body)}",
            "X-Content-Type-Options: nosniff",
            f"X-Request-Id: {self.site.fresh_id()}",
            "Connection: close",
        ]
        if refusal.retry_after is not None:
            lines.append(f"Retry-After: {refusal.retry_after}")
        return "\r\n".join([*lines, "", ""]).encode("ascii") + body

    def _turn_away(self) -> None:
        """Answer 503, as long as not too many others wait for theirs: they hold descriptors."""
        if len(self.site.turned_away) >= _TURNED_AWAY:
            self._cut()
            return
        self.site.turned_away.add(self)
        self._refuse(
            Refusal("too_many_connections", "This address holds too many connections.", 10)
        )

    def _respondToBadRequestAndDisconnect(self) -> None:
        """twisted.web's own way to say that a request is malformed."""
        self._refuse(Refusal("bad_request", "The request is malformed."))

    # Time.

    def _arm(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.site.reactor.callLater(seconds, self._tick)

    def _tick(self) -> None:
        self._timer = None
        if self.transport is None:
            self._leave()
            return
        left = min(self._deadline, self._stalled) - self.site.reactor.seconds()
        if left <= _DUE:
            self._expire()
        else:
            self._arm(min(left, self.site.tick))

    def _expire(self) -> None:
        """The deadline of this stage has passed."""
        stage = self._stage
        if stage is Stage.CLOSING or self._stalled <= self._deadline:
            self._cut()
        elif stage is Stage.IDLE:
            self.loseConnection()
        elif stage is Stage.HEAD:
            self._refuse(Refusal("request_timeout", "The head did not arrive in time."))
        elif stage is Stage.BODY:
            self._refuse(Refusal("request_timeout", "The body did not arrive in time."))

    # Reading.

    def dataReceived(self, data: bytes) -> None:
        """Bytes from the peer."""
        stage = self._stage
        if stage is Stage.CLOSING:
            self._drained += len(data)
            if self._drained > _DRAINED:
                self._cut()
            return
        self._held = self._held + data if self._held else data
        if stage is Stage.ANSWER:
            if len(self._held) > _READ_AHEAD and not self._waitingForTransport:
                self._networkProducer.pauseProducing()
        elif stage is not Stage.GONE:
            self._advance()

    def _advance(self) -> None:
        """Read requests until one must be waited for.

        No request begins while the peer leaves earlier answers unread, or a stream of small
        requests with large answers would fill the memory.
        """
        if self._parsing:
            return
        self._parsing = True
        try:
            while self._held and self._stage in _READING and not self._waitingForTransport:
                if not (self._read_body() if self._head is not None else self._read_head()):
                    break
        except Refusal as refusal:
            self._refuse(refusal)
        finally:
            self._parsing = False

    def _read_head(self) -> bool:
        """Take a head from what is held; whether there was a whole one."""
        held = self._held
        if held[:2] == b"\r\n" and not self._blank_lines:
            self._blank_lines = 1
            self._held = held = held[2:]
        end = held.find(b"\r\n\r\n")
        if end < 0:
            if self._stage is Stage.IDLE:
                self._stage = Stage.HEAD
                self._deadline = self.site.reactor.seconds() + self._limits.header_time
            check_unfinished_head(held, self._limits)
            return False
        start, self._held = held[:end], held[end + 4 :]
        self._blank_lines = 0
        head = read_head(start, self._limits)
        held = self._held
        if head.length is not None and len(held) >= head.length:
            self._held = held[head.length :]
            self._execute(head, held[: head.length])
            return True
        self._head = head
        self._body = ChunkedBody(self._limits) if head.length is None else SizedBody(head.length)
        self._stage = Stage.BODY
        self._deadline = self.site.reactor.seconds() + self._limits.body_time
        if not self._held and head.expects_continue:
            self._send100Continue()
        return True

    def _read_body(self) -> bool:
        """Take what belongs to the body from what is held; whether it is complete."""
        head, body = self._head, self._body
        assert head is not None and body is not None
        rest = body.feed(self._held)
        if rest is None:
            self._held = b""
            return False
        self._held = rest
        self._head = self._body = None
        self._execute(head, bytes(body.content))
        return True

    def _execute(self, head: Head, body: bytes) -> None:
        """Hand a whole request to its resource."""
        self._stage = Stage.ANSWER
        self._deadline = math.inf
        self._handlingRequest = True
        transport = self.transport
        request = self.requestFactory(self)
        self.requests.append(request)
        self.persistent = head.persistent and not self.site.draining
        request.begin(head, body)
        self.taken_over(transport)

    def taken_over(self, transport: Any) -> None:
        """Leave if an upgrade took ``transport``; its resource says so when that took a while."""
        if self.transport is None and self._stage is not Stage.GONE:
            early = self._held
            self._leave()
            if early:
                transport.abortConnection()

    # Answering.

    def requestDone(self, request: Request) -> None:
        """The answer to the request in hand has been written."""
        if request is not self.requests[0]:
            raise TypeError("not the request in hand")
        del self.requests[0]
        self.flush()
        if self._stage is not Stage.ANSWER:
            return
        if not self.persistent or self.transport.disconnecting:
            self.loseConnection()
            return
        self._handlingRequest = False
        self._stage = Stage.IDLE
        self._deadline = self.site.reactor.seconds() + self._limits.idle_time
        if self.site.draining:  # the answer that promised to go on was begun before
            self.take_last_call()
        if self._waitingForTransport:
            self._networkProducer.pauseProducing()
            return
        self._networkProducer.resumeProducing()
        if self._held:
            self._advance()

    def pauseProducing(self) -> None:
        """The transport holds more than it wants to: the peer has ``stall_time`` to take it."""
        super().pauseProducing()
        self._stalled = self.site.reactor.seconds() + self._limits.stall_time

    def resumeProducing(self) -> None:
        """The peer has taken everything."""
        self._stalled = math.inf
        super().resumeProducing()
        if self._held and self._stage in _READING:
            self._advance()
