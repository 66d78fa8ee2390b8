"""Autobahn's protocol, turned into a :class:`imd.websocket.link.Wire`: it only translates.

The factory makes one for each handshake. Bytes become calls of the link, the link's frames become
bytes; whatever fails in between is logged and ends the connection with 1011. It decides nothing:
not who may connect, not what a frame means, not when a peer is too slow to keep.

Autobahn and twisted.web leave things open that are closed here: the HTTP channel stays the
transport's producer, so back-pressure never comes; every frame of a fan-out arms and disarms epoll;
pongs are queued for a peer that does not read; options and the handshake's texts are copied into
each connection.
"""

# Autobahn's methods have no annotations.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Any

from autobahn.twisted.websocket import WebSocketServerProtocol
from autobahn.websocket.protocol import WebSocketProtocol
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.main import CONNECTION_DONE
from twisted.internet.tcp import Connection
from twisted.logger import Logger
from twisted.python.failure import Failure
from txaio.tx import make_logger
from zope.interface import implementer

from imd.websocket.handshake import Offer
from imd.websocket.link import Link
from imd.websocket.room import Room
from imd.websocket.states import Event
from imd.wire.closing import Close
from imd.wire.frames import payload_of, whole_text

#: what Autobahn keeps of the handshake and nobody asks for afterwards
_SPENT = (
    "http_headers", "http_request_data", "http_request_host", "http_request_params",
    "http_request_path", "http_request_uri", "http_response_data", "http_status_line",
    "websocket_extensions", "websocket_origin", "websocket_protocols", "_wskey",
)  # fmt: skip


def _subprotocol(offered: Collection[str]) -> str | None:
    return "imd.v2" if "imd.v2" in offered else None


#: a ping, and a masked pong, that carry nothing; the mask's four bytes follow
_PING, _PONG, _PONG_BYTES = b"\x89\x00", b"\x8a\x80", 6


