"""How many HTTP connections each address holds, so that one caller cannot take them all.

``channel`` asks for a seat when a connection is made and gives it back when the connection ends or
becomes a WebSocket.  This module knows nothing of HTTP, transports or what a connection is for, and
believes no ``X-Forwarded-For``: behind a proxy every caller shares the proxy's seats.
"""

from __future__ import annotations

import ipaddress
from collections import Counter


def seat_key(host: str) -> str:
    """The address that shares one allowance: an IPv4 address, or an IPv6 /64 (one customer's net).

    A mapped address (``::ffff:192.0.2.1``) counts as the IPv4 address it stands for.
    """
    if ":" not in host:
        return host
    try:
        address = ipaddress.IPv6Address(host.partition("%")[0])
    except ValueError:
        return host
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(address) >> 64 << 64, 64)))


class Seats:
    """The allowance of each address."""

    def __init__(self, cap: int) -> None:
        self._cap = cap
        self._taken: Counter[str] = Counter()

    def take(self, key: str) -> bool:
        """Whether there was a seat; it is the caller's until :meth:`leave`.  A cap of 0 is none."""
        if self._cap and self._taken[key] >= self._cap:
            return False
        self._taken[key] += 1
        return True

    def leave(self, key: str) -> None:
        """Give a taken seat back."""
        left = self._taken[key] - 1
        if left > 0:
            self._taken[key] = left
        else:
            del self._taken[key]

    def taken(self, key: str) -> int:
        """Seats which this address holds now."""
        return self._taken.get(key, 0)
