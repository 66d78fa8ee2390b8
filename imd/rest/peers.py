"""Where a request really comes from, when it came through a reverse proxy (page 5.6).

The dispatch asks it for the address that refused credentials are counted by, and for the scheme of
the server's own origin. Headers that a proxy writes count only when the peer is one of ours.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from functools import lru_cache

from twisted.web.server import Request

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Peers:
    """``trusted`` are addresses or networks of reverse proxies; ValueError when one is neither."""

    def __init__(self, trusted: Iterable[str] = ()) -> None:
        self._trusted = [ipaddress.ip_network(text, strict=False) for text in trusted]

    def client(self, request: Request) -> str:
        """The rightmost address that is not a trusted proxy's; "" for a peer without one."""
        host = getattr(request.getClientAddress(), "host", "") or ""
        if not self._is_trusted(_parsed_peer(host)):
            return host
        for word in reversed(_list(request, b"X-Forwarded-For")):
            address = _parsed(word)
            if address is None:
                break
            host = str(address)
            if not self._is_trusted(address):
                break
        return host

    def is_secure(self, request: Request) -> bool:
        """Whether the client speaks TLS, to us or to a trusted proxy."""
        if request.isSecure():
            return True
        host = getattr(request.getClientAddress(), "host", "") or ""
        if not self._is_trusted(_parsed_peer(host)):
            return False
        said = _list(request, b"X-Forwarded-Proto")
        return bool(said) and said[-1].lower() == "https"

    def _is_trusted(self, address: _Address | None) -> bool:
        return address is not None and any(address in network for network in self._trusted)


def _list(request: Request, header: bytes) -> list[str]:
    values = request.requestHeaders.getRawHeaders(header) or []
    return [word.strip() for word in b",".join(values).decode("latin-1").split(",")]


def _parsed(text: str) -> _Address | None:
    """An address, with or without brackets and a port; a mapped IPv4 one as what it stands for."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped if mapped is not None else address


#: of peers, which come again and ask twice; not of what a header says
_parsed_peer = lru_cache(1024)(_parsed)
