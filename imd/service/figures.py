"""The live figures of the console: what the last seconds were like (page 5.4).

They come from the numbers of :mod:`imd.service.metrics`, of which a running total is kept each
second. ``/console/figures`` sends them; nothing here knows who may ask.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from functools import reduce
from itertools import pairwise
from typing import Any, Final

from twisted.internet.interfaces import IReactorTime

from imd.service.metrics import SECONDS, Metrics, Pushes, Totals
from imd.service.sums import added

#: what these figures are called among processes
FIGURES: Final = "figures"
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
        """The figures of this process alone; see :func:`shown`."""
        return shown([self.look()])

    def look(self) -> dict[str, Any]:
        """This process's part of the figures as plain numbers, which can be added up."""
        metrics, sources = self._metrics, self._metrics.sources
        now = self._clock.seconds()
        then, before = self._seen[max(0, len(self._seen) - 1 - SPAN)]
        totals = metrics.totals()
        seconds = max(now - then, TICK)
        waits, waited = sources.database_waits()
        return {
            "worst": {"uptime": now - self._started, "lag": metrics.lag},
            "sockets": {kind: number for kind, number in sources.sockets.items() if number},
            "stored": totals.stored,
            "stored_a_second": (totals.stored - before.stored) / seconds,
            "history": self._history(),
            "delivered": totals.delivered,
            "delivered_a_second": (totals.delivered - before.delivered) / seconds,
            "requests": _bins(totals.requests, before.requests),
            "requests_a_second": (sum(totals.requests) - sum(before.requests)) / seconds,
            "commits": _bins(totals.commits, before.commits),
            "commits_a_second": (sum(totals.commits) - sum(before.commits)) / seconds,
            "recoveries": dict(sources.recoveries),
            "queue": sources.database_load(),
            "writer_queue": sources.writer_queue(),
            "waits": waits,
            "waited": waited,
            "outbox": _by_state(sources.pushes),
        }

    def _history(self) -> list[int]:
        """Messages stored in each of the last seconds, the oldest first."""
        stored = [totals.stored for _, totals in self._seen]
        return [later - sooner for sooner, later in pairwise(stored)]


def _by_state(pushes: Pushes | None) -> dict[str, int] | None:
    """What waits to be pushed and what was given up; None where nothing is pushed."""
    if pushes is None:
        return None
    states: Counter[str] = Counter()
    for (_, state), number in pushes.outbox.items():
        states[state] += number
    return dict(states)


def shown(looks: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The figures of all these processes as JSON values; times in ms, None for nothing measured."""
    worst = [look["worst"] for look in looks]
    # The outbox is the database's: each process sees the whole of it.
    outbox = next((look["outbox"] for look in looks if look["outbox"] is not None), None)
    parts = [{**look, "worst": None, "outbox": None} for look in looks]
    all_: dict[str, Any] = reduce(added, parts)
    return {
        "uptime": round(max(one["uptime"] for one in worst)),
        "sockets": {"total": sum(all_["sockets"].values()), "by_type": all_["sockets"]},
        "messages": {
            "stored": all_["stored"],
            "per_second": round(all_["stored_a_second"], 2),
            "history": all_["history"],
        },
        "deliveries": {
            "total": all_["delivered"],
            "per_second": round(all_["delivered_a_second"], 2),
        },
        "requests": _spread(all_["requests"], all_["requests_a_second"]),
        "commits": _spread(all_["commits"], all_["commits_a_second"]),
        "recoveries": all_["recoveries"],
        "database": {
            "queue": all_["queue"],
            "writer_queue": all_["writer_queue"],
            "wait_ms": round(all_["waited"] / all_["waits"] * 1000, 2) if all_["waits"] else None,
        },
        "reactor_lag_ms": round(max(one["lag"] for one in worst) * 1000, 1),
        "push": _waiting(outbox),
    }


def _waiting(outbox: dict[str, int] | None) -> dict[str, Any] | None:
    return None if outbox is None else {"total": outbox.get("pending", 0), "by_state": outbox}


def _bins(now: Sequence[int], before: Sequence[int]) -> list[int]:
    return [later - sooner for later, sooner in zip(now, before, strict=True)]


def _spread(bins: Sequence[int], a_second: float) -> dict[str, Any]:
    return {
        "per_second": round(a_second, 2),
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
