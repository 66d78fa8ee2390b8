"""``imdctl retention``: what an operator sees of plans, deletions and holds."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from imd.cli.main import run
from imd.domain.ids import UserId
from imd.domain.message import Draft
from imd.domain.participant import Seat
from imd.domain.retention import YEAR
from imd.domain.session import Head
from imd.storage.migrate import upgrade
from imd.storage.store import sync_transaction

CLASSES = '{"9": "process", "13": "medical"}'


@pytest.fixture(autouse=True)
def _settings(monkeypatch, database_url):
    monkeypatch.setenv("IMD_DATABASE_URL", database_url)
    monkeypatch.setenv("IMD_RETENTION_BY_SESSION_TYPE", CLASSES)
    upgrade(database_url)
    fill(database_url)


def fill(url: str) -> None:
    """Three sessions: a process record and a medical one of four years ago, and one of today."""
    now = time.time_ns() // 1_000_000
    numbers = iter(range(1000))
    with sync_transaction(url) as tx:
        for id_, type_, then in (("s9", 9, 4), ("s13", 13, 4), ("new", 9, 0)):
            made = now - then * YEAR - 1000
            head = Head(id_, id_, type_, 2, 0, made, 0, 0, made, None, None, None, None, 0)
            tx.sessions.insert(head)
            tx.participants.add(head, [Seat(UserId("P"), "0"), Seat(UserId("D"), "0")], made)
            for _ in range(3):
                locked = tx.sessions.lock(id_)
                assert locked is not None
                draft = Draft(f"{next(numbers):032x}", id_, "D", 1, "secret words")
                tx.log.append(locked, [draft], made)


def answer(capsys, *words: str, status: int = 0) -> Any:
    assert run(["retention", *words, "--json"]) == status
    out, err = capsys.readouterr()
    assert "secret words" not in out + err
    return json.loads(out) if status == 0 else err


def left(url: str) -> list[str]:
    with sync_transaction(url, write=False) as tx:
        return [row[0] for row in tx.connection.rows("SELECT id FROM sessions ORDER BY id")]


def audit(capsys) -> list[tuple[str, str]]:
    assert run(["audit", "show", "--action", "retention.*", "--json"]) == 0
    items = json.loads(capsys.readouterr().out)["items"]
    assert run(["audit", "verify"]) == 0
    capsys.readouterr()
    return [(item["action"], item["object"]) for item in items]


def test_a_plan_then_a_run_then_nothing_more(capsys, database_url) -> None:
    found = answer(capsys, "plan")
    assert found["items"][0]["session_id"] == "s9"
    process, medical = found["classes"]["process"], found["classes"]["medical"]
    assert (process["sessions"], process["sessions_deleted"], process["messages"]) == (1, 1, 3)
    assert (process["years"], process["types"], medical["types"]) == (3, [9], [13])
    assert medical["messages"] == 0
    assert left(database_url) == ["new", "s13", "s9"]
    done = answer(capsys, "apply", "--batch", "2")
    assert done["classes"]["process"]["messages"] == 3
    assert left(database_url) == ["new", "s13"]
    assert answer(capsys, "apply")["classes"]["process"]["sessions"] == 0
    assert audit(capsys) == [
        ("retention.cut", "s9"), ("retention.cut", "s9"), ("retention.session_deleted", "s9"),
        ("retention.applied", "retention"),
    ]  # fmt: skip


def test_people_read_the_same(capsys) -> None:
    assert run(["retention", "plan"]) == 0
    out = capsys.readouterr().out
    assert "s9  type 9  process  messages 1 to 3  0 topics  and the session itself" in out
    assert "process (3 years; types 9; before " in out
    assert "3 messages and 0 topics of 1 sessions would go, 1 of these sessions themselves" in out
    assert "0 sessions are old enough, but held" in out
    assert run(["retention", "apply"]) == 0
    assert "sessions deleted, 1 of these sessions themselves" in capsys.readouterr().out


def test_without_classes_nothing_goes(capsys, database_url, monkeypatch) -> None:
    monkeypatch.delenv("IMD_RETENTION_BY_SESSION_TYPE")
    answer(capsys, "apply")
    assert left(database_url) == ["new", "s13", "s9"]
    assert run(["retention", "plan"]) == 0
    assert "process (3 years): no session type is of this class" in capsys.readouterr().out


def test_a_period_below_the_least_stops_the_command(capsys, database_url, monkeypatch) -> None:
    monkeypatch.setenv("IMD_RETENTION_PROCESS_YEARS", "2")
    assert "retention.process_years" in answer(capsys, "apply", status=2)
    assert left(database_url) == ["new", "s13", "s9"]


@pytest.mark.parametrize("what", [("--session", "s9"), ("--user", "D")])
def test_what_is_held_stays_until_the_hold_is_lifted(capsys, database_url, what) -> None:
    kind, id_ = what[0].removeprefix("--"), what[1]
    made = answer(capsys, "hold", "add", *what, "--reason", "案件 2026-17")
    assert (made["kind"], made["id"], made["new"]) == (kind, id_, True)
    again = answer(capsys, "hold", "add", *what, "--reason", "another")
    assert (again["new"], again["reason"]) == (False, "案件 2026-17")
    (item,) = answer(capsys, "hold", "list")["items"]
    assert (item["kind"], item["id"], item["reason"]) == (kind, id_, "案件 2026-17")
    assert answer(capsys, "plan")["held"] == 1
    assert answer(capsys, "apply")["held"] == 1
    assert left(database_url) == ["new", "s13", "s9"]
    answer(capsys, "hold", "lift", *what, "--reason", "closed")
    assert answer(capsys, "hold", "list")["items"] == []
    assert "is not held" in answer(capsys, "hold", "lift", *what, "--reason", "x", status=1)
    answer(capsys, "apply")
    assert left(database_url) == ["new", "s13"]
    assert audit(capsys)[:2] == [("retention.held", id_), ("retention.lifted", id_)]


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("--session", "nosuch", "--reason", "x"), 1, "there is no session 'nosuch'"),
        (("--user", "nosuch", "--reason", "x"), 1, "there is no user 'nosuch'"),
        (("--session", "s9"), 2, "--reason"),
        (("--session", "s9", "--reason", " "), 2, "--reason"),
        (("--session", "s9", "--reason", "a\nb"), 2, "--reason"),
        (("--session", "s9", "--user", "D", "--reason", "x"), 2, "either"),
        (("--reason", "x"), 2, "either"),
    ],
)
def test_a_hold_that_would_hold_nothing_is_refused(capsys, words, status, said) -> None:
    assert said in answer(capsys, "hold", "add", *words, status=status)
    assert answer(capsys, "hold", "list")["items"] == []
    assert audit(capsys) == []
