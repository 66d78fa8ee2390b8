"""A random history of topics: every list, count and statistic against a plain model.

2,000 topics in 200 sessions, most of them made by the stores in few transactions, some through the
actions; members come and go; then an operator repairs topics and members by hand. After each, what
triggers keep must be a recount.
"""

from __future__ import annotations

import random
import statistics
from dataclasses import replace
from itertools import product
from typing import Any

import pytest_twisted

from imd.domain.ids import UserId
from imd.domain.participant import Seat
from imd.domain.session import Head
from imd.domain.topic import STATE_MARKS, Topic
from tests.actions.topic_world import SERVICE, Town, doctor
from tests.storage.ground import NOW, together

SESSIONS, TOPICS, ACTED = 200, 2000, 300
TYPES, TEAMS = (1, 2, 8, 9, 13), (None, "T1", "T2", "T3")
USERS = ("D1", "D2", "D3", "P1", "P2")


class Model:
    """What the store should know, in plain dicts."""

    def __init__(self) -> None:
        self.members: dict[str, set[str]] = {}
        self.types: dict[str, int] = {}
        self.topics: dict[str, Topic] = {}

    def among(self, user: str | None = None, sid: set[str] | None = None, **wanted: Any):
        """The topics that fit, newest first."""
        kept = [
            t
            for t in self.topics.values()
            if (user is None or user in self.members[t.session_id])
            and (sid is None or t.session_id in sid)
            and ("session" not in wanted or t.session_id == wanted["session"])
            and ("teams" not in wanted or t.team_code in wanted["teams"])
            and ("types" not in wanted or t.session_type in wanted["types"])
            and ("status" not in wanted or t.status == wanted["status"])
            and ("reply" not in wanted or t.reply == wanted["reply"])
            and ("start" not in wanted or t.create_time >= wanted["start"])
            and ("end" not in wanted or t.create_time < wanted["end"])
        ]
        return sorted(kept, key=lambda t: (t.create_time, t.id), reverse=True)


def count(topics: list[Topic]) -> dict[str, int]:
    return {
        state: sum((t.status, t.reply) == marks for t in topics)
        for state, marks in STATE_MARKS.items()
    }


def build(chance: random.Random) -> Model:
    model = Model()
    for n in range(SESSIONS):
        model.types[f"s{n}"] = chance.choice(TYPES)
        model.members[f"s{n}"] = set(chance.sample(USERS, chance.randint(1, 4)))
    live: set[str] = set()
    for n in range(TOPICS - ACTED):
        session = f"s{chance.randrange(SESSIONS)}"
        state = chance.choice(list(STATE_MARKS))
        status, reply = STATE_MARKS[state]
        if status == 0 and (session in live or chance.random() < 0.5):
            status = 10
        live |= {session} if status == 0 else set()
        time = NOW - chance.randrange(0, 40_000) * 1000  # ties among them
        answered = time + chance.randrange(1, 10**6) if reply else None
        model.topics[f"t{n}"] = Topic(
            f"t{n}", session, model.types[session], None, None, None, status, reply,
            chance.choice(TEAMS), time, "P1", None, None, None, answered, *[None] * 5,
        )  # fmt: skip
    return model


async def store(town: Town, model: Model) -> None:
    """The model's sessions and topics, through the stores."""

    def work(transaction) -> None:
        live = {t.session_id: t.id for t in model.topics.values() if t.status == 0}
        for session, members in model.members.items():
            head = Head(session, session, model.types[session], 2, 0, 1, 0, 0, NOW, None, None,
                        None, None, 0)  # fmt: skip
            transaction.sessions.insert(head)
            seats = [Seat(UserId(u), "doctor" if u[0] == "D" else "patient") for u in members]
            transaction.participants.add(head, seats, 1)
            if session in live:
                transaction.sessions.set_topic(session, live[session], 1)
        for topic in model.topics.values():
            assert transaction.topics.insert(topic)

    await town.house.db.write(work)


async def act(town: Town, model: Model, chance: random.Random) -> None:
    """A few hundred topics through the actions, many at once."""

    async def one(number: int, session: str) -> None:
        town.clock.time += chance.randrange(1, 50)
        members = sorted(model.members[session])
        for live in [t for t in model.topics.values() if t.session_id == session and not t.status]:
            ended = await town.end(session, live.id, end_by=members[0])
            model.topics[live.id] = replace(live, status=ended.status, reply=ended.reply)
        id_, by = f"a{number}", chance.choice(members)
        team = chance.choice(TEAMS)
        await town.start(session, id_, by, team_code=team)
        doctors = [m for m in members if m[0] == "D" and m != by]
        if doctors and chance.random() < 0.5:
            town.clock.time += chance.randrange(1, 50)
            await town.send(session, chance.choice(doctors))
        if chance.random() < 0.2:
            await town.update(id_, reply=chance.choice((0, 1)), team_code=chance.choice(TEAMS))
        if chance.random() < 0.6:
            await town.end(session, id_, end_by=by)
        model.topics[id_] = await town.topic(id_)

    for batch in range(0, ACTED, 30):
        places = chance.sample(sorted(model.members), 30)
        await together([one(batch + n, place) for n, place in enumerate(places)])


