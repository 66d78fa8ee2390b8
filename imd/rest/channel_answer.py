"""The way out of an HTTP connection: an answer leaves in one piece, and at once.

twisted.web hands the head of an answer to the transport apart from its body, and the transport
arms the reactor for each, writes in its next turn and disarms it. Here the head waits for the
first of the body, and both go straight to the socket when nothing older waits for it.
``channel_connection`` adds the way in; this module refuses to know stages and deadlines.
"""

# twisted.web's own methods have no annotations.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from twisted.internet.tcp import Connection
from twisted.web.http import HTTPChannel
from twisted.web.http_headers import Headers


class AnsweringChannel(HTTPChannel):
    """One HTTP connection, as far as it is written to; it knows both ends by heart."""

    transport: Any

    def __init__(self) -> None:
        super().__init__()
        self._answer_head = b""
        self._straight = False

    def connectionMade(self) -> None:
        transport = self.transport
        self._peer, self._host = transport.getPeer(), transport.getHost()
        self._straight = isinstance(transport, Connection) and not transport.TLS
        super().connectionMade()

    def getPeer(self) -> Any:
        """The address of the peer, without asking the system for each request."""
        return self._peer

    def getHost(self) -> Any:
        """The address that the peer connected to."""
        return self._host

    def writeHeaders(self, version: bytes, code: bytes, reason: bytes, headers: Headers) -> None:
        """The head of an answer, which goes out with the first of its body, or without one."""
        lines = [b"%s %s %s" % (version, code, reason)]
        for name, values in headers.getAllRawHeaders():
            for value in values:
                lines.append(b"%s: %s" % (name, value))
        self._answer_head = b"\r\n".join([*lines, b"", b""])

    def write(self, data: bytes) -> None:
        """Some of an answer's body."""
        head, self._answer_head = self._answer_head, b""
        piece = head + data if head else data
        transport = self.transport
        if (
            self._straight
            and transport.connected
            and not transport.dataBuffer
            and not transport._tempDataBuffer
        ):
            try:
                sent = transport.socket.send(piece)
            except OSError:
                # Would block, or is broken: the transport finds out which.
                sent = 0
            if sent == len(piece):
                return
            piece = piece[sent:]
        transport.write(piece)

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        """Some of an answer's body, in pieces."""
        self.write(b"".join(iovec))

    def flush(self) -> None:
        """Write the head of an answer that has no body."""
        if self._answer_head:
            self.write(b"")
