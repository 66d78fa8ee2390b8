"""How often somebody may do something: token buckets (page 2.7).

Pure arithmetic: the time is handed in, the caller decides what a refusal means.
"""

from __future__ import annotations

from collections import OrderedDict


class Rate:
    """A bucket for each name: ``per_second`` refills it, ``burst`` is what it holds when full.

    ``per_second`` 0 means no limit. Names that have been quiet long enough to be full again are
    forgotten, so memory is bounded by those who are active; ``most`` bounds it in any case.
    """

    def __init__(self, per_second: float, burst: float, most: int = 100_000) -> None:
        self.per_second, self.burst, self.most = per_second, burst, most
        self._buckets: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def take(self, name: str, now: int) -> float:
        """Take one; 0.0 when there was one, else the seconds until there is. ``now`` in ms."""
        if self.per_second <= 0:
            return 0.0
        level = self._level(name, now)
        if level < 1:
            return (1 - level) / self.per_second
        self._keep(name, level - 1, now)
        return 0.0

    def wait(self, name: str, now: int) -> float:
        """As :meth:`take`, without taking."""
        if self.per_second <= 0:
            return 0.0
        return max(0.0, 1 - self._level(name, now)) / self.per_second

    def _level(self, name: str, now: int) -> float:
        level, then = self._buckets.get(name, (self.burst, now))
        return min(self.burst, level + max(0, now - then) / 1000 * self.per_second)

    def _keep(self, name: str, level: float, now: int) -> None:
        self._buckets[name] = (level, now)
        self._buckets.move_to_end(name)
        full_after = self.burst / self.per_second * 1000
        while self._buckets:
            oldest, (_, then) = next(iter(self._buckets.items()))
            if now - then < full_after and len(self._buckets) <= self.most:
                break
            del self._buckets[oldest]
