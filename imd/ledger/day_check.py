"""Whether the sums of days are what a recount of each consult gives (page 7.3).

``imdctl stats check`` asks. The recount goes over topics page by page, as statistics without sums
do, so nothing of the way that made a sum is used to judge it. A day with a change waiting is not
judged: statistics do not use its sum either.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any, Final, NamedTuple

from imd.actions.consults import ConsultBook
from imd.domain.consult_days import DaySum, begin_of, day_of
from imd.domain.topic import state_of

_STRIDE: Final = 500
#: looks at a day that differs, before it is believed: a consult may change between two reads
_LOOKS: Final = 3
_Group = tuple[str | None, str | None, int | None]
#: the numbers of the states in their order, and the times to the first reply
_Figures = tuple[tuple[int, ...], tuple[int, ...]]
_STATES: Final = ("replied", "unreplied", "ongoing", "expired")


class Difference(NamedTuple):
    """What is summed up and what was counted of a group; None where there is nothing."""

    day: int
    team_code: str | None
    doctor: str | None
    type: int | None
    summed: list[Any] | None
    counted: list[Any] | None


class Checked(NamedTuple):
    """How many days were compared, how many count from topics anyway, and what differs."""

    days: int
    waiting: int
    differences: list[Difference]


def check_days(book: ConsultBook, since: int, until: int) -> Checked:
    """Compare the sums of all days that touch [since, until) (ms)."""
    day, last = day_of(since), day_of(until - 1) + 1
    days = waiting = 0
    differences: list[Difference] = []
    while day < last:
        found = book.summed(day, last)
        missing = {n for start, end in found.missing for n in range(start, end)}
        waiting += len(missing)
        summed, counted = _by_day(found.rows), {}
        if len(missing) < found.upto - day:
            counted = _count(book, day, found.upto)
        for number in sorted({*summed, *counted} - missing):
            days += 1
            if summed.get(number) != counted.get(number):
                differences += _differences(book, number)
        day = found.upto
    return Checked(days, waiting, differences)


def _differences(book: ConsultBook, day: int) -> list[Difference]:
    """What differs on a day that seemed to."""
    summed: dict[_Group, _Figures] = {}
    counted: dict[_Group, _Figures] = {}
    for _ in range(_LOOKS):
        counted = _count(book, day, day + 1).get(day, {})
        again = book.summed(day, day + 1)
        if again.missing:
            return []  # it has changed meanwhile, and counts from topics now
        summed = _by_day(again.rows).get(day, {})
        if counted == summed:
            return []
    return [
        Difference(day, *group, _shown(summed.get(group)), _shown(counted.get(group)))
        for group in sorted({*summed, *counted}, key=repr)
        if summed.get(group) != counted.get(group)
    ]


def _by_day(rows: list[DaySum]) -> dict[int, dict[_Group, _Figures]]:
    found: dict[int, dict[_Group, _Figures]] = defaultdict(dict)
    for row in rows:
        group = (row.team_code, row.doctor, row.type)
        numbers = tuple(getattr(row, state) for state in _STATES)
        former, waits = found[row.day].get(group, ((0,) * len(_STATES), ()))
        added = tuple(a + b for a, b in zip(former, numbers, strict=True))
        found[row.day][group] = added, tuple(sorted((*waits, *row.waits)))
    return found


def _count(book: ConsultBook, first: int, last: int) -> dict[int, dict[_Group, _Figures]]:
    states: dict[tuple[int, _Group], dict[str, int]] = {}
    waits: dict[tuple[int, _Group], list[int]] = defaultdict(list)
    after: tuple[int, str] | None = None
    while page := book.page(begin_of(first), begin_of(last), after, _STRIDE):
        for consult in page:
            group = (consult.team_code, consult.reply_by, consult.type)
            place = day_of(consult.create_time), group
            numbers = states.setdefault(place, dict.fromkeys(_STATES, 0))
            numbers[state_of(consult.status, consult.reply)] += 1
            if consult.reply and consult.reply_time is not None:
                waits[place].append(consult.reply_time - consult.create_time)
        after = (page[-1].create_time, page[-1].code)
    found: dict[int, dict[_Group, _Figures]] = defaultdict(dict)
    for (day, group), numbers in states.items():
        found[day][group] = tuple(numbers.values()), tuple(sorted(waits[day, group]))
    return found


def _shown(figures: _Figures | None) -> list[Any] | None:
    return None if figures is None else [*figures[0], list(figures[1])]
