"""Who calls, and whether it may call now (pages 2.1 and 2.7).

The dispatch asks before it reads a request any further. What a credential is worth the doorkeeper
knows; what the caller may touch the action decides. This module never logs a credential.
"""

from __future__ import annotations

from twisted.web.server import Request

from imd.actions.ports import House
from imd.domain.caller import TRUSTED, Caller
from imd.domain.errors import Forbidden, RateLimited, Unauthenticated
from imd.rest.channel_seats import seat_key
from imd.rest.origins import Origins
from imd.rest.peers import Peers

_SAFE = frozenset({b"GET", b"HEAD"})


class Admission:
    """The gate of one process; its buckets are the house's."""

    def __init__(self, house: House, peers: Peers, origins: Origins) -> None:
        self._house = house
        self._peers = peers
        self._origins = origins

    def admit(self, request: Request, scope: str) -> Caller:
        """The caller, when it is known, has the scope and is within its rate.

        Raises Unauthenticated, Forbidden, MissingScope or RateLimited.
        """
        caller = self._identify(request)
        caller.require(scope)
        if caller.user_id is not None:
            house = self._house
            wait = house.rates.requests.take(caller.user_id, house.clock.now())
            if wait > 0:
                raise RateLimited(wait)
        return caller

    def _identify(self, request: Request) -> Caller:
        credential = presented(request)
        doorkeeper = self._house.doorkeeper
        if credential is None:
            if not doorkeeper.trusted:
                raise Unauthenticated()
            # Any page that a developer looks at can post a form to the loopback.
            if request.method not in _SAFE and self._origins.is_foreign(request):
                raise Forbidden("A page of another origin needs a credential to change anything.")
            return TRUSTED
        try:
            if not credential:
                raise Unauthenticated()
            return doorkeeper.identify(credential)
        except Unauthenticated:
            # An IPv6 client owns a whole /64, so that is what its refusals are counted by.
            address = seat_key(self._peers.client(request))
            wait = self._house.rates.failures.take(address, self._house.clock.now())
            if wait > 0:
                raise RateLimited(wait) from None
            raise


def presented(request: Request) -> str | None:
    """The credential of a request: None without any, "" for one that cannot be valid."""
    headers = request.requestHeaders
    keys = headers.getRawHeaders(b"X-Api-Key")
    given = headers.getRawHeaders(b"Authorization")
    if given is None and keys is None:
        return None
    if given is not None:
        scheme, _, value = given[0].strip().partition(b" ")
        if scheme.lower() == b"bearer" and len(given) == 1:
            return _ascii(value)
        if keys is None:
            return ""
    return _ascii(keys[0]) if keys is not None and len(keys) == 1 else ""


def _ascii(value: bytes) -> str:
    return value.strip().decode("ascii") if value.isascii() else ""
