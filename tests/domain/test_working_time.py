"""Page 4.4, ``topic.overdue``: working time, against a recount of every minute."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imd.domain.working_time import (
    Calendar,
    holidays_of,
    make_up_days_of,
    week_of,
)

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SHANGHAI = ZoneInfo("Asia/Shanghai")
#: clocks that are put forward and back, one of them by half an hour, one with a zone of :45
ZONES = ("Asia/Shanghai", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe",
         "Asia/Kathmandu", "UTC")  # fmt: skip
BEGIN = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp()) * 1000
WEEK = week_of(["mon-fri 08:00-12:00 14:00-17:30", "sat 09:00-12:00"])


def ms(text: str, zone: ZoneInfo = SHANGHAI) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()) * 1000


class Recount:
    """The same rules, asked of every minute."""

    def __init__(self, week, zone, dates) -> None:
        self.week, self.zone, self.dates = week, zone, dates

    def works(self, minute: int) -> bool:
        local = (EPOCH + timedelta(milliseconds=minute)).astimezone(self.zone)
        spans = self.dates.get(local.date(), self.week.get(local.weekday(), ()))
        at = local.hour * 60 + local.minute
        return any(start <= at < end for start, end in spans)

    def worked(self, start: int, end: int) -> int:
        return sum(
            min(minute + MINUTE, end) - max(minute, start)
            for minute in range(start // MINUTE * MINUTE, end, MINUTE)
            if self.works(minute)
        )


@st.composite
def spans(draw):
    edges = sorted(draw(st.sets(st.integers(0, 48), max_size=6)))
    edges = [edge * 30 for edge in edges]
    return tuple(zip(edges[::2], edges[1::2], strict=False))


@st.composite
def calendars(draw):
    zone = ZoneInfo(draw(st.sampled_from(ZONES)))
    week = {day: draw(spans()) for day in range(7)}
    # Around the two changes of the clock in most zones of the year.
    days = st.integers(0, 340).map(lambda n: date(2026, 1, 1) + timedelta(days=n))
    dates = draw(st.dictionaries(days, spans(), max_size=5))
    return Calendar(week, zone, dates), Recount(week, zone, dates)


CHANGES = [
    ms(f"2026-{day}", ZoneInfo("UTC"))
    for day in ("03-07T12:00", "03-28T12:00", "04-04T02:00", "10-03T02:00", "10-24T12:00",
                "10-31T12:00")
]  # fmt: skip
starts = st.one_of(
    st.integers(BEGIN, BEGIN + 360 * DAY),
    st.builds(lambda at, more: at + more, st.sampled_from(CHANGES), st.integers(0, 2 * DAY)),
)


@settings(max_examples=150, deadline=None)
@given(calendars(), starts, st.integers(0, 3 * DAY))
def test_working_time_is_the_recount_of_every_minute(made, start, length) -> None:
    calendar, recount = made
    assert calendar.worked(start, start + length) == recount.worked(start, start + length)


@settings(max_examples=150, deadline=None)
@given(calendars(), starts, st.integers(1, 20 * HOUR))
def test_a_limit_is_reached_when_so_much_was_worked_and_not_a_moment_sooner(
    made, start, limit
) -> None:
    calendar, _ = made
    end = calendar.reached(start, limit)
    if end is None:
        assert calendar.worked(start, start + 60 * DAY) == 0
    else:
        assert calendar.worked(start, end) == limit
        assert calendar.worked(start, end - 1) == limit - 1


@settings(max_examples=150, deadline=None)
@given(calendars(), starts, st.integers(1, 20 * HOUR), st.integers(-2, 2))
def test_what_waits_since_the_latest_start_has_reached_the_limit_and_nothing_later(
    made, now, limit, off
) -> None:
    """So a bound on the time of creation asks the same as the due time of each topic."""
    calendar, _ = made
    latest = calendar.latest_start(now, limit)
    if latest is None:
        assert calendar.worked(now - 60 * DAY, now) == 0
        return
    assert calendar.worked(latest, now) == limit
    assert calendar.worked(latest + 1, now) == limit - 1
    due = calendar.reached(latest + off, limit)
    assert (due is not None and due <= now) == (off <= 0)


def test_long_times_are_sums_of_short_ones() -> None:
    calendar = Calendar(WEEK, SHANGHAI, {date(2026, 10, 1): ()})
    days = range(BEGIN, BEGIN + 400 * DAY, DAY)
    assert calendar.worked(BEGIN, BEGIN + 400 * DAY) == sum(
        calendar.worked(day, day + DAY) for day in days
    )


def test_the_night_a_holiday_and_a_make_up_day() -> None:
    holidays = dict.fromkeys(holidays_of(["2026-10-01..2026-10-07"]), ())
    calendar = Calendar(
        WEEK,
        SHANGHAI,
        holidays | make_up_days_of(["2026-10-10", "2026-10-11 09:00-12:00"], WEEK[0]),
    )
    # Wednesday evening; Thursday is a holiday, so is all of the week after.
    assert calendar.reached(ms("2026-09-30T17:00"), HOUR) == ms("2026-10-08T08:30")
    assert calendar.worked(ms("2026-10-09T17:30"), ms("2026-10-10T23:00")) == 7 * HOUR + HOUR // 2
    assert calendar.worked(ms("2026-10-11T00:00"), ms("2026-10-12T00:00")) == 3 * HOUR
    assert calendar.latest_start(ms("2026-10-08T08:30"), HOUR) == ms("2026-09-30T17:00")


def test_an_hour_that_the_clock_shows_twice_counts_twice_and_a_lost_one_not_at_all() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    calendar = Calendar(dict.fromkeys(range(7), ((60, 240),)), berlin)
    spring, autumn = ms("2026-03-29T00:00", berlin), ms("2026-10-25T00:00", berlin)
    assert calendar.worked(spring, spring + DAY) == 2 * HOUR
    assert calendar.worked(autumn, autumn + DAY) == 4 * HOUR


def test_a_date_that_is_shown_again_after_midnight_counts_on() -> None:
    """In St. John's the clock went back from 00:01 to 23:01 of the day before."""
    zone = ZoneInfo("America/St_Johns")
    calendar = Calendar({5: ((23 * 60, 24 * 60),)}, zone)  # the Saturday
    after = ms("2006-10-29T00:00:30", zone)
    assert calendar.worked(after, after + HOUR) == HOUR - MINUTE
    assert calendar.worked(after - 2 * HOUR, after + HOUR) == 2 * HOUR - MINUTE


