"""Page 4.4, ``topic.overdue``: from when a topic is overdue, by session type."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from imd.domain.reply_clock import ReplyClock, limits_of
from imd.domain.session_types import SESSION_TYPES
from imd.domain.working_time import Calendar, week_of

HOUR = 3_600_000
NOON = 1_799_985_600_000  # 2027-01-15, a Friday, 12:00 in Shanghai


def test_without_limits_nothing_is_overdue() -> None:
    assert not ReplyClock() and ReplyClock().latest(NOON) == {}
    assert ReplyClock().due(1, NOON) is None


def test_all_session_types_with_topics_have_the_general_limit_unless_they_have_their_own() -> None:
    limits = limits_of(HOUR, {9: 2 * HOUR, 11: 0})
    assert limits.keys() == {t for t, row in SESSION_TYPES.items() if row.topics} - {11}
    assert (limits[1], limits[9]) == (HOUR, 2 * HOUR)
    assert limits_of(0, {9: HOUR}) == {9: HOUR}


def test_without_a_calendar_all_time_counts() -> None:
    clock = ReplyClock({1: HOUR, 9: 2 * HOUR})
    assert clock.latest(NOON) == {1: NOON - HOUR, 9: NOON - 2 * HOUR}
    assert clock.due(9, NOON) == NOON + 2 * HOUR


def test_with_a_calendar_only_working_time_counts() -> None:
    calendar = Calendar(week_of(["mon-fri 08:00-12:00 14:00-18:00"]), ZoneInfo("Asia/Shanghai"))
    clock = ReplyClock({1: HOUR, 9: 5 * HOUR}, calendar)
    assert clock.latest(NOON) == {1: NOON - HOUR, 9: NOON - 19 * HOUR}
    assert clock.due(1, NOON - HOUR) == NOON
    assert clock.due(1, NOON) == NOON + 3 * HOUR
