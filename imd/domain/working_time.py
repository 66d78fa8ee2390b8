"""Working time: the hours of a week, holidays and make-up days, counted to the millisecond.

The reply clock asks it how long somebody had time to answer, and since when somebody must have
waited for a limit to be reached; settings make it of their lines. Pure: it knows neither topics
nor the time of day. A span is all instants at which the clock on the wall shows a time in it, also
where that clock is put forward or back.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Final, NamedTuple

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY: Final = 86_400_000
_MINUTE: Final = 60_000
#: ms on both sides of a date in which the clock may have been changed: no zone is farther from UTC
_AROUND: Final = 15 * 3_600_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST: Final = date(1970, 1, 1)
_MS: Final = timedelta(milliseconds=1)
#: days whose spans are kept; a limit looks at the same few
_KEPT: Final = 4_000
#: the last day that is asked for; a calendar ends before the years do
_LAST_DAY: Final = 100_000
#: days without work after which nothing more is expected; no hospital rests for two years
_IDLE: Final = 800

#: minutes of the local day, ``start`` inclusive, ``end`` exclusive
Span = tuple[int, int]
Spans = tuple[Span, ...]
#: [start, end) in ms
Piece = tuple[int, int]


class _Day(NamedTuple):
    pieces: tuple[Piece, ...]
    total: int


class Calendar:
    """When work is done: spans by weekday (0 is Monday), other spans on single dates.

    All times are ms since the epoch. ``zone`` is the clock on the wall.
    """

    def __init__(
        self, week: Mapping[int, Spans], zone: tzinfo, dates: Mapping[date, Spans] | None = None
    ) -> None:
        self._zone = zone
        self._week = [week.get(day, ()) for day in range(7)]
        self._dates = {(day - _FIRST).days: spans for day, spans in (dates or {}).items()}
        self._days: dict[int, _Day] = {}

    def worked(self, start: int, end: int) -> int:
        """The working ms in [start, end)."""
        if end <= start:
            return 0
        total = 0
        first, last = self._local_day(start), self._local_day(end)
        # A clock that is put back at midnight shows a date again: look at the neighbours too.
        for number in range(first - 1, last + 2):
            pieces, whole = self._day(number)
            if first + 1 < number < last - 1:
                total += whole
            else:
                total += sum(max(0, min(b, end) - max(a, start)) for a, b in pieces)
        return total

    def reached(self, start: int, limit: int) -> int | None:
        """The first instant at which ``limit`` ms of work have passed since ``start``.

        None when so much is not worked any more.
        """
        left = limit
        for a, b in self._after(start):
            if b - a >= left:
                return a + left
            left -= b - a
        return None

    def latest_start(self, now: int, limit: int) -> int | None:
        """The last instant from which ``limit`` ms (above 0) of work have passed at ``now``.

        Whatever waits from then or earlier has reached the limit; whatever came later has not.
        None when not so much work was ever done.
        """
        left = limit
        for a, b in self._before(now):
            if b - a >= left:
                return b - left
            left -= b - a
        return None

    # ---- pieces of work in order

    def _after(self, start: int) -> Iterator[Piece]:
        day = first = self._local_day(start) - 1
        while day - first < _IDLE and day < _LAST_DAY:
            for a, b in self._day(day).pieces:
                if b > start:
                    first = day
                    yield max(a, start), b
            day += 1

    def _before(self, end: int) -> Iterator[Piece]:
        day = last = self._local_day(end) + 1
        while last - day < _IDLE and day >= -1:
            for a, b in reversed(self._day(day).pieces):
                if a < end:
                    last = day
                    yield a, min(b, end)
            day -= 1

    # ---- one day

    def _local_day(self, time: int) -> int:
        return (time + self._offset(time)) // _DAY

    def _offset(self, time: int) -> int:
        """What the clock on the wall is ahead of UTC."""
        moment = (_EPOCH + timedelta(milliseconds=time)).astimezone(self._zone)
        return (moment.utcoffset() or timedelta()) // _MS

    def _day(self, number: int) -> _Day:
        found = self._days.get(number)
        if found is None:
            if len(self._days) >= _KEPT:
                self._days.clear()
            found = self._days[number] = self._made(number)
        return found

    def _made(self, number: int) -> _Day:
        """The pieces of the local date that is ``number`` days after 1970-01-01."""
        spans = self._dates.get(number)
        if spans is None:
            spans = self._week[(number + 3) % 7]
        if not spans:
            return _Day((), 0)
        midnight = number * _DAY
        pieces = sorted(self._pieces(midnight, spans))
        return _Day(tuple(pieces), sum(b - a for a, b in pieces))

    def _pieces(self, midnight: int, spans: Spans) -> Iterator[Piece]:
        low, high = midnight - _AROUND, midnight + _DAY + _AROUND
        before, after = self._offset(low), self._offset(high)
        if before == after:
            for start, end in spans:
                yield midnight + start * _MINUTE - before, midnight + end * _MINUTE - before
            return
        while high - low > 1:
            middle = (low + high) // 2
            if self._offset(middle) == before:
                low = middle
            else:
                high = middle
        for start, end in spans:
            a, b = midnight + start * _MINUTE, midnight + end * _MINUTE
            if a - before < min(b - before, high):
                yield a - before, min(b - before, high)
            if max(a - after, high) < b - after:
                yield max(a - after, high), b - after


# ---- as settings write it

_SPAN: Final = r"(?:[01]\d|2[0-3]):[0-5]\d-(?:(?:[01]\d|2[0-3]):[0-5]\d|24:00)"
_SPANS: Final = rf"{_SPAN}(?: {_SPAN})*"
_DAY_NAME: Final = f"(?:{'|'.join(DAYS)})"
_HOURS: Final = re.compile(rf"({_DAY_NAME})(?:-({_DAY_NAME}))? ({_SPANS})")
_DATE: Final = r"(\d{4}-\d\d-\d\d)"
_HOLIDAY: Final = re.compile(rf"{_DATE}(?:\.\.{_DATE})?")
_MADE_UP: Final = re.compile(rf"{_DATE}(?: ({_SPANS}))?")
#: days that one line of holidays may name
_LONGEST: Final = 366


def week_of(lines: Iterable[str]) -> dict[int, Spans]:
    """The hours of a week: ``"mon-fri 08:00-12:00 14:00-17:30"``.

    Raises ValueError with the line that is none, or whose spans overlap with others.
    """
    week: dict[int, Spans] = {}
    for line in lines:
        found = _HOURS.fullmatch(line.strip())
        if found is None:
            raise ValueError(line)
        first = DAYS.index(found[1])
        days = 1 + ((DAYS.index(found[2]) - first) % 7 if found[2] else 0)
        for day in ((first + n) % 7 for n in range(days)):
            week[day] = _spans(found[3], line, week.get(day, ()))
    return week


def holidays_of(lines: Iterable[str]) -> set[date]:
    """Days without work: ``"2026-10-01..2026-10-07"`` or ``"2027-01-01"``.

    Raises ValueError with the line that is none.
    """
    days: set[date] = set()
    for line in lines:
        found = _HOLIDAY.fullmatch(line.strip())
        if found is None:
            raise ValueError(line)
        first, last = _date(found[1], line), _date(found[2] or found[1], line)
        if not 0 <= (last - first).days < _LONGEST:
            raise ValueError(line)
        days.update(first + timedelta(days=n) for n in range((last - first).days + 1))
    return days


def make_up_days_of(lines: Iterable[str], usual: Spans) -> dict[date, Spans]:
    """Days with work that would have none: ``"2026-10-10"`` with the ``usual`` hours, or with
    hours of its own, ``"2026-10-11 09:00-12:00"``.

    Raises ValueError with the line that is none.
    """
    days: dict[date, Spans] = {}
    for line in lines:
        found = _MADE_UP.fullmatch(line.strip())
        if found is None or _date(found[1], line) in days:
            raise ValueError(line)
        days[_date(found[1], line)] = _spans(found[2], line) if found[2] else usual
    return days


def _date(text: str, line: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError(line) from None


def _spans(text: str, line: str, also: Spans = ()) -> Spans:
    spans = list(also)
    for part in text.split():
        start, end = (int(time[:2]) * 60 + int(time[3:]) for time in part.split("-"))
        spans.append((start, end))
    spans.sort()
    ends = [0, *(end for _, end in spans)]
    in_order = (before <= start < end for (start, end), before in zip(spans, ends, strict=False))
    if not all(in_order):
        raise ValueError(line)
    return tuple(spans)
