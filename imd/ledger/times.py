"""Times of foreign databases as milliseconds since the epoch (pages 7.1 and 7.2).

A column's type tells what it holds: a date and time of the hospital's clock, an instant, or a
number. Pure; it knows no database.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any, Final
from zoneinfo import ZoneInfo

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS: Final = timedelta(milliseconds=1)
#: what a map may say of a column
UNITS: Final = ("ms", "s", "datetime")

Reader = Callable[[Any], int | None]


class NoTime(ValueError):
    """A text is no time."""


def zone_of(name: str) -> tzinfo:
    """The time zone of that name; NoTime when there is none."""
    try:
        return ZoneInfo(name)
    except (ValueError, KeyError, OSError):
        raise NoTime(f"{name!r} is no time zone; allowed: a name such as Asia/Shanghai") from None


def reader(kind: str, zone: tzinfo) -> Reader:
    """What makes milliseconds of a column's values.

    ``kind`` is "datetime" (the clock of ``zone``), "instant" (UTC), "number" or "ms", or "s".
    None for what is no time, such as MySQL's zero date.
    """
    place = UTC if kind == "instant" else zone
    factor = 1000 if kind == "s" else 1

    def read(value: Any) -> int | None:
        if type(value) is int:
            return value * factor
        if value is None or isinstance(value, bool):
            return None
        if isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        if isinstance(value, datetime):
            return moment(value, place)
        if isinstance(value, date):
            return moment(datetime(value.year, value.month, value.day), place)
        if isinstance(value, str):
            return _of_text(value, place, factor)
        try:
            return int(value * factor)
        except (TypeError, ValueError, OverflowError):
            return None

    return read


def moment(value: datetime, zone: tzinfo) -> int:
    """An aware or, on the clock of ``zone``, naive time in ms, rounded down."""
    if value.tzinfo is None:
        value = value.replace(tzinfo=zone)
    return (value - _EPOCH) // _MS


def _of_text(value: str, zone: tzinfo, factor: int) -> int | None:
    value = value.strip()
    if value.lstrip("-").isdecimal():
        return int(value) * factor
    try:
        return moment(datetime.fromisoformat(value), zone)
    except ValueError:
        return None


def parse_time(text: str, zone: tzinfo) -> int:
    """ms, an ISO date or an ISO date-time on the clock of ``zone``; NoTime for anything else."""
    read = _of_text(text, zone, 1)
    try:
        if read is not None:
            shown(read, zone)
            return read
    except OverflowError:
        pass  # no calendar goes so far, and no database
    raise NoTime(f"{text!r} is no time; allowed: 2026-11-24, 2026-11-24T08:00:00, or ms")


def shown(time: int, zone: tzinfo) -> datetime:
    """A time in ms as the clock of ``zone`` shows it, without a zone, as DATETIME columns want."""
    return (_EPOCH + timedelta(milliseconds=time)).astimezone(zone).replace(tzinfo=None)
