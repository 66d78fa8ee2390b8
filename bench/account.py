"""What came of what was sent: lost, twice, or out of order. No run is measured without it.

Keys grow in the order of sending, and a session has one sender; so whoever is in the session gets
keys that grow, each once. :mod:`bench.load` tells what it sees. Knows nothing of servers.
"""

from __future__ import annotations


class Account:
    """One run: ``each`` is how many sockets every message has to reach."""

    def __init__(self, each: int) -> None:
        self._each = each
        self._sent = 0
        # No key is greater, so what comes before anything is sent is of an earlier run.
        self._first = b"g"
        self._arrived = 0
        self._seen: dict[object, set[bytes]] = {}
        self._last: dict[object, bytes] = {}
        self.duplicated = 0
        self.reordered = 0

    def sent(self, key: bytes) -> None:
        self._sent += 1
        self._first = min(self._first, key)

    def arrived(self, receiver: object, key: bytes) -> bool:
        """Note a delivery; False for one that is none: it came before, or is of an earlier run.

        Runs end when everything has arrived, so what comes of an earlier one comes twice.
        """
        seen = self._seen.setdefault(receiver, set())
        if key in seen or key < self._first:
            self.duplicated += 1
            return False
        seen.add(key)
        if key < self._last.get(receiver, b""):
            self.reordered += 1
        else:
            self._last[receiver] = key
        self._arrived += 1
        return True

    @property
    def lost(self) -> int:
        """Deliveries that have not come; as long as some are under way, those too."""
        return self._sent * self._each - self._arrived

    def figures(self) -> dict[str, int]:
        return {"lost": self.lost, "duplicated": self.duplicated, "reordered": self.reordered}
