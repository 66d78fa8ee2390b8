"""The reply clock: how long a topic may wait for a doctor before it is overdue (page 4.4).

Lists and webhooks ask it from when a waiting topic must be to be overdue now. So nothing is stored
with a topic that a changed calendar would make wrong, and a query needs one bound a session type.
Pure; it is made of settings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from imd.domain.session_types import SESSION_TYPES
from imd.domain.working_time import Calendar


@dataclass(frozen=True, slots=True)
class ReplyClock:
    """Limits in ms by session type; a type without one is never overdue.

    Without a calendar all time counts.
    """

    limits: Mapping[int, int] = field(default_factory=dict)
    calendar: Calendar | None = None

    def __bool__(self) -> bool:
        """Whether anything can be overdue."""
        return bool(self.limits)

    def latest(self, now: int) -> dict[int, int]:
        """By session type, the last time of creation (ms) from which a topic is overdue now."""
        by_limit = {limit: self._latest(now, limit) for limit in set(self.limits.values())}
        found = {type_: by_limit[limit] for type_, limit in self.limits.items()}
        return {type_: time for type_, time in found.items() if time is not None}

    def _latest(self, now: int, limit: int) -> int | None:
        return now - limit if self.calendar is None else self.calendar.latest_start(now, limit)

    def due(self, session_type: int, create_time: int) -> int | None:
        """When (ms) a topic that nobody answers becomes overdue; None for never."""
        limit = self.limits.get(session_type)
        if limit is None:
            return None
        if self.calendar is None:
            return create_time + limit
        return self.calendar.reached(create_time, limit)


def limits_of(general: int, by_session_type: Mapping[int, int]) -> dict[int, int]:
    """The limits (ms) of all session types that hold topics; 0 is none."""
    wanted = {type_: general for type_, row in SESSION_TYPES.items() if row.topics}
    return {type_: limit for type_, limit in {**wanted, **by_session_type}.items() if limit > 0}
