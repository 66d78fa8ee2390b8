"""The look for topics that wait too long (page 4.4), and what a server lives on (page 5.4)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest_twisted
from twisted.internet.defer import Deferred, succeed

from imd.domain.errors import Unavailable
from imd.domain.reply_clock import ReplyClock
from imd.service.metrics import Metrics, Sources
from imd.service.overdue import Overdue
from imd.service.sums import Together, told
from imd.service.vitals import Vitals

CLOCK = ReplyClock({9: 1_000})


class Now:
    time = 10_000

    def now(self) -> int:
        return self.time


class Office:
    """Three wait; one of them was told of."""

    def __init__(self) -> None:
        self.asked: list[Mapping[int, int]] = []
        self.new = 2

    def note_overdue(self, latest: Mapping[int, int]) -> Deferred[int]:
        self.asked.append(latest)
        new, self.new = self.new, 0
        return succeed(new)

    def count_overdue(self, latest: Mapping[int, int]) -> Deferred[int]:
        return succeed(3)


@pytest_twisted.ensureDeferred
async def test_what_is_new_wakes_the_heralds_and_all_are_counted() -> None:
    office, woken = Office(), []
    overdue = Overdue(CLOCK, Now(), office, lambda: woken.append(1))
    await overdue.look()
    await overdue.look()
    assert office.asked == [{9: 9_000}] * 2 and woken == [1]
    assert overdue.number == 3


@pytest_twisted.ensureDeferred
async def test_where_no_endpoint_wants_to_know_nobody_is_marked_as_told() -> None:
    office = Office()
    overdue = Overdue(CLOCK, Now(), office, None)
    await overdue.look()
    assert office.asked == [] and overdue.number == 3


def families(number: int, good: bool) -> Any:
    metrics = Metrics()
    vitals = Vitals({"database": cast("Any", None)}, Path("/"))
    vitals.ready["database"] = good
    overdue = Overdue(CLOCK, Now(), Office(), None)
    overdue.number = number
    metrics.watch(
        Sources(overdue=overdue, vitals=vitals, ledgers=lambda: {"fields_differ": number})
    )
    return told(metrics.registry.collect())


def test_of_several_workers_the_figures_of_the_whole_are_not_added_up() -> None:
    together = Together()
    together.add(families(3, True), 1)
    together.add(families(4, False), 2)
    found = {s.name: s.value for family in together.collect() for s in family.samples}
    assert found["imd_topics_overdue"] == found["imd_reconcile_differences"] == 4
    assert found["imd_ready"] == 0 and found["imd_state_free_bytes"] > 0
    assert found["imd_state_free_bytes"] < 2**63


@pytest_twisted.ensureDeferred
async def test_a_check_that_fails_is_not_ready_until_it_is_good_again(tmp_path: Path) -> None:
    answers: list[bool | Exception] = [Unavailable(), True, False]

    async def check() -> bool:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    vitals, seen = Vitals({"database": check}, tmp_path), []
    for _ in range(3):
        await vitals.look()
        seen.append(vitals.ready["database"])
    assert seen == [False, True, False]
    assert Vitals({}, tmp_path / "none").free_bytes() is None
