"""The ledgers in a running server: statistics, and the comparison by the clock (7.2 and 7.3)."""

from __future__ import annotations

from pathlib import Path
from threading import Event
from typing import Any

import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock

from imd.config.settings import assemble
from imd.domain.errors import InvalidInput, Unavailable
from imd.service.clock import SystemClock
from imd.service.ledgers import Ledgers
from imd.service.ordered import Steps
from imd.service.wiring import keep_ledgers
from imd.storage.store import sync_transaction
from tests.ledger import platforms
from tests.ledger.originals import build
from tests.ledger.platforms import consult
from tests.storage.ground import migrated_sqlite, sqlite_copy

__all__ = ["migrated_sqlite", "sqlite_copy"]


def ledgers_on(url: str, platform: str, tmp_path: Path) -> Ledgers:
    values: dict[str, Any] = {"database.url": url, "platform.url": platform}
    made = Ledgers(assemble("dev", tmp_path, values), reactor, SystemClock())
    made.start()
    return made


@pytest_twisted.ensureDeferred
async def test_statistics_and_the_comparison(sqlite_copy, tmp_path):
    now = SystemClock().now() - 3_600_000
    platform = build(
        f"sqlite:///{tmp_path}/platform.db",
        {"wlyy_consult": [consult("a", now), consult("b", now)]},
        platforms.metadata(),
    )
    with sync_transaction(sqlite_copy) as tx:
        tx.connection.run(
            "INSERT INTO sessions (id, type, business_type, create_time) VALUES ('s', 1, 2, 1)"
        )
        tx.connection.run(
            "INSERT INTO topics (id, session_id, session_type, type, status, create_time, start_by)"
            " VALUES ('a', 's', 1, 2, 0, %s, 'p')",
            (now,),
        )
    ledgers = ledgers_on(sqlite_copy, platform, tmp_path)
    try:
        found = await ledgers.consults("type", None, None, (None, None), True)
        assert [(row["key"], row["list"]) for row in found["rows"]] == [("2", ["a"])]
        for wrong in (("yesterday", None), (None, "x"), ("-" + "9" * 20, None), (None, "9" * 20)):
            try:
                await ledgers.consults("type", None, None, wrong, False)
                raise AssertionError("no refusal")
            except InvalidInput:
                pass
        await ledgers.compare()
        assert ledgers.differences["missing_in_imd"] == 1
        assert ledgers.differences["fields_differ"] == 1  # no patient is a member
    finally:
        ledgers.stop()


@pytest_twisted.ensureDeferred
async def test_days_are_summed_up_without_the_platform(sqlite_copy, tmp_path):
    with sync_transaction(sqlite_copy) as tx:
        for n in range(40):
            time = SystemClock().now() - n * 86_400_000
            tx.connection.run(
                "INSERT INTO sessions (id, type, business_type, create_time) VALUES (%s, 1, 2, 1)",
                (f"s{n}",),
            )
            tx.connection.run(
                "INSERT INTO topics (id, session_id, session_type, status, create_time, start_by)"
                " VALUES (%s, %s, 1, 0, %s, 'p')",
                (f"t{n}", f"s{n}", time),
            )
    ledgers = ledgers_on(sqlite_copy, f"sqlite:///{tmp_path}/none.db", tmp_path)
    try:
        await ledgers.sum_up()
    finally:
        ledgers.stop()
    with sync_transaction(sqlite_copy) as tx:
        rows = tx.connection.rows("SELECT sum(unreplied) FROM consult_days")
        assert rows == [(39,)], "today is not over"
        assert tx.connection.rows("SELECT count(*) FROM consult_changes") == [(0,)]


@pytest_twisted.ensureDeferred
async def test_a_platform_that_is_away_is_unavailable(sqlite_copy, tmp_path):
    ledgers = ledgers_on(sqlite_copy, f"sqlite:///{tmp_path}/none.db", tmp_path)
    try:
        await ledgers.consults("team", None, None, (None, None), False)
        raise AssertionError("no refusal")
    except Unavailable:
        pass
    finally:
        ledgers.stop()


@pytest_twisted.ensureDeferred
async def test_whoever_gives_up_waiting_leaves_no_work_behind(sqlite_copy, tmp_path):
    """Else a page that asks again and again keeps the thread busy with answers to nobody."""
    ledgers = ledgers_on(sqlite_copy, "", tmp_path)
    busy, done = Event(), []
    try:
        first = ledgers._threaded(lambda: busy.wait(10))
        others = [ledgers._threaded(lambda n=n: done.append(n)) for n in range(3)]
        for given_up in (first, others[0], others[1]):
            given_up.addErrback(lambda failure: failure.trap(CancelledError)).cancel()
        assert ledgers._waiting == 4, "the thread is not done with any"
        busy.set()
        await others[2]
        assert done == [2] and ledgers._waiting == 0
    finally:
        busy.set()
        ledgers.stop()


def test_a_server_that_restarts_each_night_compares_all_the_same(tmp_path, monkeypatch):
    """When it was last done stands in the database; a timer of this process would begin anew."""
    looks: list[float] = []
    clock = Clock()
    monkeypatch.setattr(Ledgers, "sum_up", lambda self: None)
    monkeypatch.setattr(Ledgers, "compare", lambda self: looks.append(clock.seconds()))
    values = {"platform.url": f"sqlite:///{tmp_path}/none.db", "reconcile.every": 86_400.0}
    steps = Steps(clock)
    keep_ledgers(assemble("dev", tmp_path, values), clock, steps)
    clock.pump([60.0] * 60)
    assert looks and looks[0] <= 600
    Deferred.fromCoroutine(steps.stop())
