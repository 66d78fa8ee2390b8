"""The site on imd's one port: nothing a peer sends, or fails to send, harms the others.

The composition root builds one :class:`HardenedSite` a process and listens with it; resources,
Klein's and Autobahn's alike, are mounted on it as on any site.  How a connection is read is
``channel_connection``'s, what a request may look like ``framing``'s.  This module refuses to know
routes, callers and JSON bodies.
"""

# twisted.web's own methods have no annotations.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import secrets
from collections.abc import Callable
from io import BytesIO
from urllib.parse import unquote_to_bytes

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.python.failure import Failure
from twisted.web.http import NO_BODY_CODES, datetimeToString, parse_qs
from twisted.web.resource import IResource, getChildForRequest
from twisted.web.server import Request, Site

from imd.rest.channel_connection import HardenedChannel
from imd.rest.channel_headers import KnownHeaders
from imd.rest.channel_seats import Seats
from imd.rest.framing import DEFAULTS, Head, Limits, Refusal

__all__ = ["HardenedChannel", "HardenedRequest", "HardenedSite", "Limits", "Refusal"]


class HardenedRequest(Request):
    """A request whose failures are JSON and whose answers are never taken for a page by mistake."""

    channel: HardenedChannel
    defaultContentType = b"text/plain; charset=utf-8"

    def __init__(self, channel: HardenedChannel) -> None:
        """As twisted.web's own, all three of them, with fields of another kind."""
        self.channel = channel
        self.client, self.host = channel.getPeer(), channel.getHost()
        self.transport = channel.transport
        self.notifications: list[Deferred[None]] = []
        self.requestHeaders = self.responseHeaders = KnownHeaders()
        self.received_cookies: dict[bytes, bytes] = {}
        self.cookies: list[bytes] = []
        self.queued = False
        self._parsePOSTFormSubmission = False
        self._adapterCache: dict[str, object] = {}

    def begin(self, head: Head, body: bytes) -> None:
        """Take over a request that has come whole, and answer it."""
        self.method, self.uri, self.clientproto = head.method, head.target, head.version
        self.path, mark, query = head.target.partition(b"?")
        self.args = parse_qs(query, True) if mark else {}
        self.content = BytesIO(body)
        self.requestHeaders = KnownHeaders.of(head.fields)
        if b"Cookie" in head.fields:
            self.parseCookies()
        fields = {b"Date": [self.channel.site.date()], b"X-Content-Type-Options": [b"nosniff"]}
        if not self.channel.persistent:
            fields[b"Connection"] = [b"close"]
        self.responseHeaders = KnownHeaders.of(fields)
        self.process()

    def process(self) -> None:
        """Find the resource and render it; every answer says ``nosniff``, none names the software.

        As twisted.web's own, without making a date for each request.
        """
        site = self.site = self.channel.site
        if self.path == b"*":
            self._handleStar()
            return
        self.prepath = []
        self.postpath = self.path[1:].split(b"/")
        if b"%" in self.path:
            self.postpath = [unquote_to_bytes(segment) for segment in self.postpath]
        try:
            self.render(getChildForRequest(site.resource, self))
        except Exception:
            self.processingFailed(Failure())

    def write(self, data: bytes) -> None:
        """As twisted.web's own; an answer that says what and how long it is has all it needs."""
        fields = self.responseHeaders._rawHeaders
        if (
            self.startedWriting
            or self.finished
            or self._disconnected
            or not fields.get(b"Content-Length")
            or not fields.get(b"Content-Type")
            or self.method == b"HEAD"
            or self.code in NO_BODY_CODES
            or self.etag is not None
            or self.lastModified is not None
            or self.cookies
        ):
            super().write(data)
            return
        self.startedWriting = 1
        self.sentLength = len(data)
        code = b"%d" % self.code
        self.channel.writeHeaders(self.clientproto, code, self.code_message, self.responseHeaders)
        if data:
            self.channel.write(data)

    def processingFailed(self, reason: Failure) -> Failure:
        """Answer 500 ``internal`` for a resource that raised; the log has the rest."""
        identity = self.site.fresh_id()  # type: ignore[union-attr]
        self._log.failure("request {request_id} failed", failure=reason, request_id=identity)
        if self._disconnected:
            return reason
        if self.channel.transport is None:  # an upgrade took the connection, then failed
            self.transport.abortConnection()  # type: ignore[union-attr]
            return reason
        if self.startedWriting:
            self.channel.loseConnection()
            return reason
        body = Refusal("internal", "The request could not be answered.").problem()
        self.setResponseCode(500)
        self.setHeader(b"Content-Type", b"application/problem+json")
        self.setHeader(b"Content-Length", b"%d" % len(body))
        self.setHeader(b"X-Request-Id", identity.encode("ascii"))
        self.write(body)
        self.finish()
        return reason


class HardenedSite(Site):
    """The one site of a process (spec page 2, 2.1): form parsing, access log and HTTP/2 are off."""

    requestFactory = HardenedRequest  # type: ignore[assignment]
    displayTracebacks = False

    def __init__(
        self,
        resource: IResource,
        limits: Limits = DEFAULTS,
        *,
        reactor: IReactorTime,
        fresh_id: Callable[[], str] = lambda: secrets.token_hex(8),
        refused: Callable[[Refusal, str], None] = lambda refusal, host: None,
    ) -> None:
        """``refused`` is told each refusal and the peer's address, for the log and the metrics.

        ``fresh_id`` makes the ``X-Request-Id`` of answers which no resource writes.
        """
        super().__init__(resource, parsePOSTFormSubmission=False, reactor=reactor, timeout=None)
        self.limits = limits
        self.tick = min(limits.header_time, limits.body_time, limits.stall_time, limits.idle_time)
        self.fresh_id = fresh_id
        self.refused = refused
        self.seats = Seats(limits.connections_per_address)
        self.channels: set[HardenedChannel] = set()
        self.turned_away: set[HardenedChannel] = set()
        self.draining = False
        self._second, self._date = -1, b""

    def buildProtocol(  # type: ignore[override]
        self, addr: IAddress | None
    ) -> HardenedChannel:
        """A channel for a new connection; there is no negotiation of protocols to go through."""
        return HardenedChannel(self)

    def drain(self) -> None:
        """Close connections soon that wait for a request; each other one after its next answer.

        Nobody can tell a connection that is idle from one whose next request is on its way, or
        that was just made: those who ask within ``last_call`` are answered, too.
        """
        self.draining = True
        for channel in list(self.channels):
            channel.take_last_call()

    def date(self) -> bytes:
        """The value of ``Date`` at this second."""
        second = int(self.reactor.seconds())
        if second != self._second:
            self._second, self._date = second, datetimeToString(second)
        return self._date

    def acceptableProtocols(self) -> list[bytes]:
        """HTTP/1.1 alone."""
        return [b"http/1.1"]

    def startFactory(self) -> None:
        """No access log is opened and no clock for it started."""

    def stopFactory(self) -> None:
        """Nothing was started."""

    def log(self, request: object) -> None:
        """Requests are logged where they are answered."""
