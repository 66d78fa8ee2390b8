"""Page 7.3: the seed's statistics, equal to its own queries, with reply figures beside them."""

from __future__ import annotations

import csv
import io
import json
import math
import random
from collections import Counter
from typing import Any

import pytest

from imd.cli.main import run
from imd.storage.store import sync_transaction
from tests.ledger import platforms
from tests.ledger.conftest import source_of
from tests.ledger.originals import ask, build
from tests.ledger.platforms import consult, team

T = 1_500_000_000_000  # 2017-07-14 in Shanghai
DAY = 86_400_000
STATES = {"unreplied": (0, 0), "ongoing": (0, 1), "replied": (10, 1), "expired": (10, 0)}


class World:
    def __init__(self, url: str, platform: str) -> None:
        self.platform, rnd = platform, random.Random(7)
        self.consults: list[dict[str, Any]] = []
        for n in range(300):
            made = T - 30 * DAY + rnd.randint(0, 60) * DAY
            state = rnd.choice(list(STATES))
            replied = made + rnd.randint(1000, 9_000_000) if "reply" not in state else None
            if STATES[state][1]:
                replied = made + rnd.randint(1000, 9_000_000)
            self.consults.append(
                {"code": f"c{n:03}", "made": made, "state": state, "type": rnd.choice((2, 2, 8)),
                 "team": rnd.randint(1, 5), "doctor": f"d{rnd.randint(1, 5)}",
                 "wait": replied - made if STATES[state][1] and replied else None}
            )  # fmt: skip
        with sync_transaction(url) as tx:
            db = tx.connection
            for c in self.consults:
                status, reply = STATES[c["state"]]
                db.run("INSERT INTO sessions (id, type, business_type, create_time)"
                       " VALUES (%s, 1, 2, 1)", (c["code"],))  # fmt: skip
                db.run(
                    "INSERT INTO topics (id, session_id, session_type, type, status, reply,"
                    " team_code, create_time, start_by, reply_by, reply_time)"
                    " VALUES (%s, %s, 1, %s, %s, %s, %s, %s, 'p', %s, %s)",
                    (c["code"], c["code"], c["type"], status, reply, f"team{c['team']}",
                     c["made"], c["doctor"] if reply else None,
                     c["made"] + c["wait"] if c["wait"] else None),
                )  # fmt: skip
        build(
            platform,
            {
                "wlyy_consult": [consult(c["code"], c["made"]) for c in self.consults],
                "wlyy_consult_team": [
                    team(c["code"], c["made"], type=c["type"], admin_team_code=c["team"],
                         doctor=c["doctor"])
                    for c in self.consults
                ],
                "wlyy_admin_team": [
                    {"id": n, "name": f"team {n}", "leader_code": f"d{min(n, 4)}",
                     "org_code": "3502050100" if n < 3 else "3502050300"}
                    for n in range(1, 6)
                ],
                "wlyy_doctor": [{"code": f"d{n}", "name": f"Dr {n}"} for n in range(1, 6)],
                "dm_hospital": [{"code": "3502050100", "name": "嵩屿"}],
            },
            platforms.metadata(),
        )  # fmt: skip


@pytest.fixture(params=["sqlite-sqlite", "mysql-postgres"])
def world(request, monkeypatch):
    source, _, target = request.param.partition("-")
    platform, url = source_of(source, request), request.getfixturevalue(f"{target}_copy")
    monkeypatch.setenv("IMD_DATABASE_URL", url)
    monkeypatch.setenv("IMD_PLATFORM_URL", platform)
    return World(url, platform)