async def walk(verb: Any, *args: Any, **fields: Any) -> list[str]:
    """The ids on all pages."""
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = await verb(*args, **fields, **cursor)
        seen += [topic.id for topic in page.items]
        if page.next is None:
            return seen
        cursor = {"cursor": page.next}


def texts(wanted: dict[str, Any]) -> dict[str, Any]:
    """A model's filter as the fields of a request."""
    names = {"teams": "team_code", "types": "type", "session": "session_id", "user": "user_id"}
    return {names.get(name, name): list(value) if name in ("teams", "types") else value
            for name, value in wanted.items()}  # fmt: skip


async def check_lists(town: Town, model: Model, chance: random.Random) -> None:
    marks = [{}, *({"status": s, "reply": r} for s, r in STATE_MARKS.values()),
             {"status": 0}, {"status": 10}, {"reply": 0}, {"reply": 1}]  # fmt: skip
    whose: list[dict[str, Any]] = [{"user": "D1"}, {"user": "P2"}, {"teams": ["T1"]},
                                   {"teams": ["T2", "T3", "T9"]}, {"session": "s7"},
                                   {"user": "D2", "teams": ["T1", "T2"]}]  # fmt: skip
    more: list[dict[str, Any]] = [{}, {"types": [13]}, {"types": [9, 2]},
                                  {"start": NOW - 2 * 10**7, "end": NOW - 10**6}]  # fmt: skip
    for who, mark, other in product(whose, marks, more):
        wanted = {**who, **mark, **other}
        expected = [t.id for t in model.among(**wanted)]
        got = await walk(town.listed, size=chance.choice((17, 60, 200)), **texts(wanted))
        assert got == expected, wanted
    for user, state in product(USERS, STATE_MARKS):
        status, reply = STATE_MARKS[state]
        expected = [t.id for t in model.among(user, status=status, reply=reply, types=[1, 9])]
        assert await walk(town.by_type, user_id=user, state=state, type="1,9", size=50) == expected
    sid = set(chance.sample(sorted(model.members), 40))
    expected = [t.id for t in model.among("D1", sid)]
    assert await walk(town.listed, doctor("D1", sid=sid), size=50) == expected
    expected = [t.id for t in model.among("D3", types=[13])]
    assert await walk(town.health, user_id="D3") == expected


async def check_figures(town: Town, model: Model) -> None:
    for user in USERS:
        times = await town.ground.store.database.read(lambda tx, u: tx.users.consult_time(u), user)
        assert times.last_consult_time == model.among(user)[0].create_time
        ((acted,),) = await town.ground.rows(
            "SELECT max(p.active_time) FROM participants p WHERE p.participant_id = %s"
            " AND EXISTS (SELECT 1 FROM topics t WHERE t.session_id = p.session_id)", user,
        )  # fmt: skip
        assert times.last_active_time == acted is not None
        for types in (None, [9], [1, 13]):
            given: dict[str, Any] = {} if types is None else {"types": types}
            n = count(model.among(user, **given))
            got = await town.counts(user_id=user, **texts(given))
            assert {s: getattr(got, s) for s in STATE_MARKS} == n and got.count == sum(n.values())
    window = {"start": NOW - 3 * 10**7, "end": NOW - 10**6}
    whose: list[dict[str, Any]] = [{}, {"user": "D1"}, {"teams": ["T1"]}, {"teams": ["T1", "T3"]},
                                   {"user": "P1", "teams": ["T2"]}]  # fmt: skip
    typed: list[dict[str, Any]] = [{}, {"types": [9, 13]}]
    for who, kind, when in product(whose, typed, ({}, window)):
        wanted: dict[str, Any] = {**who, **kind, **when}
        topics = model.among(**wanted)
        n = count(topics)
        total = sum(n.values()) - n["expired"]
        waits = [t.reply_time - t.create_time for t in topics if t.reply and t.reply_time]
        got = await town.replies(SERVICE, **texts(wanted))
        assert {s: getattr(got, s) for s in STATE_MARKS} == n, wanted
        assert got.total == total
        assert got.reply_rate == ((n["ongoing"] + n["replied"]) / total if total else None)
        assert got.median_reply_ms == (statistics.median(waits) if waits else None)
    teams = await town.teams(team_code="T1,T2,T3,T9", user_id="D1", size=1)
    expected = {t: len(model.among("D1", teams=[t], types=[13])) for t in ("T1", "T2", "T3")}
    assert {t.team_code: t.count for t in teams.teams} == {t: n for t, n in expected.items() if n}


