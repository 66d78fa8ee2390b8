"""The sockets of one process: the resource to mount at ``/ws``, their clock, and their farewell.

The service room makes one :class:`Sockets`, mounts :attr:`Sockets.resource` and calls ``start``,
``drain`` and ``stop``. It knows no method and no state of a connection.
"""

# Autobahn's methods have no annotations.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from autobahn.twisted.resource import WebSocketResource
from autobahn.twisted.websocket import WebSocketServerFactory
from autobahn.websocket.compress import PerMessageDeflateOffer, PerMessageDeflateOfferAccept
from autobahn.websocket.protocol import WebSocketServerProtocol
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.protocols.policies import ProtocolWrapper
from twisted.web.server import NOT_DONE_YET

from imd.actions.ports import House
from imd.domain.errors import Forbidden, Unavailable
from imd.websocket.handshake import Offer, offer_of
from imd.websocket.link import Link
from imd.websocket.methods import METHODS
from imd.websocket.origins import origin_allowed
from imd.websocket.protocol import SocketProtocol
from imd.websocket.room import Admission, Room, SocketSettings
from imd.websocket.states import Event
from imd.websocket.turnstile import Turnstile
from imd.wire.closing import Close
from imd.wire.codec import encode

#: seconds between two sweeps over the links of which something may be due
SWEEP = 1.0
#: seconds after which one that found too many waiting may come again
BUSY = 5
#: the part of the drain time over which closes are spread; the rest is for farewells
SPREAD = 0.9


class Sockets:
    """All sockets of this process.

    ``is_secure`` and ``client_address`` say of a request what a trusted proxy may have said of it
    (page 5.6). ``random`` spreads a drain; a ``turnstile`` of its own makes newcomers wait.
    """

    log = Logger()

    def __init__(
        self,
        house: House,
        admission: Admission,
        settings: SocketSettings,
        reactor: IReactorTime,
        *,
        random: Random,
        is_secure: Callable[[Any], bool] | None = None,
        client_address: Callable[[Any], str] | None = None,
        turnstile: Turnstile | None = None,
    ) -> None:
        self._clock, self._reactor, self._random = house.clock, reactor, random
        self._settings = settings
        self._turnstile = Turnstile(reactor) if turnstile is None else turnstile
        self.room = Room(house, admission, METHODS, settings, self._turnstile)
        self.room.closed = self._closed
        self._links: dict[Link, None] = {}
        self._empty: Deferred[None] | None = None
        self._until = 0.0
        self._farewell: list[IDelayedCall] = []
        self.resource = SocketResource(
            SocketFactory(self.room, self._open, reactor),
            settings,
            is_secure or (lambda request: bool(request.isSecure())),
            client_address or _address,
            self._turnstile,
        )
        self._sweep = LoopingCall(self._tick)
        self._sweep.clock = reactor

    def __len__(self) -> int:
        """Open connections, logged in or not."""
        return len(self._links)

    def start(self) -> None:
        """Begin to sweep: deadlines, pings, silence, expiry."""
        self._sweep.start(SWEEP, now=False).addErrback(
            lambda failure: self.log.failure("the sweep failed", failure)
        )

    def stop(self) -> None:
        """Stop sweeping and drop what is left."""
        self._forget_farewell()
        self._turnstile.stop()
        if self._sweep.running:
            self._sweep.stop()
        for link in list(self._links):
            link.wire.abort()

    def drain(self, seconds: float) -> Deferred[None]:
        """Close all with 4503, spread at random over ``seconds`` (pages 3.4 and 4.6).

        What is in flight on a socket is answered first. No login is taken any more. Fires when
        all are closed, a few seconds after ``seconds`` at the latest.
        """
        self._until = self._reactor.seconds() + seconds
        self.room.draining = self._delay
        done: Deferred[None] = Deferred()
        self._empty = done
        later, random = self._reactor.callLater, self._random
        self._farewell = [
            later(random.uniform(0, seconds * SPREAD), self._retire, link) for link in self._links
        ]
        self._farewell.append(later(seconds, self._end_all))
        self._fire_when_empty()
        return done

    def _delay(self) -> int:
        """ms that a client is asked to wait, at random within what is left of the drain."""
        left = max(0.0, self._until - self._reactor.seconds())
        return round(self._random.uniform(0, max(left, 0.1)) * 1000)

    def _retire(self, link: Link) -> None:
        link.fire(Event.RETIRE, Close.DRAINING, self._delay())

    def _end_all(self) -> None:
        for link in list(self._links):
            link.end(Close.DRAINING, self._delay())

    def _open(self, link: Link) -> None:
        self._links[link] = None
        link.look_within(self._settings.login_timeout)
        if self.room.draining is not None:
            link.end(Close.DRAINING, self._delay())

    def _closed(self, link: Link) -> None:
        self._links.pop(link, None)
        self._fire_when_empty()

    def _fire_when_empty(self) -> None:
        if self._empty is not None and not self._links:
            done, self._empty = self._empty, None
            self._forget_farewell()
            done.callback(None)

    def _forget_farewell(self) -> None:
        for call in self._farewell:
            if call.active():
                call.cancel()
        self._farewell = []

    def _tick(self) -> None:
        self.room.tick += 1
        now = self._clock.now()
        for link in self.room.looks.at(self.room.tick):
            try:
                link.sweep(now)
            except Exception:
                self.log.failure("a connection could not be swept")


