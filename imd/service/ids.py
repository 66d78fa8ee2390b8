"""New ids, in the order in which they are made, so that an index grows at its end.

Actions and stores draw ids of messages and the like from one :class:`NewIds`, the latter in their
threads. It knows neither what an id names nor where its time and randomness come from.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from imd.actions.ports import Clock

#: random bytes in an id, and for how many ids they are drawn at once: a system call costs more
#: than the id
_NOISE, _POOL = 10, 64
_VERSION = 7
_VARIANT = 0b10
_COUNTER_BITS = 12
#: the counter of a new millisecond starts in the lower half, so that it has room to grow
_START_MASK = (1 << (_COUNTER_BITS - 1)) - 1
_TAIL_BITS = 62
_TAIL_MASK = (1 << _TAIL_BITS) - 1
_TIME_MASK = (1 << 48) - 1


class NewIds:
    """UUIDv7 (RFC 9562, method 1) as 32 lower-case hex digits; strictly growing in a process.

    Within one millisecond, or when the clock steps back, a counter orders the ids; when it is used
    up, the time part runs ahead of the clock. ``entropy`` gives that many random bytes, as
    ``os.urandom`` does. Safe in any thread.
    """

    def __init__(self, clock: Clock, entropy: Callable[[int], bytes]) -> None:
        self._clock, self._entropy = clock, entropy
        self._pool, self._used = b"", 0
        self._lock = threading.Lock()
        self._time, self._counter = -1, 0

    def __call__(self) -> str:
        """The next id (page 1.2)."""
        with self._lock:
            noise = self._noise()
            now = self._clock.now()
            if now > self._time:
                self._time, self._counter = now, (noise >> 64) & _START_MASK
            elif self._counter + 1 < 1 << _COUNTER_BITS:
                self._counter += 1
            else:
                self._time, self._counter = self._time + 1, (noise >> 64) & _START_MASK
            time, counter = self._time & _TIME_MASK, self._counter
        high = time << 16 | _VERSION << _COUNTER_BITS | counter
        return f"{high << 64 | _VARIANT << _TAIL_BITS | noise & _TAIL_MASK:032x}"

    def _noise(self) -> int:
        """Ten random bytes as a number, drawn from the source for many ids at a time."""
        if self._used >= len(self._pool):
            self._pool, self._used = self._entropy(_POOL * _NOISE), 0
        start, self._used = self._used, self._used + _NOISE
        return int.from_bytes(self._pool[start : self._used], "big")
