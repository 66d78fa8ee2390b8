"""Two long outages under load, as the contract names them: Redis away for a minute, the database
restarted twenty times. The first is short in the ordinary suite, and long, as the second is, in the
long set (``make faults``); their figures are printed (``-s``).
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.faults.checks.everything import judge
from tests.faults.checks.prompt import BEYOND, arrivals
from tests.faults.history import Event
from tests.faults.running import Run, run
from tests.faults.schedule import Step
from tests.faults.story import Story
from tests.redis_server import RedisServer
from tests.servers import PostgresServer

pytestmark = pytest.mark.timeout(900)
LONG = bool(os.environ.get("IMD_FAULTS_SEEDS"))
long_set = pytest.mark.skipif(not LONG, reason="the long set: make faults")
#: seconds without Redis, and of peace before; more than a sweep, and than presence lives
AWAY, BEFORE = (60.0, 20.0) if LONG else (12.0, 3.0)
#: restarts, seconds of each, and in which something is stored again
RESTARTS, DOWN, BACK = 20, 0.5, 3.0


def _must_hold(events: Sequence[Event], folder: Path) -> None:
    broken = judge(events)
    assert not broken, "\n".join(map(str, broken[:5])) + f"\n{folder / 'history.jsonl'}"


def _say(line: str) -> None:
    sys.stdout.write(f"\n{line}\n")


def _phases(events: Sequence[Event], name: str) -> Iterator[tuple[float, float]]:
    """When each fault of that name began and was over."""
    begun = 0.0
    for event in events:
        if event["kind"] == "fault" and event["name"] == name:
            if event["phase"] == "begin":
                begun = event["t"]
            else:
                yield begun, event["t"]


def _answers(events: Sequence[Event]) -> Iterator[tuple[float, float, Event]]:
    """When each call over REST was made and answered, with its answer."""
    asked = {event["id"]: event for event in events if event["kind"] == "ask"}
    for event in events:
        if event["kind"] == "got" and "status" in event:
            yield asked[event["id"]]["t"], event["t"], event


def _p99(waits: Sequence[float]) -> float:
    return statistics.quantiles(waits, n=100)[98]


@pytest.mark.parametrize(("nodes", "workers"), [(2, 0), pytest.param(1, 3, marks=long_set)])
def test_redis_away_for_a_minute_makes_messages_late_by_a_sweep_and_nothing_else(
    tmp_path: Path,
    nodes: int,
    workers: int,
    breakable_postgres: PostgresServer,
    breakable_redis: RedisServer,
) -> None:
    steps = [Step(BEFORE, (("redis-kill", AWAY),))]
    what = Run(nodes=nodes, workers=workers, faults=("redis-kill",), steps=steps, peace=8)
    events = asyncio.run(run(what, tmp_path, breakable_postgres, breakable_redis))
    # The checkers know by when each page must show what was stored, and in which order, each once.
    _must_hold(events, tmp_path)
    ((begun, over),) = _phases(events, "redis-kill")
    calls = list(_answers(events))
    usual = _p99([got - asked for asked, got, _ in calls if got < begun])
    away = _p99([got - asked for asked, got, _ in calls if begun < asked and got < over])
    _say(f"REST p99 {1000 * usual:.0f} ms, {1000 * away:.0f} ms without Redis; {len(calls)} calls")
    assert all(event["status"] < 500 for _, _, event in calls)
    story = Story(events)
    took = [
        one.took
        for one in arrivals(story, story.meta["sweep"] + BEYOND)
        if begun <= one.acknowledged <= over
    ]
    assert took, "nothing was to be shown"
    _say(f"{len(took)} shown, {max(took):.2f} s after the answer at the most")


@long_set
@pytest.mark.parametrize(("nodes", "workers"), [(2, 0), (1, 3)])
def test_a_database_restarted_twenty_times_costs_503s_and_nothing_else(
    tmp_path: Path,
    nodes: int,
    workers: int,
    breakable_postgres: PostgresServer,
    breakable_redis: RedisServer,
) -> None:
    steps = [Step(2.0, (("db-restart", DOWN),))] * RESTARTS
    what = Run(nodes=nodes, workers=workers, faults=("db-restart",), steps=steps, peace=2)
    events = asyncio.run(run(what, tmp_path, breakable_postgres, breakable_redis))
    _must_hold(events, tmp_path)
    stored = [event["t"] for event in events if event["kind"] == "got" and "message" in event]
    backs = []
    for _, over in _phases(events, "db-restart"):
        backs.append(min((at - over for at in stored if at > over), default=float("inf")))
    said = [event["status"] for _, _, event in _answers(events)]
    _say(
        f"{RESTARTS} restarts, {len(stored)} stored, {said.count(503)} times 503;"
        f" first success after {statistics.median(backs):.2f} s, at most {max(backs):.2f} s"
    )
    assert len(backs) == RESTARTS and max(backs) < BACK
    assert not [status for status in said if status >= 500 and status != 503]
