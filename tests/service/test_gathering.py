"""Everybody's figures asked for by one: all, those who answer in time, those who had died."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred

from imd.service.gathering import DEADLINE, PATIENCE, Gathering
from tests.service.forge import Forge, Process, crew_of


def counted(number: int) -> list[Any]:
    """One family of metrics."""
    return [["imd_things", "Things", "counter", [["imd_things_total", {}, number]]]]


class Team:
    def __init__(self) -> None:
        self.forge = Forge()
        self.crew = crew_of(self.forge)
        self.gathering = Gathering(self.crew, 2, self.forge)
        self.crew.heard, self.crew.ended = self.gathering.heard, self.gathering.ended
        for number in (1, 2):
            Deferred.fromCoroutine(self.crew.enlist(number))
            self.forge.advance(0)
        self.one, self.other = self.forge.made

    def want(self, kind: str = "metrics") -> None:
        self.one.say("want", ask=7, kind=kind)

    def answer(self, process: Process, number: int) -> None:
        tell = [said for said in process.told if said["say"] == "tell"][-1]
        process.say("figures", ask=tell["ask"], kind=tell["kind"], found=counted(number))

    @property
    def told(self) -> list[dict[str, Any]]:
        return [said for said in self.one.told if said["say"] == "told"]


@pytest.fixture
def team() -> Team:
    return Team()


def test_who_asks_gets_what_all_answer(team: Team):
    team.want()
    team.answer(team.one, 1)
    assert team.told == []
    team.answer(team.other, 2)
    (told,) = team.told
    assert told["ask"] == 7
    assert told["found"] == [[1, counted(1)], [2, counted(2)]]
    assert told["crew"] == {"serving": 2, "wanted": 2, "restarts": 0}
    assert [call for call in team.forge.getDelayedCalls() if call.getTime() <= DEADLINE] == []


def test_who_does_not_answer_in_time_counts_as_when_it_was_last_seen(team: Team):
    team.want()
    team.answer(team.one, 1)
    team.answer(team.other, 2)
    team.want()
    team.answer(team.one, 5)
    team.forge.advance(DEADLINE)
    assert team.told[-1]["found"] == [[1, counted(5)], [2, counted(2)]]


def test_who_dies_meanwhile_is_not_waited_for_and_what_it_counted_stays(team: Team):
    team.want()
    team.answer(team.one, 1)
    team.answer(team.other, 2)
    team.want()
    team.answer(team.one, 1)
    team.other.kill()
    told = team.told[-1]
    assert told["found"] == [[1, counted(1)]]
    assert told["past"][0][3] == [["imd_things_total", {}, 2]]
    assert told["crew"] == {"serving": 1, "wanted": 2, "restarts": 1}


def test_what_a_leaving_worker_says_at_last_counts(team: Team):
    team.other.obeys = False
    Deferred.fromCoroutine(team.crew.dismiss("2.2"))
    team.other.say("figures", ask=0, kind="metrics", found=counted(9))
    team.want()
    team.answer(team.one, 1)
    team.other.die(0)
    assert team.told[-1]["past"][0][3] == [["imd_things_total", {}, 9]]


def test_one_whose_reactor_hangs_is_killed(team: Team):
    for turn in range(PATIENCE):
        assert team.other.signals == []
        team.gathering.look()
        team.answer(team.one, turn)
        team.forge.advance(DEADLINE)
    assert team.other.signals == ["KILL"] and team.one.signals == []


def test_one_that_answers_again_is_forgiven(team: Team):
    for turn in range(3 * PATIENCE):
        team.gathering.look()
        team.answer(team.one, turn)
        if turn % (PATIENCE - 1) == 0:
            team.answer(team.other, turn)
        team.forge.advance(DEADLINE)
    assert team.other.signals == []


def test_a_late_answer_is_no_answer(team: Team):
    team.gathering.look()
    team.forge.advance(DEADLINE)
    team.answer(team.one, 1)
    team.answer(team.other, 1)
    assert len(team.crew.serving) == 2
