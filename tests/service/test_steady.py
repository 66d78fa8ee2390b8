from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from imd.domain.errors import Unavailable
from imd.service.steady import Steady
from tests.service.fakes import Recorded


def test_it_runs_again_and_again():
    clock, runs = Clock(), []
    steady = Steady("poll", 2.0, lambda: runs.append(clock.seconds()), clock)
    steady.start()
    clock.pump([1.0] * 7)
    assert runs == [2.0, 4.0, 6.0]
    steady.stop()
    clock.advance(10)
    assert len(runs) == 3 and clock.getDelayedCalls() == []


def test_an_outage_is_a_warning_without_a_traceback():
    clock = Clock()

    def work() -> None:
        raise Unavailable()

    steady = Steady("poll", 1.0, work, clock)
    with Recorded() as events:
        steady.start()
        clock.pump([1.0] * 3)
    steady.stop()
    assert [event["log_level"].name for event in events] == ["warn"]
    assert "log_failure" not in events[0]


def test_the_next_run_waits_for_the_former():
    clock, runs = Clock(), []

    async def work() -> None:
        runs.append(Deferred())
        await runs[-1]

    steady = Steady("poll", 2.0, work, clock)
    steady.start()
    clock.pump([1.0] * 10)
    assert len(runs) == 1
    runs[0].callback(None)
    clock.advance(1.9)
    assert len(runs) == 1
    clock.advance(0.1)
    assert len(runs) == 2


def test_it_survives_errors_and_logs_the_first_and_the_recovery():
    clock, outcomes = Clock(), [OSError("away")] * 3 + [None]

    def work() -> None:
        outcome = outcomes.pop(0)
        if outcome:
            raise outcome

    steady = Steady("poll", 1.0, work, clock)
    steady.start()
    with Recorded() as events:
        clock.pump([1.0] * 4)
    assert outcomes == []
    assert [event["log_level"].name for event in events] == ["critical", "info"]
    assert events[1]["failures"] == 3


def test_stop_cancels_a_run_and_waits_for_its_end():
    clock, ended = Clock(), []
    inner: list[Deferred[None]] = []

    async def work() -> None:
        inner.append(Deferred())
        try:
            await inner[0]
        finally:
            ended.append(True)

    steady = Steady("poll", 1.0, work, clock)
    steady.start()
    clock.advance(1)
    with Recorded() as events:
        done: list[object] = []
        steady.stop().addBoth(done.append)
    assert ended == [True] and done == [None] and events == []
    clock.advance(10)
    assert len(inner) == 1


def test_soon_means_now_and_during_a_run_right_after_it():
    clock, runs = Clock(), list[Deferred[None]]()

    async def work() -> None:
        runs.append(Deferred())
        await runs[-1]

    steady = Steady("poll", 10.0, work, clock)
    steady.start()
    steady.soon()
    clock.advance(0)
    assert len(runs) == 1
    steady.soon()
    steady.soon()
    clock.advance(0)
    assert len(runs) == 1, "one run at a time"
    runs[0].callback(None)
    clock.advance(0)
    assert len(runs) == 2
    runs[1].callback(None)
    clock.advance(9)
    assert len(runs) == 2
    clock.advance(1)
    assert len(runs) == 3
    runs[2].callback(None)
    steady.stop()
    steady.soon()
    clock.advance(100)
    assert len(runs) == 3
