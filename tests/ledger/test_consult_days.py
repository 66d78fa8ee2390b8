"""Page 7.3: statistics from sums of days are what a recount gives, at any moment."""

from __future__ import annotations

import json
import random
from contextlib import closing
from typing import Any

import pytest

from imd.cli.main import run
from imd.domain.consult_days import DAY_MS, begin_of, day_of, first_day_from
from imd.ledger.day_check import check_days
from imd.ledger.statistics import Query, count_consults
from imd.storage import consult_days
from imd.storage.consults import Consults
from imd.storage.store import sync_transaction
from imd.storage.transaction import Transaction
from tests.storage.ground import migrated_postgres, migrated_sqlite, postgres_copy, sqlite_copy

__all__ = ["migrated_postgres", "migrated_sqlite", "postgres_copy", "sqlite_copy"]

BEGIN = begin_of(day_of(1_700_000_000_000))
DAYS = 12
NOW = BEGIN + DAYS * DAY_MS + 5
EVER = Query("team")
WAYS = ("team", "doctor", "type", "team,doctor")


class World:
    """Topics on a store without a server, changed at random."""

    def __init__(self, url: str, seed: int) -> None:
        self.url, self.chance, self.made = url, random.Random(seed), 0
        with sync_transaction(url) as tx:
            for n in range(400):
                tx.connection.run(
                    "INSERT INTO sessions (id, type, business_type, create_time)"
                    " VALUES (%s, 9, 2, 1)", (f"s{n}",),
                )  # fmt: skip

    def act(self, times: int) -> None:
        with sync_transaction(self.url) as tx:
            for _ in range(times):
                self._one(tx)

    def _one(self, tx: Transaction) -> None:
        chance, db = self.chance, tx.connection
        status, reply = chance.choice([(0, 0), (0, 1), (10, 1), (10, 0)])
        time = BEGIN + chance.randrange(DAYS * DAY_MS + 10)
        figures = {
            "team_code": chance.choice([None, "", "T1", "T2"]),
            "type": chance.choice([None, 2, 8]),
            "status": status,
            "reply": reply,
            "reply_by": chance.choice([None, "D1", "D2"]) if reply else None,
            "reply_time": time + chance.randrange(10**7) if chance.random() < 0.8 else None,
            "create_time": time,
        }
        what = chance.choice(["start"] * 4 + ["change"] * 3 + ["drop"])
        target = f"t{chance.randrange(self.made + 1)}"
        if what == "start" and self.made < 400:
            names = ", ".join(figures)
            db.run(
                f"INSERT INTO topics (id, session_id, session_type, start_by, {names})"
                f" VALUES (%s, %s, 9, 'P', {', '.join(['%s'] * len(figures))})",
                [f"t{self.made}", f"s{self.made}", *figures.values()],
            )
            self.made += 1
        elif what == "drop":
            db.run("DELETE FROM topics WHERE id = %s", (target,))
        else:
            some = dict(chance.sample(sorted(figures.items()), chance.randint(1, 3)))
            sets = ", ".join(f"{name} = %s" for name in some)
            db.run(f"UPDATE topics SET {sets} WHERE id = %s", [*some.values(), target])


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest) -> str:
    copied: str = request.getfixturevalue(f"{request.param}_copy")
    return copied


def same(book: Any, query: Query) -> dict[str, Any]:
    """The answer, which is the same from sums as from each consult."""
    summed = count_consults(book, None, query)
    assert summed == count_consults(book, None, query._replace(recount=True))
    return summed


@pytest.mark.parametrize("seed", range(3))
def test_sums_are_a_recount_whatever_happened_and_whenever_they_were_made(url, seed, monkeypatch):
    monkeypatch.setattr(consult_days, "_ROWS", random.Random(seed).choice([1, 3, 8, 5_000]))
    monkeypatch.setattr(consult_days, "_CHANGES", random.Random(seed).choice([7, 2_000]))
    world = World(url, seed)
    chance = random.Random(seed)
    with closing(Consults(url)) as book:
        for _ in range(9):
            world.act(chance.randrange(40))
            for _ in range(chance.randrange(4)):
                book.sum_up(chance.choice([NOW, NOW - 4 * DAY_MS]))
            edges = sorted(BEGIN + chance.randrange(-10, DAYS * DAY_MS + 10) for _ in range(2))
            for by in WAYS:
                same(book, Query(by))
                same(book, Query(by, since=edges[0], until=edges[1]))
                same(book, Query(by, since=BEGIN + DAY_MS, until=BEGIN + 9 * DAY_MS, type=2))
            assert check_days(book, BEGIN, NOW).differences == []
        while book.sum_up(NOW):
            pass
        found = check_days(book, 0, NOW)
        assert found.days > 5 and found.differences == []
        assert same(book, EVER)["rows"]


