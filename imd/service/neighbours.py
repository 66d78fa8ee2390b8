"""The other processes on the same database: the bus to them, presence over all, the sweep (4.3).

:mod:`imd.service.wiring` makes them before the courier, and lets them join when the rest stands.
Without ``bus.url`` this process is alone, and nothing of this runs. It holds no rule but the order.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from random import Random
from typing import Any, Final

from imd.actions.ports import Clock, Database, Presence
from imd.config.settings import BusSettings
from imd.delivery.attendance import Judge, LocalJudge
from imd.delivery.bus import Bus, MemoryBus, Street
from imd.delivery.courier import Courier
from imd.delivery.hearing import Hearing
from imd.delivery.presence import LocalPresence
from imd.delivery.registry import Registry
from imd.delivery.sweep import Sweep
from imd.service.metrics import BusSources, Metrics
from imd.service.ordered import Steps

#: seconds that a step of leaving may take
_LEAVING: Final = 0.5
_AT_ONCE: Final = 0.2


class Alone:
    """There is no other process."""

    def __init__(self, reactor: Any, clock: Clock, db: Database, registry: Registry) -> None:
        self.bus: Bus = MemoryBus(Street(), reactor, epoch=db.epoch, origin="alone", now=clock.now)
        self.presence: Presence = LocalPresence(registry)
        self.judge: Judge = LocalJudge()

    async def join(self, steps: Steps, courier: Courier, revoked: Callable[[], object]) -> None:
        """Nobody is there."""

    def degraded(self) -> list[str]:
        """What does less than it should at present (page 4.6)."""
        return []

    def measure(self, metrics: Metrics) -> None:
        """There is nothing to measure."""


class Neighbours(Alone):
    """There may be others, which meet in the Redis of ``bus.url``."""

    def __init__(
        self, bus: BusSettings, reactor: Any, clock: Clock, db: Database, registry: Registry
    ) -> None:
        # Here and not above: who has no Redis needs no library for it.
        from imd.delivery.redis_attendance import RedisJudge
        from imd.delivery.redis_bus import RedisBus
        from imd.delivery.redis_line import Line, place_of
        from imd.delivery.redis_presence import RedisPresence

        self._every, self._reactor, self._clock, self._db = bus.sweep, reactor, clock, db
        place, random, origin = place_of(bus.url, bus.password, reactor), Random(), origin_of()
        self._line = Line(place, reactor, random)
        self.bus = self._redis = RedisBus(
            self._line,
            lambda prepare, heard: Line(place, reactor, random, prepare, heard),
            epoch=db.epoch,
            origin=origin,
            now=clock.now,
        )
        self.presence = self._presence = RedisPresence(
            self._line, registry, epoch=db.epoch, origin=origin
        )
        self.judge = RedisJudge(self._presence, reactor, epoch=db.epoch, origin=origin)
        self._sweep: Sweep | None = None

    async def join(self, steps: Steps, courier: Courier, revoked: Callable[[], object]) -> None:
        """Hear and be heard from now on; without Redis the sweep has to do until it is there.

        ``revoked`` is called when another process revoked a token.
        """
        reactor, now = self._reactor, self._clock.now
        sweep = self._sweep = Sweep(
            self._db, courier, reactor, now, lambda: self._redis.up, self._every
        )
        hearing = Hearing(self._db, courier, sweep, reactor, now, revoked)
        self._line.start()
        steps.add("connection to Redis", self._line.stop, _AT_ONCE)
        self._presence.start()
        steps.add("presence", self._presence.stop, _LEAVING)
        sweep.start()
        steps.add("sweep", sweep.stop, _AT_ONCE)
        steps.add("hearing", hearing.stop, _AT_ONCE)
        steps.add("bus", self._redis.stop, _AT_ONCE)
        await self._redis.start(hearing)

    def degraded(self) -> list[str]:
        return [] if self._redis.up else ["bus"]

    def measure(self, metrics: Metrics) -> None:
        """Say where the numbers of page 5.4 stand."""
        bus, sweep = self._redis, self._sweep
        bus.took = metrics.hinted
        metrics.sources.bus = BusSources(
            up=lambda: bus.up,
            sent=lambda: bus.sent,
            received=lambda: bus.received,
            dropped=lambda: bus.dropped,
            swept=lambda: sweep.found if sweep is not None else 0,
        )


def neighbours_of(
    bus: BusSettings, reactor: Any, clock: Clock, db: Database, registry: Registry
) -> Alone:
    """What ``bus.url`` says: the others, or that there are none."""
    if bus.url:
        return Neighbours(bus, reactor, clock, db, registry)
    return Alone(reactor, clock, db, registry)


def origin_of() -> str:
    """A name of this process that no other has had."""
    return os.urandom(8).hex()
