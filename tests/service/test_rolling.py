"""A roll, and everything that may happen during one (page 4.6, SIGHUP)."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred

from imd.config import SettingsError
from imd.service.crew import START_LIMIT, Crew
from imd.service.notify import Systemd
from imd.service.rolling import Rolling
from tests.service.fakes import Recorded
from tests.service.forge import Forge, Process, crew_of


class Roll:
    """Two workers that serve, and a SIGHUP at hand."""

    def __init__(self) -> None:
        self.forge = Forge()
        self.crew: Crew = crew_of(self.forge)
        for number in (1, 2):
            Deferred.fromCoroutine(self.crew.enlist(number))
            self.forge.advance(0)
        self.first = list(self.forge.made)
        self.problems: list[str] = []
        self.prepared = 0
        self.rolling = Rolling(self.crew, 2, self._prepare, Systemd({}))
        self.forge.ready = False

    def _prepare(self) -> None:
        if self.problems:
            raise SettingsError(self.problems)
        self.prepared += 1

    def go(self) -> None:
        for _ in range(20):
            self.forge.advance(0)

    @property
    def alive(self) -> list[int]:
        return sorted(process.number for process in self.forge.alive)

    @property
    def fresh(self) -> list[Process]:
        return [process for process in self.forge.alive if process not in self.first]


@pytest.fixture
def roll() -> Roll:
    return Roll()


def test_the_next_is_touched_when_the_fresh_one_serves_and_the_old_one_has_gone(roll: Roll):
    old = roll.first[0]
    old.obeys = False
    roll.rolling.begin()
    assert roll.alive == [1, 1, 2] and old.signals == []
    roll.fresh[0].say("ready")
    assert old.signals == ["TERM"] and roll.alive == [1, 1, 2]
    old.die(0)
    assert roll.alive == [1, 2, 2] and roll.first[1].signals == []
    roll.fresh[1].say("ready")
    assert roll.alive == [1, 2] and not any(process.alive for process in roll.first)
    assert [link.number for link in roll.crew.serving] == [1, 2]


def test_settings_that_cannot_be_used_are_logged_and_change_nothing(roll: Roll):
    roll.problems = ["http.drain: -1"]
    with Recorded() as events:
        roll.rolling.begin()
    assert [event["problem"] for event in events] == ["http.drain: -1"]
    assert roll.fresh == [] and roll.alive == [1, 2]
    roll.problems = []
    roll.rolling.begin()
    assert roll.alive == [1, 1, 2]


def test_a_fresh_worker_that_cannot_start_ends_the_roll_and_the_old_ones_stay(roll: Roll):
    with Recorded() as events:
        roll.rolling.begin()
        roll.fresh[0].say("failed", lines=["cannot connect"], cause="world")
        roll.fresh[0].die()
    assert "cannot connect" in [event.get("reason") for event in events]
    roll.forge.advance(100)
    assert roll.alive == [1, 2] and roll.fresh == [] and roll.first[0].signals == []


def test_a_fresh_worker_that_is_never_ready_is_killed_and_the_old_ones_stay(roll: Roll):
    roll.rolling.begin()
    late = roll.fresh[0]
    roll.forge.advance(START_LIMIT + 1)
    assert late.signals == ["KILL"]
    roll.forge.advance(100)
    assert roll.alive == [1, 2] and roll.first[0].signals == []


def test_an_old_worker_that_dies_meanwhile_is_replaced_all_the_same(roll: Roll):
    roll.rolling.begin()
    fresh = roll.fresh[0]
    roll.first[0].kill()
    roll.forge.advance(0.2)
    fresh.say("ready")
    roll.go()
    assert [link.pid for link in roll.crew.serving if link.number == 1] == [fresh.pid]
    roll.fresh[-1].say("ready")
    roll.go()
    assert roll.alive == [1, 2]
    roll.forge.advance(100)
    assert roll.alive == [1, 2]


def test_another_worker_that_dies_meanwhile_comes_back(roll: Roll):
    roll.rolling.begin()
    fresh = roll.fresh[0]
    roll.first[1].kill()
    roll.forge.ready = True
    roll.forge.advance(1)
    fresh.say("ready")
    roll.go()
    roll.forge.advance(1)
    assert roll.alive == [1, 2] and len(roll.crew.serving) == 2


def test_a_second_sighup_rolls_once_more_with_the_settings_of_then(roll: Roll):
    roll.forge.ready = True
    roll.rolling.begin()
    for _ in range(3):
        roll.rolling.begin()
    assert roll.prepared == 1
    roll.go()
    assert roll.prepared == 2 and len(roll.forge.made) == 6 and roll.alive == [1, 2]
    roll.rolling.begin()
    roll.go()
    assert roll.prepared == 3


def test_a_stop_during_a_roll_ends_old_and_fresh_ones(roll: Roll):
    old = roll.first[0]
    old.obeys = False
    roll.rolling.begin()
    roll.fresh[0].say("ready")
    done: list[Any] = []
    roll.rolling.stop()
    Deferred.fromCoroutine(roll.crew.stop()).addBoth(done.append)
    assert roll.forge.alive == [old] and done == []
    old.die(0)
    assert done == [None]
    roll.forge.advance(1000)
    assert roll.forge.alive == []
    roll.rolling.begin()
    assert roll.forge.alive == []


def test_a_stop_while_a_fresh_one_starts(roll: Roll):
    roll.rolling.begin()
    done: list[Any] = []
    with Recorded() as events:
        roll.rolling.stop()
        Deferred.fromCoroutine(roll.crew.stop()).addBoth(done.append)
    assert [event for event in events if event["log_level"].name != "info"] == []
    assert done == [None] and roll.forge.alive == []
    roll.forge.advance(1000)
    assert roll.forge.alive == []
