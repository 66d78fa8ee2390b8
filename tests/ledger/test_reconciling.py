"""Pages 4.5 and 7.2: two ledgers, their differences, and one repair that makes them equal."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest

from imd.cli.main import run
from imd.domain.retention import Limit
from imd.storage.retention import open_retention
from imd.storage.store import sync_transaction
from tests.ledger import platforms
from tests.ledger.originals import ask, build
from tests.ledger.originals import run as change
from tests.ledger.platforms import consult, team

T = 1_600_000_000_000
WINDOW = ("--since", str(T - 1000), "--until", str(T + 100_000_000))


class Ledgers:
    def __init__(self, url: str, platform: str, capsys: Any) -> None:
        self.url, self.platform, self._capsys = url, platform, capsys

    def fill(self, consults: list[dict[str, Any]], teams: list[dict[str, Any]]) -> None:
        rows = {"wlyy_consult": consults, "wlyy_consult_team": teams}
        build(self.platform, rows, platforms.metadata())

    def topics(self, *rows: tuple[str, int, int | None], patients: bool = True) -> None:
        """A topic each with a session of its own: code, create_time, end_time."""
        with sync_transaction(self.url) as tx:
            db = tx.connection
            for code, made, ended in rows:
                db.run(
                    "INSERT INTO sessions (id, type, business_type, create_time, status,"
                    " current_topic_id) VALUES (%s, 1, 2, %s, %s, %s)",
                    (f"s-{code}", made, int(ended is None), None if ended else code),
                )
                if patients:
                    db.run(
                        "INSERT INTO participants (session_id, participant_id, role, create_time,"
                        " last_fetch_time) VALUES (%s, 'p', 'patient', 1, 1)",
                        (f"s-{code}",),
                    )
                db.run(
                    "INSERT INTO topics (id, session_id, session_type, type, status, team_code,"
                    " create_time, start_by, end_time) VALUES (%s, %s, 1, 2, %s, '7', %s, 'p', %s)",
                    (code, f"s-{code}", 10 if ended else 0, made, ended),
                )

    def run(self, *words: str, status: int = 0) -> Any:
        assert run(["reconcile", *WINDOW, *words, "--json"]) == status
        return json.loads(self._capsys.readouterr().out)

    def audit(self) -> list[tuple[str, str]]:
        assert run(["audit", "show", "--action", "reconcile.*", "--json", "--limit", "9999"]) == 0
        items = json.loads(self._capsys.readouterr().out)["items"]
        assert run(["audit", "verify"]) == 0
        self._capsys.readouterr()
        return sorted((item["action"], item["object"]) for item in items)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with sync_transaction(self.url, write=False) as tx:
            return [tuple(row) for row in tx.connection.rows(sql)]


@pytest.fixture
def ledgers(way, monkeypatch, capsys):
    platform, url = way
    monkeypatch.setenv("IMD_DATABASE_URL", url)
    monkeypatch.setenv("IMD_PLATFORM_URL", platform)
    return Ledgers(url, platform, capsys)


def classes(found: Any) -> dict[str, list[str]]:
    by_class: dict[str, list[str]] = {}
    for item in found["items"]:
        by_class.setdefault(item["class"], []).append(item["code"])
    return by_class


def of_every_class(ledgers: Ledgers) -> None:
    ledgers.topics(
        ("same", T, None), ("done", T, T + 50), ("a-imd", T, None), ("no-team", T, None),
        ("over-here", T, T + 50), ("over-there", T, None), ("other", T, None),
    )  # fmt: skip
    codes = ("same", "done", "over-here", "over-there", "other", "z-new")
    ledgers.fill(
        [consult("same", T + 999), consult("done", T, ended=T), consult("no-team", T),
         consult("over-here", T), consult("over-there", T, ended=T + 5000),
         consult("other", T + 5000, type=8), consult("z-new", T)],
        [team(code, T) for code in codes],
    )  # fmt: skip


def test_each_difference_has_its_class(ledgers: Ledgers) -> None:
    of_every_class(ledgers)
    found = ledgers.run(status=1)
    assert classes(found) == {
        "missing_in_platform": ["a-imd"], "missing_team_row": ["no-team"],
        "fields_differ": ["other"], "ended_in_imd_only": ["over-here"],
        "ended_in_platform_only": ["over-there"], "missing_in_imd": ["z-new"],
    }  # fmt: skip
    assert all(number == 1 for number in found["differences"].values())
    assert (found["compared"], found["applied"]) == (8, 0)
    assert [item["code"] for item in found["items"]] == sorted(i["code"] for i in found["items"])
    [other] = [item for item in found["items"] if item["code"] == "other"]
    assert other["fields"] == {"type": [2, 8], "create_time": [T, T + 5000]}
    assert other["session_id"] == "s-other" and other["repair"] == "set_fields"
    assert ledgers.run(status=1) == found and ledgers.audit() == []


def test_apply_repairs_imd_and_leaves_the_platform(ledgers: Ledgers) -> None:
    of_every_class(ledgers)
    before = ask(ledgers.platform, "SELECT * FROM wlyy_consult")
    found = ledgers.run("--apply", status=1)
    assert found["applied"] == 3 and sum(found["differences"].values()) == 6
    assert ask(ledgers.platform, "SELECT * FROM wlyy_consult") == before
    left = ledgers.run("--apply", status=1)
    assert sorted(classes(left)) == ["ended_in_imd_only", "missing_in_platform", "missing_team_row"]
    assert left["applied"] == 0
    assert ledgers.audit() == [
        ("reconcile.topic_changed", "other"), ("reconcile.topic_ended", "over-there"),
        ("reconcile.topic_made", "z-new"),
    ]  # fmt: skip
    made = ledgers.rows(
        "SELECT t.session_id, t.status, t.create_time, t.team_code, s.current_topic_id, s.status"
        " FROM topics t JOIN sessions s ON s.id = t.session_id WHERE t.id = 'z-new'"
    )
    assert made == [("p_t1_2", 0, T, "7", "z-new", 1)]
    members = "SELECT participant_id, role FROM participants WHERE session_id = 'p_t1_2' ORDER BY 1"
    assert ledgers.rows(members) == [("d", "doctor"), ("p", "patient")]
    ended = "SELECT status, end_time FROM topics WHERE id = 'over-there'"
    assert ledgers.rows(ended) == [(10, T + 5000)]


def test_writing_the_platform_makes_both_equal(ledgers: Ledgers) -> None:
    of_every_class(ledgers)
    found = ledgers.run("--apply", "--write-platform")
    assert found["applied"] == 6
    again = ledgers.run("--apply", "--write-platform")
    assert not any(again["differences"].values()) and again["applied"] == 0
    assert len(ledgers.audit()) == 6
    assert ask(
        ledgers.platform, "SELECT patient, type, status FROM wlyy_consult WHERE code = 'a-imd'"
    ) == [("p", 2, 0)]


def test_what_lies_outside_the_window_on_one_side_is_not_missing(ledgers: Ledgers) -> None:
    ledgers.topics(("late", T - 5_000_000, None), ("early", T, None))
    ledgers.fill(
        [consult("late", T), consult("early", T - 5_000_000)], [team("late", T), team("early", T)]
    )
    assert classes(ledgers.run(status=1)) == {"fields_differ": ["early", "late"]}


def test_another_live_topic_blocks_and_nobody_joins_anothers_conversation(ledgers: Ledgers) -> None:
    ledgers.topics(("mine", T, None))
    with sync_transaction(ledgers.url) as tx:
        tx.connection.run(
            "INSERT INTO sessions (id, type, business_type, create_time, status, current_topic_id)"
            " VALUES ('p_t1_2', 1, 2, 1, 1, 'mine2')"
        )
        tx.connection.run(
            "INSERT INTO topics (id, session_id, session_type, type, status, create_time, start_by)"
            " VALUES ('mine2', 'p_t1_2', 1, 2, 0, 1, 'p')"
        )
    ledgers.fill(
        [consult("mine", T, patient="stranger"), consult("new", T), consult("odd/code", T)],
        [team("mine", T), team("new", T), team("odd/code", T)],
    )
    found = ledgers.run("--apply", status=1)
    assert {(i["code"], i["repair"]) for i in found["items"]} == {
        ("mine", "blocked"), ("new", "blocked"), ("odd/code", "blocked"),
    }  # fmt: skip
    assert found["applied"] == 0 and ledgers.audit() == []
    assert ledgers.rows("SELECT count(*) FROM participants WHERE participant_id = 'stranger'") == [
        (0,)
    ]


def test_a_member_of_whom_nothing_is_known_becomes_the_patient_that_the_platform_names(
    ledgers: Ledgers,
) -> None:
    """Once: what was repaired is equal to the next run, and what cannot be is not noted again."""
    ledgers.topics(("known", T, None), ("clinic", T, None), patients=False)
    with sync_transaction(ledgers.url) as tx:
        db = tx.connection
        db.run(
            "INSERT INTO sessions (id, type, business_type, create_time) VALUES ('p_t1_2', 1, 2, 1)"
        )
        for session_id, role in (("s-known", "0"), ("s-clinic", "doctor"), ("p_t1_2", "0")):
            db.run(
                "INSERT INTO participants (session_id, participant_id, role, create_time,"
                " last_fetch_time) VALUES (%s, 'p', %s, 1, 1)",
                (session_id, role),
            )
    codes = ("known", "clinic", "new")
    ledgers.fill([consult(code, T) for code in codes], [team(code, T) for code in codes])
    found = ledgers.run("--apply", status=1)
    assert {(i["code"], i["repair"]) for i in found["items"]} == {
        ("known", "set_fields"), ("clinic", "blocked"), ("new", "make_topic"),
    }  # fmt: skip
    noted = ledgers.audit()
    assert [code for _, code in noted] == ["known", "new"]
    assert classes(ledgers.run("--apply", status=1)) == {"fields_differ": ["clinic"]}
    assert ledgers.audit() == noted
    roles = "SELECT session_id, role FROM participants WHERE participant_id = 'p' ORDER BY 1"
    assert ledgers.rows(roles) == [
        ("p_t1_2", "patient"), ("s-clinic", "doctor"), ("s-known", "patient"),
    ]  # fmt: skip


def test_one_run_makes_two_ledgers_of_ten_thousand_equal(ledgers: Ledgers) -> None:
    """1 % are dropped on either side; a second run does nothing, the trail names each repair."""
    codes = [f"c{n:05}" for n in range(10_000)]
    ours = [code for n, code in enumerate(codes) if n % 100 != 3]
    theirs = [code for n, code in enumerate(codes) if n % 100 != 71]
    with sync_transaction(ledgers.url) as tx:
        db = tx.connection
        db.load("sessions", ("id", "type", "business_type", "create_time"),
                [(f"s{c}", 1, 2, T) for c in ours])  # fmt: skip
        db.load("participants",
                ("session_id", "participant_id", "role", "create_time", "last_fetch_time"),
                [(f"s{c}", f"p{c}", "patient", 1, 1) for c in ours])  # fmt: skip
        db.load("topics",
                ("id", "session_id", "session_type", "type", "status", "team_code", "create_time",
                 "start_by", "end_time"),
                [(c, f"s{c}", 1, 2, 10, "7", T, "p", T + 9) for c in ours])  # fmt: skip
    ledgers.fill(
        [consult(c, T, ended=T, patient=f"p{c}") for c in theirs],
        [team(c, T, patient=f"p{c}") for c in theirs],
    )
    found = ledgers.run("--apply", "--write-platform", "--limit", "50")
    assert (found["compared"], found["applied"], len(found["items"])) == (10_000, 200, 50)
    assert found["differences"]["missing_in_imd"] == 100
    assert found["differences"]["missing_in_platform"] == 100
    assert [i["code"] for i in found["items"]] == sorted(
        {*codes} - ({*ours} & {*theirs})
    )[:50]  # fmt: skip
    again = ledgers.run("--apply", "--write-platform")
    assert (again["compared"], again["applied"], again["items"]) == (10_000, 0, [])
    named = {object_ for _, object_ in ledgers.audit()}
    assert named == {*codes} - ({*ours} & {*theirs})
    assert ask(ledgers.platform, "SELECT count(*) FROM wlyy_consult") == [(10_000,)]


def test_a_csv_has_a_line_each(ledgers: Ledgers, capsys: Any) -> None:
    of_every_class(ledgers)
    assert run(["reconcile", *WINDOW, "--csv"]) == 1
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["code"] for row in rows][:2] == ["a-imd", "no-team"]
    assert json.loads(rows[2]["fields"])["type"] == [2, 8]


def test_names_are_settings(ledgers: Ledgers, monkeypatch: Any, capsys: Any) -> None:
    ledgers.topics(("c", T, T + 9))
    ledgers.fill([consult("c", T, ended=T)], [team("c", T)])
    change(
        ledgers.platform,
        "ALTER TABLE wlyy_consult RENAME TO consults",
        "ALTER TABLE consults RENAME COLUMN czrq TO made",
        "UPDATE consults SET status = 9",
    )
    assert run(["reconcile", *WINDOW]) == 2
    assert "no table wlyy_consult" in capsys.readouterr().err
    names = {"wlyy_consult": "consults", "wlyy_consult.czrq": "made", "status_ended": [9]}
    monkeypatch.setenv("IMD_PLATFORM_NAMES", json.dumps(names))
    assert ledgers.run()["compared"] == 1


def test_what_cannot_be_is_status_2(ledgers: Ledgers, monkeypatch: Any, capsys: Any) -> None:
    assert run(["reconcile", "--since", "yesterday"]) == 2
    assert "is no time" in capsys.readouterr().err
    monkeypatch.setenv("IMD_PLATFORM_URL", "")
    assert run(["reconcile"]) == 2
    assert "platform.url" in capsys.readouterr().err


def test_a_consult_that_retention_deleted_is_not_missing(ledgers: Ledgers) -> None:
    ledgers.topics(("here", T, T + 50), ("gone", T, T + 50))
    ledgers.fill(
        [consult(code, T, ended=T + 50) for code in ("here", "gone", "never")],
        [team(code, T) for code in ("here", "gone", "never")],
    )
    with open_retention(ledgers.url, lambda seconds: None) as retainer:
        done = retainer.do(lambda store: store.cut("s-gone", Limit(T + 1000), 1000, T))
    assert done is not None and done.topics == 1
    found = ledgers.run("--apply")
    assert classes(found) == {"missing_in_imd": ["never"]}
    assert ledgers.rows("SELECT id FROM topics ORDER BY id") == [("here",), ("never",)]
