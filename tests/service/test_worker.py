"""A worker's side of the two pipes: whom it tells what, and what it hears (page 4.6)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from imd.config import defaults
from imd.domain.errors import Unavailable
from imd.service import leaving
from imd.service.lines import line_of
from imd.service.worker import ORPHAN_DRAIN, ORPHAN_LAST_RESORT, PATIENCE, Worker


class Seat:
    """Worker 2 with a supervisor that the test plays."""

    def __init__(self, folder: Path) -> None:
        self.clock = Clock()
        self.worker = Worker(2, defaults("dev", folder), self.clock)
        self.pipe = StringTransport()
        self.worker._line.makeConnection(self.pipe)

    def hear(self, say: str, **more: Any) -> None:
        self.worker._line.dataReceived(line_of(say, **more))

    @property
    def said(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.pipe.value().splitlines()]

    def gather(self) -> list[Any]:
        outcome: list[Any] = []
        Deferred.fromCoroutine(self.worker.gather("metrics")).addBoth(outcome.append)
        return outcome


@pytest.fixture
def seat(tmp_path: Path) -> Seat:
    return Seat(tmp_path)


def test_it_tells_its_figures_when_asked(seat: Seat):
    seat.worker.share({"metrics": lambda: [1, 2]})
    crew = {"serving": 1, "wanted": 2}
    seat.hear("tell", ask=5, kind="metrics", crew=crew)
    seat.hear("tell", ask=6, kind="unknown", crew=crew)
    assert seat.said == [{"say": "figures", "ask": 5, "kind": "metrics", "found": [1, 2]}]


def test_a_missing_worker_is_known_from_the_last_question(seat: Seat):
    assert seat.worker.degraded() == []
    seat.hear("tell", ask=1, kind="metrics", crew={"serving": 1, "wanted": 2})
    assert seat.worker.degraded() == ["workers"]
    seat.hear("tell", ask=2, kind="metrics", crew={"serving": 2, "wanted": 2})
    assert seat.worker.degraded() == []


def test_all_figures_come_through_the_supervisor(seat: Seat):
    outcome = seat.gather()
    ask = seat.said[0]["ask"]
    seat.hear("told", ask=ask + 1, found=[], past=[], crew={})
    assert outcome == []
    seat.hear("told", ask=ask, found=[[1, "x"]], past=["y"], crew={"serving": 1})
    assert outcome[0].found == [[1, "x"]] and outcome[0].past == ["y"]
    assert seat.clock.getDelayedCalls() == []


def test_a_supervisor_that_does_not_answer_is_a_503(seat: Seat):
    outcome = seat.gather()
    seat.clock.advance(PATIENCE)
    assert outcome[0].check(Unavailable)
    seat.hear("told", ask=1, found=[], past=[], crew={})


def test_without_its_supervisor_it_ends_soon(seat: Seat, monkeypatch: pytest.MonkeyPatch):
    left: list[float] = []
    stopped: list[object] = []
    monkeypatch.setattr(leaving, "leave_within", left.append)
    monkeypatch.setattr(leaving, "stop", stopped.append)
    assert seat.worker.patience(10) == 10
    seat.worker._line.connectionLost()
    assert left == [ORPHAN_LAST_RESORT] and stopped == [seat.clock]
    assert seat.worker.patience(10) == ORPHAN_DRAIN
    assert seat.worker.last_resort() == ORPHAN_LAST_RESORT < 5


def test_a_line_that_it_lets_go_means_nothing(seat: Seat, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(leaving, "stop", lambda reactor: pytest.fail("it ends anyway"))
    done: list[object] = []
    seat.pipe.disconnected = False
    seat.worker._line.let_go().addCallback(done.append)
    assert seat.pipe.disconnecting and done == []
    seat.worker._line.connectionLost()
    assert done == [None]
