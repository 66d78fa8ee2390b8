"""The look for topics that wait too long, every half minute: told to webhooks, counted for metrics.

Wiring calls :func:`watch_overdue`, which starts it where the reply clock has a limit. Which topics
are overdue the clock says, and the database finds them; their events go the way of all others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from twisted.internet.defer import Deferred

from imd.actions.ports import Clock, House
from imd.config import Settings
from imd.domain.events import ALL, EventType
from imd.domain.reply_clock import ReplyClock
from imd.service.announcing import repeat
from imd.service.ordered import Steps
from imd.service.pushing import Pushing
from imd.storage.post_office import PostOffice
from imd.storage.store import Database

#: seconds between two looks
OVERDUE_SECONDS: Final = 30.0


class Office(Protocol):
    """Where waiting topics are found; bounds are ms of creation by session type."""

    def note_overdue(self, latest: Mapping[int, int]) -> Deferred[int]: ...

    def count_overdue(self, latest: Mapping[int, int]) -> Deferred[int]: ...


class Overdue:
    """``wake`` is called when endpoints are to be told; None where none wants to know."""

    def __init__(
        self, reply_clock: ReplyClock, clock: Clock, office: Office, wake: Callable[[], None] | None
    ) -> None:
        self._reply_clock, self._clock, self._office, self._wake = reply_clock, clock, office, wake
        #: how many topics are overdue, as of the last look
        self.number = 0

    async def look(self) -> None:
        """Tell of topics that became overdue, and count all that are."""
        latest = self._reply_clock.latest(self._clock.now())
        if self._wake is not None and await self._office.note_overdue(latest):
            self._wake()
        self.number = await self._office.count_overdue(latest)


def watch_overdue(
    settings: Settings,
    reactor: Any,
    steps: Steps,
    house: House,
    database: Database,
    pushing: Pushing | None,
) -> Overdue | None:
    """Start the look, where ``clock.*`` says what too long is (page 4.4)."""
    if not house.reply_clock:
        return None
    wanted = any({EventType.TOPIC_OVERDUE, ALL} & {*hook.events} for hook in settings.top.webhooks)
    wake = pushing.wake_heralds if pushing is not None and wanted else None
    overdue = Overdue(house.reply_clock, house.clock, PostOffice(database, house.clock), wake)
    repeat(steps, reactor, "overdue topics", OVERDUE_SECONDS, overdue.look)
    return overdue
