"""What the settings of the reply clock must hold together, and the clock that they describe.

:mod:`imd.config.checks` calls :func:`check_clock`; service and cli build their clock with
:func:`clock_of`. It knows the rules of :mod:`imd.domain.working_time` by its errors only.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from zoneinfo import ZoneInfo

from imd.config.clock_settings import ClockSettings
from imd.domain.reply_clock import ReplyClock, limits_of
from imd.domain.session_types import SESSION_TYPES
from imd.domain.working_time import DAYS, Calendar, Spans, holidays_of, make_up_days_of, week_of

Problem = tuple[str, str]
_HOURS = (
    f"DAY[-DAY] HH:MM-HH:MM [HH:MM-HH:MM ...], DAY one of {', '.join(DAYS)}; no span overlaps"
    " another or passes midnight (24:00 is its end)"
)
_HOLIDAYS = "YYYY-MM-DD, or YYYY-MM-DD..YYYY-MM-DD for up to 366 days"
_MAKE_UP = "each date once: YYYY-MM-DD (Monday's hours), or YYYY-MM-DD HH:MM-HH:MM ..."


def check_clock(clock: ClockSettings) -> Iterator[Problem]:
    """The problems of the section ``clock``."""
    try:
        ZoneInfo(clock.timezone)
    except (ValueError, KeyError, OSError):
        yield "clock.timezone", "is no time zone; allowed: a name such as Asia/Shanghai"
    yield from _limits(clock)
    week: dict[int, Spans] = {}
    try:
        week = week_of(clock.hours)
    except ValueError as error:
        yield "clock.hours", f"holds {str(error)!r}; allowed: {_HOURS}"
    holidays: set[date] = set()
    try:
        holidays = holidays_of(clock.holidays)
    except ValueError as error:
        yield "clock.holidays", f"holds {str(error)!r}; allowed: {_HOLIDAYS}"
    yield from _make_up_days(clock, week, holidays)
    if not clock.hours:
        for name in ("holidays", "make_up_days"):
            if getattr(clock, name):
                yield f"clock.{name}", "changes nothing: without clock.hours all time counts"


def _limits(clock: ClockSettings) -> Iterator[Problem]:
    holding = [str(int(type_)) for type_, row in SESSION_TYPES.items() if row.topics]
    for type_ in clock.by_session_type:
        if type_ not in holding:
            allowed = f"session types with topics, {', '.join(holding)}"
            yield "clock.by_session_type", f"holds {type_!r}; allowed: {allowed}"


def _make_up_days(
    clock: ClockSettings, week: dict[int, Spans], holidays: set[date]
) -> Iterator[Problem]:
    try:
        days = make_up_days_of(clock.make_up_days, week.get(0, ()))
    except ValueError as error:
        yield "clock.make_up_days", f"holds {str(error)!r}; allowed: {_MAKE_UP}"
        return
    for day, spans in days.items():
        if not spans and week:
            yield (
                "clock.make_up_days",
                f"holds {day}, and Monday has no hours; allowed: a date with hours of its own",
            )
        if day in holidays:
            yield "clock.make_up_days", f"holds {day}, which clock.holidays holds too; allowed: one"


def clock_of(clock: ClockSettings) -> ReplyClock:
    """The reply clock of settings that were checked."""
    limits = limits_of(
        round(clock.limit * 1000),
        {int(type_): round(limit * 1000) for type_, limit in clock.by_session_type.items()},
    )
    return ReplyClock(limits, calendar_of(clock))


def calendar_of(clock: ClockSettings) -> Calendar | None:
    """The calendar of settings that were checked; None where all time counts."""
    week = week_of(clock.hours)
    if not week:
        return None
    dates: dict[date, Spans] = dict.fromkeys(holidays_of(clock.holidays), ())
    dates |= make_up_days_of(clock.make_up_days, week.get(0, ()))
    return Calendar(week, ZoneInfo(clock.timezone), dates)