def test_a_calendar_without_work_never_reaches_a_limit() -> None:
    calendar = Calendar({}, SHANGHAI, {date(2026, 1, 5): ((0, 60),)})
    assert calendar.reached(BEGIN, HOUR) == ms("2026-01-05T01:00")
    assert calendar.reached(BEGIN, HOUR + 1) is None
    assert calendar.latest_start(BEGIN + 30 * DAY, HOUR + 1) is None
    assert calendar.latest_start(5, 1) is None


@pytest.mark.parametrize("line", [
    "mon", "mon 8:00-12:00", "mon 12:00-08:00", "mon 08:00-08:00", "mon 22:00-06:00",
    "mon 08:00-12:00 11:00-13:00", "moon 08:00-12:00", "mon 08:00-24:30", "mon-fri", "",
    "fri 25:00-26:00",
])  # fmt: skip
def test_a_line_of_hours_that_is_none_is_named(line) -> None:
    with pytest.raises(ValueError, match="^" + line + "$"):
        week_of(["sat 09:00-12:00", line])


def test_hours_of_a_day_may_stand_on_several_lines_but_not_overlap() -> None:
    assert week_of(["sun 14:00-15:00", "sat-mon 08:00-12:00"]) == {
        6: ((480, 720), (840, 900)), 5: ((480, 720),), 0: ((480, 720),),
    }  # fmt: skip
    assert week_of(["mon 00:00-24:00"]) == {0: ((0, 1440),)}
    with pytest.raises(ValueError):
        week_of(["mon 08:00-12:00", "mon-tue 11:59-13:00"])


@pytest.mark.parametrize("line", ["2026-13-01", "2026-02-30", "2026-1-1", "2026-10-07..2026-10-01",
                                  "2026-01-01..2027-01-02", "tomorrow"])  # fmt: skip
def test_a_holiday_that_is_none_is_named(line) -> None:
    with pytest.raises(ValueError, match=line):
        holidays_of([line])


def test_a_make_up_day_stands_once() -> None:
    with pytest.raises(ValueError, match="2026-10-10 09:00"):
        make_up_days_of(["2026-10-10", "2026-10-10 09:00-10:00"], ())
