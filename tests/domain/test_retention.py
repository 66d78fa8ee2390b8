"""What of a log may go: its beginning, and only whole consults (retention)."""

from __future__ import annotations

import random
from datetime import UTC, datetime

import pytest

from imd.domain.retention import (
    LEAST_YEARS,
    YEAR,
    Consult,
    Limit,
    Portion,
    RecordClass,
    Terms,
    part,
    portion,
)

OLD, NEW, CUT = 10, 90, 50


def consult(id_: str, first: int | None, last: int | None, time: int = OLD, live: bool = False):
    return Consult(id_, live, first, last, time)


def test_what_nobody_named_is_kept_for_ever() -> None:
    terms = Terms({RecordClass.PROCESS: 3}, {1: RecordClass.PROCESS, 2: RecordClass.FOREVER})
    assert terms.limit(1, 10 * YEAR) == Limit(7 * YEAR, by_patient=False)
    assert terms.limit(2, 10 * YEAR) is None
    assert terms.limit(3, 10 * YEAR) is None
    assert not terms.delete_nothing
    assert Terms(LEAST_YEARS, {2: RecordClass.FOREVER}).delete_nothing


@pytest.mark.parametrize("years", LEAST_YEARS.values())
def test_no_leap_year_makes_a_period_shorter(years) -> None:
    for year in range(2020, 2060):
        end = datetime(year, 3, 1, tzinfo=UTC).timestamp() * 1000
        begin = datetime(year - years, 3, 1, tzinfo=UTC).timestamp() * 1000
        assert end - years * YEAR < begin


def test_messages_outside_consults_go_up_to_the_cutoff() -> None:
    assert portion(1, 7, [], CUT) == Portion(1, 7, ())
    assert not portion(5, 4, [], CUT)


def test_a_consult_goes_whole_or_stays_whole() -> None:
    both = [consult("a", 1, 3), consult("b", 5, 8)]
    assert portion(1, 8, both, CUT) == Portion(1, 8, ("a", "b"))
    assert portion(1, 7, both, CUT) == Portion(1, 4, ("a",))
    assert portion(1, 2, both, CUT) == Portion(1, 0, ())


def test_a_live_consult_stays_however_old() -> None:
    assert portion(1, 9, [consult("a", 3, None, live=True)], CUT) == Portion(1, 2, ())
    assert not portion(1, 9, [consult("a", 1, 9, live=True)], CUT)


def test_a_consult_that_ended_after_the_cutoff_stays() -> None:
    assert portion(1, 9, [consult("a", 3, 6, time=NEW)], CUT) == Portion(1, 2, ())


def test_a_consult_that_another_cuts_in_two_stays_too() -> None:
    some = [consult("a", 2, 6), consult("b", 5, None, live=True)]
    assert portion(1, 9, some, CUT) == Portion(1, 1, ())


def test_a_consult_without_messages_goes_by_its_time() -> None:
    some = [consult("a", None, None), consult("b", None, None, time=NEW),
            consult("c", None, None, live=True)]  # fmt: skip
    assert portion(4, 3, some, CUT) == Portion(4, 3, ("a",))


def test_a_part_ends_where_a_consult_ends() -> None:
    some = [consult("a", 1, 4), consult("b", 6, 9), consult("c", None, None)]
    whole = portion(1, 20, some, CUT)
    assert part(whole, some, 100) == whole
    assert part(whole, some, 7) == Portion(1, 5, ("a", "c"))
    assert part(whole, some, 9) == Portion(1, 9, ("a", "b", "c"))


def test_a_consult_longer_than_a_part_goes_in_several() -> None:
    some = [consult("a", 1, 50)]
    assert part(portion(1, 60, some, CUT), some, 10) == Portion(1, 10, ("a",))


@pytest.mark.parametrize("seed", range(200))
def test_parts_are_the_whole_and_nothing_that_stays_is_touched(seed) -> None:
    chance = random.Random(seed)
    consults: list[Consult] = []
    seq = chance.randrange(1, 4)
    while seq < 60 and len(consults) < 8:
        last = seq + chance.randrange(12)
        time = chance.choice((OLD, OLD, NEW))
        consults.append(consult(f"t{seq}", seq, last, time, live=chance.random() < 0.1))
        seq = last + chance.randrange(1, 5)
    boundary = chance.randrange(70)
    whole = portion(1, boundary, consults, CUT)
    assert whole.upto <= boundary
    for one in consults:
        goes = one.id in whole.topics
        assert goes == (not one.stays(boundary, CUT) and (one.last or 0) <= whole.upto)
        assert goes or (one.first or 0) > whole.upto
    left, gone, topics = whole, 0, set[str]()
    while left:
        first = part(left, consults, 5)
        assert 0 < first.messages <= 5 or not left.messages
        gone, topics = gone + first.messages, topics | set(first.topics)
        rest = [c for c in consults if c.id not in topics]
        left = portion(first.upto + 1, boundary, rest, CUT)
    assert (gone, topics) == (whole.messages, set(whole.topics))