@implementer(IHalfCloseableProtocol)
class SocketProtocol(WebSocketServerProtocol):
    """One connection. Options are attributes of the class that the factory makes of this one."""

    #: nothing is copied from the factory into each connection
    CONFIG_ATTRS = []
    #: what Autobahn says of peers and headers is not for the log (page 6, rule 13)
    log = make_logger(level="critical")
    note = Logger()
    transport: Any
    data: Any
    current_frame: Any
    inside_message: Any
    message_data: Any
    _perMessageCompress: Any

    def __init__(self, room: Room, address: str, opened: Callable[[Link], None]) -> None:
        super().__init__()
        self._opened = opened
        self._straight: Callable[[bytes], int] | None = None
        self.link = Link(room, self, address)

    # ---- hooks of Autobahn

    def onConnect(self, request: Any) -> str | None:
        """The subprotocol, when it was offered (page 3)."""
        return _subprotocol(request.protocols)

    def onOpen(self) -> None:
        try:
            transport = self.transport
            # twisted.web's channel is still the producer: free it, and take its place.
            transport.unregisterProducer()
            transport.registerProducer(self, True)
            plain = isinstance(transport, Connection) and not transport.TLS
            if plain and self._perMessageCompress is None:
                self._straight = transport.socket.send
            for name in _SPENT:
                self.__dict__.pop(name, None)
            self._opened(self.link)
        except Exception:
            self._fail()

    def connectionMade(self) -> None:
        """As Autobahn's own, without details of the transport that nobody asks for."""
        self.peer = self.link.address
        with suppress(AttributeError, OSError):  # a Unix socket has no such option
            self.transport.setTcpNoDelay(True)
        WebSocketProtocol._connectionMade(self)
        self.factory.countConnections += 1

    def welcome(self, offer: Offer) -> None:
        """Finish a handshake that was found in order; see :mod:`imd.websocket.handshake`."""
        self.websocket_version, self._wskey = 13, offer.key
        self.websocket_protocols = offer.protocols
        self.websocket_extensions = self._parseExtensionsHeader(offer.extensions)
        self.succeedHandshake(_subprotocol(offer.protocols))

    def sendData(self, data: bytes, sync: bool = False, chopsize: int | None = None) -> None:
        """As Autobahn's own, without the chopping of its test suite and without a word about it."""
        self.transport.write(data)

    def dataReceived(self, data: bytes) -> None:
        """As Autobahn's own, without describing each piece to a log that is closed.

        What comes as a rule comes whole and alone, and is taken at once: a text, or the answer to a
        ping, which says nothing but that the peer is there.
        """
        if self._is_between_messages():
            if len(data) == _PONG_BYTES and data.startswith(_PONG):
                self.link.heard = self.link.room.tick
                return
            text = whole_text(data)
            if text is not None and len(text) <= self.link.room.settings.frame:
                self.link.heard = self.link.room.tick
                self.onMessage(text, False)
                return
        self._dataReceived(data)

    def _is_between_messages(self) -> bool:
        return not (
            self.data
            or self.inside_message
            or self.current_frame is not None
            or self.state != self.STATE_OPEN
        )

    def onMessageEnd(self) -> None:
        """As Autobahn's own, without its events for listeners, which cost a Deferred a frame."""
        if not self.failedByMe:
            payload = b"".join(self.message_data)
            self.onMessage(payload, self.message_is_binary)
        self.message_data = None

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        try:
            if isBinary:
                self.link.end(Close.BINARY)
            else:
                self.link.received(payload)
        except Exception:
            self._fail()

    def onFrameEnd(self) -> bool | None:
        """Any frame is a sign of life."""
        self.link.heard = self.link.room.tick
        return super().onFrameEnd()

    def onPing(self, payload: bytes) -> None:
        """Answer, unless what waits for this peer is too much already."""
        if self._has_room():
            self.sendPong(payload)

    def readConnectionLost(self) -> None:
        """The peer ended it; when a proxy does, all at once, and each ending takes its time.

        Nothing is read any more, so the reactor does not come back for it.
        """
        self.link.room.turnstile.go_on(self._end)

    def _end(self) -> None:
        self.transport.connectionLost(Failure(CONNECTION_DONE))

    def writeConnectionLost(self) -> None:
        """Nobody closes one half of a WebSocket here."""

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        self._straight = None
        try:
            self.link.fire(Event.LOST)
        except Exception:
            self.note.failure("a lost connection was not cleaned up")

    def sendCloseFrame(
        self, code: int | None = None, reasonUtf8: bytes | None = None, isReply: bool = False
    ) -> None:
        """Every close passes here: ours, Autobahn's (1002, 1007, 1009), and replies."""
        super().sendCloseFrame(code, reasonUtf8, isReply)
        self._straight = None
        try:
            self.link.fire(Event.BROKEN)
        except Exception:
            self.note.failure("a closing connection was not cleaned up")

    def dropConnection(self, abort: bool = False) -> None:
        self._straight = None
        super().dropConnection(abort)

    # ---- the transport's producer

    def pauseProducing(self) -> None:
        self.link.stall()

    def resumeProducing(self) -> None:
        try:
            self.link.flow()
        except Exception:
            self._fail()

    def stopProducing(self) -> None:
        """The connection is lost; onClose follows."""

    # ---- Wire

    def put(self, frame: bytes) -> None:
        """Straight to the socket when nothing waits (12 us); else through the transport."""
        transport = self.transport
        send = self._straight
        if send is not None and not transport.dataBuffer and not transport._tempDataBuffer:
            try:
                sent = send(frame)
            except OSError:
                # Would block, or is broken: the transport finds out which.
                sent = 0
            if sent == len(frame):
                return
            transport.write(frame[sent:])
        else:
            self._put_slowly(frame)

    def _put_slowly(self, frame: bytes) -> None:
        if self.state != self.STATE_OPEN or not self._has_room():
            return
        if self._perMessageCompress is not None:
            self.sendMessage(payload_of(frame), False)
        else:
            self.transport.write(frame)

    def close(self, code: int, reason: str) -> None:
        # sendClose() refuses 1003 and 1011, which the contract wants.
        self.sendCloseFrame(code, reason.encode()[:123])

    def abort(self) -> None:
        self.wasClean = False
        self.wasNotCleanReason = "dropped"
        self.dropConnection(abort=True)

    def ping(self) -> None:
        if self._straight is not None:
            self.put(_PING)
        else:
            self.sendPing()

    def stop_reading(self) -> None:
        self.transport.pauseProducing()

    def go_on_reading(self) -> None:
        if self.state == self.STATE_OPEN:
            self.transport.resumeProducing()

    # ----

    def _has_room(self) -> bool:
        """Whether the peer keeps up; one that does not is closed with 4408."""
        if self._waiting() <= self.link.room.settings.buffer:
            return True
        self.link.end(Close.SLOW_CONSUMER)
        return False

    def _waiting(self) -> int:
        """Bytes that the kernel has not taken yet; under TLS those that are encrypted already."""
        transport = self.transport
        if not hasattr(transport, "_tempDataLen"):
            transport = getattr(transport, "transport", None)
        if not hasattr(transport, "_tempDataLen"):
            return 0
        waiting: int = len(transport.dataBuffer) - transport.offset + transport._tempDataLen
        return waiting

    def _fail(self) -> None:
        """A fault of the program: in the log, and the end of this connection only."""
        self.note.failure("a connection failed")
        try:
            self.link.end(Close.FAILED)
        except Exception:
            self.note.failure("a failed connection was not closed")
            self.abort()
