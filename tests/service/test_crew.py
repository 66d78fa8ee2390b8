"""Worker processes on a clock: brought back, backed off, given up, replaced (page 4.6)."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred

from imd.service.crew import START_LIMIT, Crew, Effort, NotServing
from tests.service.fakes import Recorded
from tests.service.forge import Forge, crew_of


def enlisted(crew: Crew, number: int, effort: Effort = Effort.ONCE) -> list[Any]:
    """What became of it: empty while it is waited for, then [None] or [the failure]."""
    outcome: list[Any] = []
    Deferred.fromCoroutine(crew.enlist(number, effort)).addBoth(outcome.append)
    return outcome


@pytest.fixture
def forge() -> Forge:
    return Forge()


@pytest.fixture
def crew(forge: Forge) -> Crew:
    crew = crew_of(forge)
    for number in (1, 2):
        outcome = enlisted(crew, number)
        forge.advance(0)
        assert outcome == [None]
    return crew


def test_a_worker_serves_when_it_says_so(forge: Forge):
    forge.ready = False
    crew = crew_of(forge)
    outcome = enlisted(crew, 3)
    forge.advance(10)
    assert outcome == [] and crew.serving == []
    forge.made[0].say("ready")
    assert outcome == [None] and [link.number for link in crew.serving] == [3]
    assert forge.made[0].words == ["imd", "--worker=3"]


def test_one_that_served_long_is_started_again_at_once(forge: Forge, crew: Crew):
    forge.advance(60)
    with Recorded() as events:
        forge.made[1].kill()
        forge.advance(0)
    assert [process.number for process in forge.alive] == [1, 2]
    (said,) = [event for event in events if "falls" in event]
    assert (said["number"], said["how"], said["delay"]) == (2, "by signal 9", 0.0)
    assert crew.restarts == 1


def test_the_first_deaths_in_a_row_keep_it_from_serving_for_less_than_3_s(forge, crew):
    """An interpreter needs about one second to serve; what is left is 2 s."""
    for _ in range(4):
        forge.alive[-1].kill()
        forge.advance(2)
        assert [process.number for process in forge.alive] == [1, 2]


def test_a_crash_loop_backs_off(forge: Forge, crew: Crew):
    forge.ready = False
    with Recorded() as events:
        forge.made[1].kill()
        for _ in range(300):
            forge.advance(1)
            for process in forge.alive[1:]:
                process.say("failed", lines=["cannot connect"], cause="world")
                process.die()
    falls = [event for event in events if "falls" in event]
    assert 12 < len(falls) < 30
    delays = [event["delay"] for event in falls]
    assert delays == sorted(delays) and delays[-1] == crew.maxRestartDelay
    assert falls[-1]["falls"] == len(falls) and "cannot connect" in falls[-1]["why"]
    assert [process.number for process in forge.alive] == [1]


def test_after_a_good_while_it_is_forgiven(forge: Forge, crew: Crew):
    for _ in range(6):
        forge.alive[-1].kill()
        for seconds in (0.2, 0, 10):
            forge.advance(seconds)
    assert len(forge.alive) == 2
    with Recorded() as events:
        forge.alive[-1].kill()
        forge.advance(0)
    assert len(forge.alive) == 2
    assert [event["falls"] for event in events if "falls" in event] == [1]


def test_one_that_is_never_ready_is_killed_and_started_again(forge: Forge, crew: Crew):
    forge.ready = False
    forge.made[1].kill()
    forge.advance(0.2)
    late = forge.alive[-1]
    assert late.number == 2
    forge.advance(START_LIMIT)
    assert late.signals == ["KILL"]
    forge.ready = True
    forge.advance(1)
    forge.advance(0)
    assert [link.number for link in crew.serving] == [1, 2]


def test_a_first_start_may_take_long(forge: Forge):
    forge.ready = False
    crew = crew_of(forge)
    outcome = enlisted(crew, 1, Effort.UNHURRIED)
    forge.advance(10 * START_LIMIT)
    assert outcome == [] and forge.made[0].signals == []


def test_one_that_cannot_start_says_why_and_is_not_tried_again(forge: Forge):
    forge.ready = False
    crew = crew_of(forge)
    outcome = enlisted(crew, 1)
    forge.made[0].say("failed", lines=["one", "two"], cause="world")
    forge.made[0].die()
    assert outcome[0].check(NotServing) and outcome[0].value.lines == ["one", "two"]
    forge.advance(100)
    assert len(forge.made) == 1


def test_one_that_is_wanted_lastingly_is_started_until_it_serves(forge: Forge):
    forge.ready = False
    crew = crew_of(forge)
    outcome = enlisted(crew, 1, Effort.LASTING)
    with Recorded() as events:
        for _ in range(60):
            for process in forge.alive:
                process.say("failed", lines=["cannot connect"], cause="world")
                process.die()
            forge.advance(1)
    falls = [event for event in events if "falls" in event]
    assert outcome == [] and 6 < len(falls) <= 10
    assert all("cannot connect" in event["why"] for event in falls)
    forge.ready = True
    for seconds in (30, 0):
        forge.advance(seconds)
    assert outcome == [None] and [link.number for link in crew.serving] == [1]


def test_one_that_never_serves_is_killed_as_often_as_it_takes(forge: Forge):
    forge.ready = False
    outcome = enlisted(crew_of(forge), 1, Effort.LASTING)
    for _ in range(3):
        forge.advance(START_LIMIT)
        forge.advance(1)
    assert outcome == [] and len(forge.made) == 4


def test_settings_that_cannot_be_used_are_not_tried_again(forge: Forge):
    forge.ready = False
    crew = crew_of(forge)
    outcome = enlisted(crew, 1, Effort.LASTING)
    forge.made[0].say("failed", lines=["limits.send_burst"], cause="settings")
    forge.made[0].die()
    assert outcome[0].check(NotServing) and outcome[0].value.lines == ["limits.send_burst"]
    forge.advance(100)
    assert len(forge.made) == 1 and crew.restarts == 0


def test_nobody_waits_any_more_for_one_that_is_wanted_lastingly(forge: Forge):
    forge.ready = False
    crew = crew_of(forge)
    waiting = Deferred.fromCoroutine(crew.enlist(1, Effort.LASTING))
    outcome: list[Any] = []
    waiting.addBoth(outcome.append)
    forge.made[0].die()
    waiting.cancel()
    assert outcome[0].check(CancelledError)
    forge.advance(100)
    assert len(forge.made) == 1


def test_one_that_says_nothing_is_named(forge: Forge):
    forge.ready = False
    outcome = enlisted(crew_of(forge), 4)
    forge.made[0].die(3)
    assert "worker 4 ended with status 3 before it served" in str(outcome[0].value)


def test_a_stop_waits_for_all_and_starts_nobody(forge: Forge, crew: Crew):
    for process in forge.made:
        process.obeys = False
    done: list[Any] = []
    Deferred.fromCoroutine(crew.stop()).addBoth(done.append)
    assert [process.signals for process in forge.made] == [["TERM"], ["TERM"]]
    forge.made[1].die(0)
    assert done == []
    forge.made[0].die(0)
    assert done == [None]
    forge.advance(100)
    assert len(forge.made) == 2


def test_a_stop_kills_whoever_does_not_end(forge: Forge, crew: Crew):
    crew.killTime = 14.5  # type: ignore[assignment]
    forge.made[0].obeys = False
    done: list[Any] = []
    Deferred.fromCoroutine(crew.stop()).addBoth(done.append)
    forge.advance(14.4)
    assert done == []
    forge.advance(0.2)
    assert forge.made[0].signals == ["TERM", "KILL"] and done == [None]


def test_a_stop_while_one_waits_to_be_started_again(forge: Forge, crew: Crew):
    forge.made[1].kill()
    done: list[Any] = []
    Deferred.fromCoroutine(crew.stop()).addBoth(done.append)
    forge.advance(100)
    assert done == [None] and len(forge.made) == 2 and forge.alive == []


def test_what_workers_print_is_passed_on_in_whole_lines(forge: Forge):
    printed: list[bytes] = []
    crew = crew_of(forge, printed.append)
    enlisted(crew, 1)
    assert forge.made[0].descriptors[1] == "r"
    forge.made[0].print(b"one\ntw")
    assert printed == [b"one"]
    forge.made[0].print(b"o\nthree")
    forge.made[0].kill()
    assert printed == [b"one", b"two", b"three"]


def test_what_cannot_be_understood_harms_nobody(forge: Forge, crew: Crew):
    with Recorded() as events:
        forge.made[0].say("nonsense")
        forge.made[0]._protocol.childDataReceived(4, b"{\n[]\n")
    assert len([event for event in events if event.get("log_failure")]) == 2
    assert len(crew.serving) == 2
