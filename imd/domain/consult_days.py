"""The days by which consults are summed up (page 7.3): China's, whatever clock anybody else has.

Storage sums up, the ledger room counts from the sums. A window that ends elsewhere is counted from
topics at its ends, so the choice costs time, never truth.
"""

from __future__ import annotations

from typing import Final, NamedTuple

DAY_MS: Final = 86_400_000
#: China's time less UTC: it has one time and no summer time
AHEAD_MS: Final = 28_800_000


class DaySum(NamedTuple):
    """The consults of one day, team, answering doctor and type, by state; ``waits`` are the times
    to the first reply in ms."""

    day: int
    team_code: str | None
    doctor: str | None
    type: int | None
    replied: int
    unreplied: int
    ongoing: int
    expired: int
    waits: tuple[int, ...]


class Summed(NamedTuple):
    """What is known of the days before ``upto``; those of ``missing``, in ranges whose end is
    exclusive, must be counted."""

    rows: list[DaySum]
    missing: list[tuple[int, int]]
    upto: int


def day_of(time: int) -> int:
    """The number of the day that holds a time (ms)."""
    return (time + AHEAD_MS) // DAY_MS


def first_day_from(time: int) -> int:
    """The first day that begins at or after a time (ms)."""
    return -((-time - AHEAD_MS) // DAY_MS)


def begin_of(day: int) -> int:
    """When a day begins (ms)."""
    return day * DAY_MS - AHEAD_MS