def stats(capsys: Any, *words: str) -> list[dict[str, Any]]:
    assert run(["stats", "consults", *words, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["rule"] == "expired-excluded"
    rows: list[dict[str, Any]] = answer["rows"]
    return rows


#: as the original's documents print them, to the letter
TEAMS = (
    "SELECT a.name,b.c from wlyy_admin_team a, (SELECT admin_team_code,COUNT(*) c from"
    " wlyy_consult_team WHERE type = 2 and czrq>'2017-07-01' GROUP BY admin_team_code) b WHERE"
    " a.org_code = '3502050100' and a.id = b.admin_team_code;"
)
DOCTORS = (
    "SELECT a.name,d.name,sum(b.c) from wlyy_admin_team a, wlyy_doctor d, (SELECT"
    " admin_team_code,doctor,COUNT(*) c from wlyy_consult_team WHERE type = 2 and"
    " czrq>'2017-07-01' GROUP BY admin_team_code,doctor) b WHERE a.org_code = '3502050300' and"
    " a.id = b.admin_team_code and d.code = b.doctor GROUP BY a.name,d.name"
)
LEADERS = (
    "SELECT a.name,d.name,b.c from wlyy_admin_team a, wlyy_doctor d, (SELECT"
    " admin_team_code,COUNT(*) c from wlyy_consult_team WHERE type = 2 and czrq>'2017-07-01'"
    " GROUP BY admin_team_code) b WHERE a.org_code = '3502050300' and a.id = b.admin_team_code"
    " and a.leader_code = d.code;"
)


def test_the_three_queries_of_the_seed(world: World, capsys: Any) -> None:
    words = ("--type", "2", "--since", "2017-07-01", "--org")
    rows = stats(capsys, "--by", "team", *words, "3502050100")
    told_of_teams = set(ask(world.platform, TEAMS))
    assert {(r["name"], r["consults"]) for r in rows} == told_of_teams and len(rows) == 2
    rows = stats(capsys, "--by", "team,doctor", *words, "3502050300")
    assert {(*r["name"].split(","), r["consults"]) for r in rows} == set(
        ask(world.platform, DOCTORS)
    )
    rows = stats(capsys, "--by", "leader", *words, "3502050300")
    told = Counter[str]()
    for _, leader, number in ask(world.platform, LEADERS):  # who leads two teams has two rows
        told[leader] += number
    assert {r["name"]: r["consults"] for r in rows} == told and len(told) == 2


def test_reply_figures(world: World, capsys: Any) -> None:
    [*rows] = stats(capsys, "--by", "doctor", "--list")
    assert len(rows) == 5
    for row in rows:
        mine = [c for c in world.consults if c["doctor"] == row["key"]]
        states = Counter(c["state"] for c in mine)
        assert {name: row[name] for name in STATES} == {name: states[name] for name in STATES}
        assert row["consults"] == len(mine) and row["name"] == f"Dr {row['key'][1:]}"
        asked = len(mine) - states["expired"]
        assert row["reply_rate"] == (states["replied"] + states["ongoing"]) / asked
        waits = sorted(c["wait"] for c in mine if c["wait"] is not None)
        nearest = {f"p{p}": waits[math.ceil(len(waits) * p / 100) - 1] for p in (50, 90)}
        assert row["first_reply_ms"] == nearest
        assert sorted(row["list"]) == [c["code"] for c in mine]


def test_by_organisation_and_type(world: World, capsys: Any) -> None:
    orgs = stats(capsys, "--by", "org")
    assert {row["key"]: row["name"] for row in orgs} == {
        "3502050100": "嵩屿", "3502050300": "3502050300",
    }  # fmt: skip
    types = Counter(str(c["type"]) for c in world.consults)
    assert {row["key"]: row["consults"] for row in stats(capsys, "--by", "type")} == types


def test_without_a_platform_the_topics_own_fields_count(
    world: World, capsys: Any, monkeypatch: Any
) -> None:
    monkeypatch.setenv("IMD_PLATFORM_URL", "")
    teams = Counter(f"team{c['team']}" for c in world.consults)
    rows = stats(capsys, "--by", "team")
    assert {row["key"]: row["consults"] for row in rows} == teams
    assert all(row["name"] == row["key"] for row in rows)
    assert run(["stats", "consults", "--by", "leader"]) == 2
    assert run(["stats", "consults", "--by", "moon"]) == 2
    capsys.readouterr()


def test_a_window_is_inclusive_below_and_exclusive_above(world: World, capsys: Any) -> None:
    made = sorted(c["made"] for c in world.consults)
    rows = stats(capsys, "--by", "type", "--since", str(made[100]), "--until", str(made[200]))
    assert sum(row["consults"] for row in rows) == sum(made[100] <= m < made[200] for m in made)


def test_csv(world: World, capsys: Any) -> None:
    assert run(["stats", "consults", "--by", "team", "--csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert len(rows) == 5 and sum(int(row["consults"]) for row in rows) == 300
