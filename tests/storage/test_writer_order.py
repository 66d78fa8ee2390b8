"""The order of sends in one session, when some have to wait and others come too late (I3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from imd.domain.errors import Unavailable
from imd.domain.message import Draft
from imd.storage import writer as module
from imd.storage.batch import BUSY, Job, Result
from imd.storage.writer import GroupingWriter


class Lanes:
    """An executor whose transactions end when the test says so; :attr:`begun` is what each held."""

    threads = 4

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun: list[list[object]] = []
        self.ends: list[Deferred[Result]] = []
        monkeypatch.setattr(module, "carry_out", self._carry_out)
        monkeypatch.setattr(module, "transact", lambda connection, inside, **_: inside(None))

    def _carry_out(self, transaction: None, jobs: Sequence[Job], *_: object) -> Result:
        self.begun.append([job.wish.content for job in jobs if isinstance(job.wish, Draft)])
        return Result([BUSY] * len(jobs), [])

    def run(self, work: Any) -> Deferred[Result]:
        work(None)
        self.ends.append(Deferred())
        return self.ends[-1]

    def busy(self, flight: int) -> None:
        """Another process holds the sessions of this transaction."""
        self.ends[flight].callback(Result([BUSY] * len(self.begun[flight]), []))


class Now:
    def now(self) -> int:
        return 1


def test_who_is_told_that_it_is_too_late_overtakes_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reactor, lanes = Clock(), Lanes(monkeypatch)
    writer = GroupingWriter(reactor, lanes, Now(), lambda _: None, timeout=10.0)  # type: ignore[arg-type]
    told: list[object] = []

    def post(session: str, content: str) -> Deferred[Any]:
        return writer.post(Draft(content, session, "A", 1, content))

    def too_late(failure: Failure) -> None:
        told.append(failure.check(Unavailable))
        post("s3", "of the one that was late")

    post("s2", "late").addErrback(too_late)
    reactor.advance(9)
    post("s1", "first")
    lanes.busy(0)
    lanes.busy(1)
    post("s1", "second")
    # The pause is over; "late", which stands between the two, has waited for too long.
    reactor.advance(2)
    assert told == [Unavailable]
    assert lanes.begun[2][:2] == ["first", "second"]