class SocketFactory(WebSocketServerFactory):
    """Makes protocols whose options stand in their class, once for all."""

    protocol: type[SocketProtocol]

    def __init__(self, room: Room, opened: Callable[[Link], None], reactor: Any) -> None:
        super().__init__(server="", reactor=reactor)
        self._room, self._opened = room, opened
        #: where the handshake that is being made comes from; the resource sets it
        self.arriving = ""
        settings = room.settings
        # One call, because each resets allowNullOrigin; origins are the resource's business.
        self.setProtocolOptions(
            webStatus=False,
            maxFramePayloadSize=settings.frame,
            maxMessagePayloadSize=settings.frame,
            failByDrop=False,
            openHandshakeTimeout=0,
            closeHandshakeTimeout=0,
            autoPingInterval=0,
            allowedOrigins=["*"],
            allowNullOrigin=True,
            perMessageCompressionAccept=_deflate if settings.compression else _no_deflate,
        )
        options = {name: getattr(self, name) for name in WebSocketServerProtocol.CONFIG_ATTRS}
        accept = "perMessageCompressionAccept"
        options[accept] = staticmethod(options[accept])
        self.protocol = type("Socket", (SocketProtocol,), options)

    def buildProtocol(self, addr: object) -> SocketProtocol:
        made = self.protocol(self._room, self.arriving, self._opened)
        made.factory = self
        return made


class SocketResource(WebSocketResource):
    """``/ws``: refuses what must not reach the handshake, which comes back as HTTP."""

    def __init__(
        self,
        factory: SocketFactory,
        settings: SocketSettings,
        is_secure: Callable[[Any], bool],
        client_address: Callable[[Any], str],
        turnstile: Turnstile,
    ) -> None:
        super().__init__(factory)
        self._settings, self._turnstile = settings, turnstile
        self._is_secure, self._client_address = is_secure, client_address

    def render(self, request: Any) -> Any:
        """403 for an Origin that is not allowed, 426 for a plain request; else the handshake."""
        headers = request.requestHeaders
        origins = [_text(value) for value in headers.getRawHeaders(b"Origin", [])]
        hosts = [_text(value) for value in headers.getRawHeaders(b"Host", [])]
        scheme = "https" if self._is_secure(request) else "http"
        if not origin_allowed(origins, hosts, scheme, self._settings.allowed_origins):
            return _problem(request, 403, "Forbidden", Forbidden.code, "The origin is not allowed.")
        if not headers.hasHeader(b"Upgrade"):
            request.setHeader(b"Upgrade", b"websocket")
            said = "This address is for WebSocket."
            return _problem(request, 426, "Upgrade Required", "upgrade_required", said)
        for name in _ONCE:
            if len(headers.getRawHeaders(name, [])) > 1:
                said = "A header of the handshake stands twice."
                return _problem(request, 400, "Bad Request", "bad_request", said)
        gone: list[object] = []
        request.notifyFinish().addErrback(gone.append)
        if not self._turnstile.enter(lambda: self._shake_hands(request, gone)):
            request.setHeader(b"Retry-After", b"%d" % BUSY)
            said = "Too many connect at this moment."
            return _problem(request, 503, "Service Unavailable", Unavailable.code, said)
        return NOT_DONE_YET

    def _shake_hands(self, request: Any, gone: list[object]) -> None:
        if gone:
            return
        channel, transport = request.channel, request.channel.transport
        self._factory.arriving = self._client_address(request)
        offer = offer_of(request)
        said = super().render(request) if offer is None else self._accept(request, offer)
        if said is not NOT_DONE_YET:
            request.write(said)
            request.finish()
        elif (taken_over := getattr(channel, "taken_over", None)) is not None:
            taken_over(transport)

    def _accept(self, request: Any, offer: Offer) -> Any:
        """Take the transport over as Autobahn's resource does, with a handshake that is read."""
        made = self._factory.buildProtocol(request.transport.getPeer())
        transport, request.channel.transport = request.channel.transport, None
        if isinstance(transport, ProtocolWrapper):  # TLS
            transport.wrappedProtocol = made
        else:
            transport.protocol = made
        made.makeConnection(transport)
        transport.resumeProducing()
        made.welcome(offer)
        return NOT_DONE_YET


#: headers that Autobahn would see joined by commas
_ONCE = (b"Host", b"Sec-WebSocket-Key", b"Sec-WebSocket-Version", b"Sec-WebSocket-Extensions")


def _text(value: bytes) -> str:
    return value.decode("latin-1").strip()


def _address(request: Any) -> str:
    return getattr(request.getClientAddress(), "host", "") or ""


def _problem(request: Any, status: int, title: str, code: str, detail: str) -> bytes:
    """An answer of page 2.1; the rest room's own stand in front of this resource."""
    request.setResponseCode(status)
    request.setHeader(b"Content-Type", b"application/problem+json")
    request.setHeader(b"X-Content-Type-Options", b"nosniff")
    fields = {"type": "about:blank", "title": title, "status": status}
    return encode({**fields, "detail": detail, "code": code})


def _deflate(offers: list[Any]) -> Any:
    """Deflate without context takeover on either side, with small buffers."""
    for offer in offers:
        if isinstance(offer, PerMessageDeflateOffer):
            takeover = offer.accept_no_context_takeover
            return PerMessageDeflateOfferAccept(
                offer,
                request_no_context_takeover=takeover,
                no_context_takeover=True,
                mem_level=5,
            )
    return None


def _no_deflate(offers: list[Any]) -> None:
    """Deflate costs tens of KiB a connection."""
