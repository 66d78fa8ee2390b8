"""``GET /sessions/topics?overdue=1``: what waits too long, of whom, page by page."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import pytest_twisted

from imd.domain.errors import InvalidInput
from imd.domain.reply_clock import ReplyClock
from imd.domain.working_time import Calendar, week_of
from tests.actions.topic_world import SERVICE, Town, doctor, fields_of, patient

HOUR = 3_600_000
#: what a topic may be ahead of the clock
AHEAD = 10
LIMITS = {9: HOUR, 13: 3 * HOUR, 1: 24 * HOUR}


@pytest.fixture
def clocked(town: Town) -> Town:
    return limited(town, ReplyClock(LIMITS))


def limited(town: Town, clock: ReplyClock) -> Town:
    town.house = replace(town.house, reply_clock=clock)
    return town


async def walk(town: Town, caller: Any = SERVICE, **fields: Any) -> list[str]:
    found: list[str] = []
    cursor: dict[str, Any] = {}
    while True:
        page = await town.listed(caller, overdue=True, **fields, **cursor)
        found += [topic.id for topic in page.items]
        if page.next is None:
            return found
        cursor = {"cursor": page.next}


@pytest_twisted.ensureDeferred
async def test_every_list_is_what_a_look_at_each_topic_finds(clocked: Town) -> None:
    town, chance = clocked, random.Random(5)
    made: list[dict[str, Any]] = []
    for n in range(40):
        town.clock.time += chance.choice([0, 0, HOUR // 2, HOUR])
        type_, team = chance.choice([1, 9, 13, 8]), chance.choice(["T1", "T2", "T3"])
        members = ("P:patient", "D:doctor") if chance.random() < 0.6 else ("Q:patient", "E:doctor")
        await town.open(f"s{n}", *members, type_=type_)
        await town.start(f"s{n}", f"t{n:02}", members[0][0], team_code=team)
        began = (await town.topic(f"t{n:02}")).create_time
        state = chance.choice(["waits", "waits", "waits", "answered", "ended"])
        made.append({"id": f"t{n:02}", "type": type_, "team": team, "of": members,
                     "time": began, "waits": state == "waits"})  # fmt: skip
        if state == "answered":
            await town.send(f"s{n}", members[1][0])
        elif state == "ended":
            await town.end(f"s{n}", end_by=members[1][0])
    now = town.clock.time

    def expected(**wanted: Any) -> list[str]:
        found = [
            t for t in made
            if t["waits"] and t["time"] <= now - LIMITS.get(t["type"], 2**62)
            and (not wanted.get("user") or any(m[0] == wanted["user"] for m in t["of"]))
            and t["team"] in wanted.get("teams", ("T1", "T2", "T3"))
            and t["type"] in wanted.get("types", (1, 8, 9, 13))
        ]  # fmt: skip
        return [t["id"] for t in sorted(found, key=lambda t: (-t["time"], t["id"]))]

    def same(found: list[str], wanted: list[str]) -> None:
        assert len(wanted) == len(set(found)) == len(found)
        assert set(found) == set(wanted)
        times = {t["id"]: t["time"] for t in made}
        assert [(times[i], i) for i in found] == sorted(
            ((times[i], i) for i in found), reverse=True
        )

    same(await walk(town, size=3), expected())
    assert len(expected()) > 6, "the draw shows nothing"
    same(await walk(town, user_id="D", size=2), expected(user="D"))
    same(await walk(town, doctor("E"), size=200), expected(user="E"))
    same(await walk(town, patient("Q"), size=1), expected(user="Q"))
    same(await walk(town, team_code="T1", size=2), expected(teams=("T1",)))
    same(await walk(town, team_code="T1,T2", size=2), expected(teams=("T1", "T2")))
    same(await walk(town, team_code="T2", user_id="D"), expected(teams=("T2",), user="D"))
    same(await walk(town, type="13,8", size=2), expected(types=(13, 8)))
    same(await walk(town, type="9", user_id="D"), expected(types=(9,), user="D"))
    assert await walk(town, type="8") == []
    for topic in made:
        alone = await walk(town, session_id=f"s{int(topic['id'][1:])}")
        assert alone == [i for i in expected() if i == topic["id"]]
    health = await town.health(overdue=True, size=200)
    same([t.id for t in health.items], expected(types=(13,)))
    start = now - 5 * HOUR
    assert await walk(town, start=start) == [
        i for i in await walk(town) if next(t for t in made if t["id"] == i)["time"] >= start
    ]


@pytest_twisted.ensureDeferred
async def test_a_users_token_sees_overdue_topics_of_its_own_sessions_only(clocked: Town) -> None:
    await clocked.open("mine")
    await clocked.start("mine", "t1")
    await clocked.open("theirs", "Q:patient", "E:doctor")
    await clocked.start("theirs", "t2", "Q")
    clocked.clock.time += 2 * HOUR
    assert await walk(clocked, doctor("D")) == ["t1"]
    assert await walk(clocked, doctor("X")) == []
    assert set(await walk(clocked)) == {"t1", "t2"}


@pytest_twisted.ensureDeferred
async def test_an_answer_or_an_end_takes_it_off_at_once(clocked: Town) -> None:
    for name in "ab":
        await clocked.open(name)
        await clocked.start(name, f"t-{name}")
    clocked.clock.time += HOUR + AHEAD
    assert await walk(clocked) == ["t-b", "t-a"]
    await clocked.send("a", "D")
    assert await walk(clocked) == ["t-b"]
    await clocked.end("b")
    assert await walk(clocked) == []


@pytest_twisted.ensureDeferred
async def test_only_unreplied_topics_can_be_overdue(clocked: Town) -> None:
    await clocked.open("s")
    await clocked.start("s", "t")
    clocked.clock.time += HOUR + AHEAD
    for wanted in ({"state": "ongoing"}, {"status": 10}, {"reply": 1}):
        with pytest.raises(InvalidInput) as refused:
            await clocked.listed(overdue=True, **wanted)
        assert fields_of(refused.value) == ["overdue"]
    assert await walk(clocked, state="unreplied") == ["t"]


@pytest_twisted.ensureDeferred
async def test_without_a_limit_nothing_is_overdue(town: Town) -> None:
    await town.open("s")
    await town.start("s", "t")
    town.clock.time += 1000 * HOUR
    assert await walk(town) == [] == await walk(town, user_id="D")
    with pytest.raises(InvalidInput):
        await town.listed(overdue=False)


@pytest_twisted.ensureDeferred
async def test_a_changed_calendar_counts_for_topics_that_wait_already(town: Town) -> None:
    await town.open("s")
    await town.start("s", "t")
    town.clock.time += 13 * HOUR
    zone = ZoneInfo("Asia/Shanghai")
    nights = Calendar(week_of(["mon-sun 00:00-01:00"]), zone)
    assert await walk(limited(town, ReplyClock({9: 2 * HOUR}))) == ["t"]
    assert await walk(limited(town, ReplyClock({9: 2 * HOUR}, nights))) == []
    town.clock.time += 48 * HOUR
    assert await walk(town) == ["t"]
