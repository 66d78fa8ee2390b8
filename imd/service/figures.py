"""The live figures of the console: what the last seconds were like (page 5.4).

They come from the numbers of :mod:`imd.service.metrics`, of which a running total is kept each
second. ``/console/figures`` sends them; nothing here knows who may ask.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final

from twisted.internet.interfaces import IReactorTime

from imd.service.metrics import SECONDS, Metrics, Pushes, Totals

#: seconds between two totals, and how many are kept
TICK: Final = 1.0
KEPT: Final = 60
#: seconds over which rates and percentiles are taken
SPAN: Final = 10


class Figures:
    """Wiring lets :meth:`tick` be called each second."""

    def __init__(self, metrics: Metrics, clock: IReactorTime) -> None:
        self._metrics, self._clock = metrics, clock
        self._started = clock.seconds()
        self._seen: deque[tuple[float, Totals]] = deque(maxlen=KEPT + 1)
        self._seen.append((self._started, metrics.totals()))

    def tick(self) -> None:
        """Keep the totals of this moment, and note how late the reactor is."""
        now = self._clock.seconds()
        self._metrics.late(max(0.0, now - self._seen[-1][0] - TICK))
        self._seen.append((now, self._metrics.totals()))

    def now(self) -> dict[str, Any]:
        """The figures as JSON values; times in ms, None where there was nothing to measure."""
        metrics, sources = self._metrics, self._metrics.sources
        now = self._clock.seconds()
        then, before = self._seen[max(0, len(self._seen) - 1 - SPAN)]
        totals = metrics.totals()
        seconds = max(now - then, TICK)
        sockets = {kind: number for kind, number in sources.sockets.items() if number}
        waits, waited = sources.database_waits()
        return {
            "uptime": round(now - self._started),
            "sockets": {"total": sum(sockets.values()), "by_type": sockets},
            "messages": {
                "stored": totals.stored,
                "per_second": round((totals.stored - before.stored) / seconds, 2),
                "history": self._history(),
            },
            "deliveries": {
                "total": totals.delivered,
                "per_second": round((totals.delivered - before.delivered) / seconds, 2),
            },
            "requests": _spread(totals.requests, before.requests, seconds),
            "commits": _spread(totals.commits, before.commits, seconds),
            "recoveries": dict(sources.recoveries),
            "database": {
                "queue": sources.database_load(),
                "writer_queue": sources.writer_queue(),
                "wait_ms": round(waited / waits * 1000, 2) if waits else None,
            },
            "reactor_lag_ms": round(metrics.lag * 1000, 1),
            "push": _outbox(sources.pushes),
        }

    def _history(self) -> list[int]:
        """Messages stored in each of the last seconds, the oldest first."""
        stored = [totals.stored for _, totals in self._seen]
        return [later - sooner for sooner, later in pairwise(stored)]


def _outbox(pushes: Pushes | None) -> dict[str, Any] | None:
    if pushes is None:
        return None
    states: Counter[str] = Counter()
    for (_, state), number in pushes.outbox.items():
        states[state] += number
    return {"total": states["pending"], "by_state": dict(states)}


def _spread(now: Sequence[int], before: Sequence[int], seconds: float) -> dict[str, Any]:
    bins = [later - sooner for later, sooner in zip(now, before, strict=True)]
    return {
        "per_second": round(sum(bins) / seconds, 2),
        "p50_ms": quantile(bins, 0.5),
        "p99_ms": quantile(bins, 0.99),
    }


def quantile(bins: Sequence[int], part: float) -> float | None:
    """The ms that ``part`` of the measured times stay below, along a line inside their bin."""
    wanted = sum(bins) * part
    if not wanted:
        return None
    below = 0.0
    for number, seconds in zip(bins, SECONDS, strict=False):
        if number and wanted <= number:
            return round((below + (seconds - below) * wanted / number) * 1000, 2)
        wanted -= number
        below = seconds
    return SECONDS[-1] * 1000