async def check_kept(town: Town) -> None:
    """What triggers keep is a recount of the topics, and of who may see them."""
    marks = "create_time, {}, session_type, status, reply"
    shown = await town.ground.rows(
        f"SELECT participant_id, {marks.format('topic_id')} FROM participant_topics"
    )
    seen = await town.ground.rows(
        f"SELECT p.participant_id, t.{marks.format('id')} FROM participants p"
        " JOIN topics t ON t.session_id = p.session_id"
    )
    assert sorted(shown) == sorted(seen)
    states = ", ".join(
        f"sum(CASE WHEN status = {s} AND reply = {r} THEN 1 ELSE 0 END)"
        for s, r in STATE_MARKS.values()
    )
    recount = await town.ground.rows(
        f"SELECT session_id, coalesce(team_code, ''), session_type, {states} FROM topics"
        " GROUP BY 1, 2, 3"
    )
    tallies = await town.ground.rows(
        f"SELECT session_id, team_code, session_type, {', '.join(STATE_MARKS)} FROM topic_tallies"
    )
    assert {row for row in tallies if any(row[3:])} == {row for row in recount if any(row[3:])}
    assert all(n >= 0 for row in tallies for n in row[3:])


async def repair(town: Town, model: Model, chance: random.Random) -> None:
    """What an operator does by hand, in plain SQL and without a lock."""

    def change(transaction) -> None:
        run = transaction.connection.run
        for id_ in chance.sample(sorted(model.topics), 300):
            topic, dice = model.topics[id_], chance.randrange(6)
            if dice == 0:
                run("DELETE FROM topics WHERE id = %s", (id_,))
                del model.topics[id_]
                continue
            if dice == 1:
                topic = replace(topic, team_code=chance.choice(TEAMS))
            elif dice == 2:
                topic = replace(topic, status=10, reply=chance.choice((0, 1)))
            elif dice == 3:
                session = chance.choice(sorted(model.members))
                topic = replace(topic, session_id=session, status=10)
            elif dice == 4:
                topic = replace(topic, session_type=chance.choice(TYPES))
            else:
                topic = replace(topic, create_time=topic.create_time - chance.randrange(10**6))
            run(
                "UPDATE topics SET team_code = %s, status = %s, reply = %s, session_id = %s,"
                " session_type = %s, create_time = %s WHERE id = %s",
                (topic.team_code, topic.status, topic.reply, topic.session_id,
                 topic.session_type, topic.create_time, id_),
            )  # fmt: skip
            model.topics[id_] = topic
        run("UPDATE topics SET team_code = 'T3' WHERE team_code = 'T2' AND status = 10")
        for id_, topic in model.topics.items():
            if topic.team_code == "T2" and topic.status == 10:
                model.topics[id_] = replace(topic, team_code="T3")

    await town.house.db.write(change)


async def come_and_go(town: Town, model: Model, chance: random.Random) -> None:
    """Members are added, removed and exchanged, by the stores and by hand."""

    def change(transaction) -> None:
        run = transaction.connection.run
        for session in chance.sample(sorted(model.members), 120):
            members, head = model.members[session], transaction.sessions.lock(session)
            new = chance.choice(sorted(set(USERS) - members) or [None])
            old = chance.choice(sorted(members)) if len(members) > 1 else None
            if new is not None and chance.random() < 0.3:
                run("UPDATE participants SET participant_id = %s WHERE session_id = %s"
                    " AND participant_id = %s", (new, session, old or min(members)))  # fmt: skip
                members ^= {new, old or min(members)}
            elif new is not None and chance.random() < 0.6:
                transaction.participants.add(head, [Seat(UserId(new), "x")], NOW)
                members.add(new)
            elif old is not None:
                transaction.participants.remove(session, [old])
                members.discard(old)

    await town.house.db.write(change)


@pytest_twisted.ensureDeferred
async def test_every_list_count_and_statistic_equals_a_plain_model(town: Town) -> None:
    chance = random.Random(20261124)
    model = build(chance)
    await store(town, model)
    await check_kept(town)
    await act(town, model, chance)
    assert len(model.topics) == TOPICS
    await come_and_go(town, model, chance)
    await check_lists(town, model, chance)
    await check_figures(town, model)
    await check_kept(town)
    for _ in range(2):
        await repair(town, model, chance)
        await come_and_go(town, model, chance)
        await check_kept(town)
    await check_lists(town, model, chance)
    await check_figures(town, model)


@pytest_twisted.ensureDeferred
async def test_pages_joined_are_the_list_while_topics_arrive(town: Town) -> None:
    chance = random.Random(7)
    model = build(chance)
    await store(town, model)
    expected = {user: [t.id for t in model.among(user)] for user in USERS}
    number = 0
    for user in ("D1", "P1"):
        seen: list[str] = []
        cursor: dict[str, str] = {}
        while True:
            page = await town.listed(user_id=user, size=50, **cursor)
            seen += [topic.id for topic in page.items]
            for _ in range(2):
                number += 1
                session = f"new{number}"
                await town.open(session, "D1:doctor", "P1:patient")
                await town.start(session, session, "P1")
            if page.next is None:
                break
            cursor = {"cursor": page.next}
        assert [id_ for id_ in seen if not id_.startswith("new")] == expected[user]
