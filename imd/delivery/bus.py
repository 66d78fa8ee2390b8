"""The bus: how the processes on one database tell each other that something happened (page 4.3).

The courier tells it hints, :mod:`imd.delivery.hearing` listens to those of others. Here stand the
port, what gathers the hints of a turn, and the bus in memory, which is that of a single process; on
Redis it is :mod:`imd.delivery.redis_bus`. No hint is sure to arrive, and nobody ever waits for one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from imd.wire.hints import AnyHint, Bundle, Stored

#: hints that may wait to be sent; what comes on top is dropped, and a sweep mends it
MOST_WAITING = 10_000


class Listener(Protocol):
    """Whom a bus tells; none of these may fail."""

    def hear(self, bundle: Bundle) -> None:
        """Hints of another process about the same store."""

    def regained(self) -> None:
        """Hints arrive from now on; those of before may have been lost."""


class Bus(Protocol):
    """A seat on the bus. ``sent``, ``received`` and ``dropped`` count hints."""

    sent: int
    received: int
    dropped: int

    @property
    def up(self) -> bool:
        """Whether hints arrive at present."""

    def tell(self, hint: AnyHint) -> None:
        """Let the other processes know soon, or never; returns at once."""

    async def start(self, listener: Listener) -> None:
        """Take the seat; returns when hints arrive, or after a short while without."""

    async def stop(self) -> None:
        """Leave it."""


class Gathered:
    """The hints that were told since the last bundle: each once, runs of messages as one hint."""

    __slots__ = ("_hints", "_runs")

    def __init__(self) -> None:
        self._hints: dict[AnyHint, None] = {}
        #: the newest run of each session, which may grow yet
        self._runs: dict[str, Stored] = {}

    def __len__(self) -> int:
        return len(self._hints)

    def add(self, hint: AnyHint) -> bool:
        """False when there are too many already."""
        if isinstance(hint, Stored):
            run = self._runs.get(hint.session)
            if run is not None and run.seq + 1 == hint.first:
                # In its place: a later hint about the session must not overtake its message.
                del self._hints[run]
                hint = Stored(hint.session, hint.seq, run.first)
            self._runs[hint.session] = hint
        if len(self._hints) >= MOST_WAITING and hint not in self._hints:
            return False
        self._hints[hint] = None
        return True

    def take(self, most: int) -> list[AnyHint]:
        """The oldest ones."""
        taken = list(self._hints)[:most]
        for hint in taken:
            del self._hints[hint]
            if isinstance(hint, Stored) and self._runs.get(hint.session) is hint:
                del self._runs[hint.session]
        return taken

    def clear(self) -> int:
        """Forget all; how many there were."""
        number = len(self._hints)
        self._hints.clear()
        self._runs.clear()
        return number


class Street:
    """Where buses in memory meet. A single process stands in one of its own."""

    def __init__(self) -> None:
        self.seats: list[MemoryBus] = []


class MemoryBus:
    """Implements :class:`Bus` between the seats of one :class:`Street`."""

    def __init__(
        self,
        street: Street,
        reactor: IReactorTime,
        *,
        epoch: str,
        origin: str,
        now: Callable[[], int],
    ) -> None:
        self._street, self._reactor, self._now = street, reactor, now
        self.epoch, self.origin = epoch, origin
        self.sent = self.received = self.dropped = 0
        self._gathered = Gathered()
        self._timer: IDelayedCall | None = None
        self._listener: Listener | None = None

    @property
    def up(self) -> bool:
        return self._listener is not None

    def tell(self, hint: AnyHint) -> None:
        if not self.up or len(self._street.seats) < 2:
            return
        if not self._gathered.add(hint):
            self.dropped += 1
        if self._timer is None:
            self._timer = self._reactor.callLater(0, self._flush)

    async def start(self, listener: Listener) -> None:
        self._listener = listener
        self._street.seats.append(self)
        listener.regained()

    async def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._listener is not None:
            self._listener = None
            self._street.seats.remove(self)

    def _flush(self) -> None:
        self._timer = None
        hints = self._gathered.take(MOST_WAITING)
        self.sent += len(hints)
        bundle = Bundle(self.epoch, self.origin, self._now(), hints)
        for seat in list(self._street.seats):
            if seat is not self:
                seat.take(bundle)

    def take(self, bundle: Bundle) -> None:
        """A bundle of another seat."""
        if self._listener is not None and bundle.epoch == self.epoch:
            self.received += len(bundle.hints)
            self._listener.hear(bundle)
