"""Which web pages of other origins may read answers: CORS, by exact match (pages 2.1 and 5.6).

The dispatch asks it for the headers of each answer. No credential travels by itself (there are no
cookies), so an origin that is not allowed is merely not told that it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from twisted.web.server import Request

from imd.rest.errors import Headers
from imd.rest.peers import Peers

_ASKED = b"Authorization, X-Api-Key, Content-Type, Idempotency-Key, X-Request-Id"
_SHOWN = b"X-Request-Id, Retry-After, Idempotent-Replay"
#: seconds for which a browser may remember a preflight
_MAX_AGE = b"600"


class Origins:
    """``allowed`` beside the server's own origin; ``null`` may be among them."""

    def __init__(self, allowed: Iterable[str], peers: Peers) -> None:
        self._allowed = frozenset(origin.encode() for origin in allowed)
        self._peers = peers

    def headers(self, request: Request) -> Headers:
        """What an answer tells a page of an allowed origin; nothing for any other caller."""
        given = request.requestHeaders.getRawHeaders(b"Origin")
        if given is None or not self._is_allowed(request, given):
            return ()
        return (
            (b"Access-Control-Allow-Origin", given[0]),
            (b"Access-Control-Expose-Headers", _SHOWN),
            (b"Vary", b"Origin"),
        )

    def preflight(self, request: Request, methods: bytes) -> Headers:
        """What OPTIONS adds to that for an allowed origin; ``methods`` are the path's."""
        given = request.requestHeaders.getRawHeaders(b"Origin")
        if given is None or not self._is_allowed(request, given):
            return ()
        return (
            (b"Access-Control-Allow-Methods", methods),
            (b"Access-Control-Allow-Headers", _ASKED),
            (b"Access-Control-Max-Age", _MAX_AGE),
        )

    def is_foreign(self, request: Request) -> bool:
        """Whether a browser says that a page of an origin which is not allowed made the request."""
        given = request.requestHeaders.getRawHeaders(b"Origin")
        return given is not None and not self._is_allowed(request, given)

    def _is_allowed(self, request: Request, given: Sequence[bytes]) -> bool:
        if len(given) != 1:
            return False
        if given[0] in self._allowed:
            return True
        hosts = request.requestHeaders.getRawHeaders(b"Host")
        if not hosts or len(hosts) != 1:
            return False
        scheme = b"https://" if self._peers.is_secure(request) else b"http://"
        return given[0] == scheme + hosts[0]