def test_days_that_are_over_come_from_sums_alone(url, monkeypatch):
    world = World(url, 9)
    world.act(300)
    with closing(Consults(url)) as book:
        while book.sum_up(NOW):
            pass
        expected = count_consults(book, None, Query("team", recount=True))

        def page(since: int, until: int, *_: Any) -> list[Any]:
            assert since >= BEGIN + DAYS * DAY_MS or until <= BEGIN, "counted one by one"
            found: list[Any] = original(since, until, *_)
            return found

        original = book.page
        monkeypatch.setattr(book, "page", page)
        assert count_consults(book, None, EVER) == expected


def test_a_day_with_a_change_waiting_counts_from_its_topics(url):
    world = World(url, 3)
    world.act(200)
    with closing(Consults(url)) as book:
        while book.sum_up(NOW):
            pass
        before = book.summed(day_of(BEGIN), day_of(NOW))
        assert before.missing == []
        with sync_transaction(url) as tx:
            tx.connection.run("UPDATE topics SET status = 10 - status WHERE id = 't50'")
            ((time,),) = tx.connection.rows("SELECT create_time FROM topics WHERE id = 't50'")
        day = day_of(time)
        found = book.summed(day_of(BEGIN), day_of(NOW))
        assert found.missing == ([(day, day + 1)] if day < day_of(NOW) else [])
        assert not [row for row in found.rows if row.day == day]
        same(book, EVER)
        assert check_days(book, BEGIN, NOW).waiting >= len(found.missing)


def test_a_change_that_is_committed_during_the_summing_up_is_not_lost(postgres_copy):
    """Its number is smaller than one that was taken in: only rows that were seen may go."""
    world = World(postgres_copy, 4)
    world.act(150)
    with closing(Consults(postgres_copy)) as book:
        while book.sum_up(NOW):
            pass
        with sync_transaction(postgres_copy) as slow:
            slow.connection.run("UPDATE topics SET status = 10, reply = 0 WHERE id = 't10'")
            slow.connection.rows("SELECT 1")
            with sync_transaction(postgres_copy) as quick:
                quick.connection.run("UPDATE topics SET status = 10, reply = 0 WHERE id = 't20'")
            while book.sum_up(NOW):
                pass
        same(book, EVER)
        while book.sum_up(NOW):
            pass
        assert check_days(book, BEGIN, NOW).differences == []


@pytest.mark.parametrize(
    "harm",
    [
        "UPDATE consult_days SET replied = replied + 1",
        "UPDATE consult_days SET waits = waits || ' 5'",
        "UPDATE consult_days SET doctor = 'nobody'",
        "DELETE FROM consult_days",
        "INSERT INTO consult_days SELECT day, 'TX', doctor, type, 1, 0, 0, 0, '' FROM consult_days",
    ],
)
def test_the_check_finds_what_is_wrong_and_again_mends_it(url, harm, monkeypatch, capsys):
    monkeypatch.setenv("IMD_DATABASE_URL", url)
    World(url, 6).act(120)
    words = ["stats", "check", "--json"]
    assert run(["stats", "sum-up"]) == 0
    assert run(words) == 0
    assert json.loads(capsys.readouterr().out)["days"] > 5
    with sync_transaction(url) as tx:
        tx.connection.run(harm)
    assert run(words) == 1
    found = json.loads(capsys.readouterr().out)["differences"]
    assert found and found[0].keys() == {"day", "team_code", "doctor", "type", "summed", "counted"}
    assert run(["stats", "sum-up"]) == 0 and run(words) == 1
    assert run(["stats", "sum-up", "--again"]) == 0 and run(words) == 0


def test_a_day_is_chinas():
    assert begin_of(day_of(1_800_000_000_000)) == 1_799_942_400_000  # 2027-01-15T00:00+08:00
    assert first_day_from(begin_of(5)) == 5 == day_of(begin_of(5))
    assert first_day_from(begin_of(5) + 1) == 6 == first_day_from(begin_of(6))
    assert day_of(begin_of(6) - 1) == 5
