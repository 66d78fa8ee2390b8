"""Page 2.4: what lets a page of a user's sessions look at few of them, which triggers keep.

Users of many sessions walk through pages here while messages come hour by hour.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import pytest
import pytest_twisted

from imd.actions.queries import SessionQuery
from imd.domain.ids import UserId
from imd.domain.participant import Seat
from imd.storage.migrations.list_triggers import ALWAYS, FEW, MOST, PERIOD
from tests.storage.ground import Ground, together

MANY = FEW + 30


async def placed(ground: Ground, user_id: str) -> dict[str, int]:
    """The user's periods by session, each that of the last message or none."""
    found = await ground.rows(
        "SELECT p.session_id, p.list_period, p.list_type, s.type,"
        f" coalesce(s.last_message_time, s.create_time) / {PERIOD}"
        " FROM participants p JOIN sessions s ON s.id = p.session_id"
        " WHERE p.participant_id = %s ORDER BY s.create_time, s.id",
        user_id,
    )
    for session, period, list_type, type_, hour in found:
        assert period in (hour, ALWAYS), session
        assert list_type == type_
    return {row[0]: row[1] for row in found}


async def crowd(ground: Ground, chance: random.Random, many: int = MANY) -> None:
    """D in many sessions, each with a patient of its own; some have messages, some are pinned."""
    for n in range(many):
        ground.clock.time += chance.choice([0, 5, PERIOD // 3, PERIOD])
        await ground.session(f"s{n:02}", "D", f"P{n}", type_=chance.choice([1, 2, 13]))
    for n in chance.sample(range(many), many * 2 // 3):
        ground.clock.time += chance.choice([0, 5, PERIOD // 5])
        await ground.send(f"s{n:02}", f"P{n}")

    def pin(transaction) -> None:
        for n in chance.sample(range(many), 5):
            transaction.participants.set_sticky(f"s{n:02}", "D", True)

    await ground.store.database.write(pin)


async def plain(ground: Ground, query: SessionQuery, sticky: bool) -> list[str]:
    """The whole list as plain SQL gives it."""
    order = "p.sticky DESC, " if sticky else ""
    where = "1 = 1" if query.types is None else f"s.type IN {(*query.types, -1)}"
    if query.since is not None:
        where += f" AND s.last_message_time >= {query.since}"
    if query.with_message:
        where += " AND s.last_message_time IS NOT NULL"
    if query.status is not None:
        where += f" AND s.status = {query.status}"
    found = await ground.rows(
        f"SELECT s.id FROM participants p JOIN sessions s ON s.id = p.session_id"
        f" WHERE p.participant_id = %s AND {where}"
        f" ORDER BY {order}coalesce(s.last_message_time, s.create_time) DESC, s.id DESC",
        query.user_id,
    )
    return [row[0] for row in found]


async def walk(ground: Ground, query: SessionQuery, size: int, sticky: bool) -> list[str]:
    found: list[str] = []
    after = None
    while True:
        page = await ground.store.database.read(
            lambda tx, key: tx.sessions.page(query, key, size, sticky), after
        )
        found += [session.id for session, _ in page]
        if len(page) < size:
            return found
        after = page[-1][1]


@pytest.mark.parametrize("seed", range(3))
@pytest_twisted.ensureDeferred
async def test_pages_of_many_sessions_are_what_plain_sql_gives(ground: Ground, seed: int) -> None:
    chance = random.Random(seed)
    await crowd(ground, chance)
    asked: list[Mapping[str, Any]] = [
        {}, {"types": [2, 13]}, {"types": [13]}, {"with_message": True}, {"status": 1},
        {"since": ground.clock.time - 3 * PERIOD}, {"since": 0}, {"types": [9]},
    ]  # fmt: skip
    for _ in range(3):
        periods = await placed(ground, "D")
        assert ALWAYS in periods.values() and len(set(periods.values())) > 5
        for wanted in asked:
            query = SessionQuery("D", **wanted)
            for sticky in (True, False):
                expected = await plain(ground, query, sticky)
                for size in (1, 4, 20, 100):
                    assert await walk(ground, query, size, sticky) == expected, (wanted, size)
        for _ in range(10):
            ground.clock.time += chance.choice([0, 5, PERIOD // 3, PERIOD])
            n = chance.randrange(MANY)
            await ground.send(f"s{n:02}", chance.choice(["D", f"P{n}"]))


@pytest_twisted.ensureDeferred
async def test_the_first_message_of_an_hour_moves_the_doctor_and_no_patient(
    postgres_ground: Ground,
) -> None:
    ground = postgres_ground
    ground.clock.time -= ground.clock.time % PERIOD
    await crowd(ground, random.Random(1))
    ground.clock.time += PERIOD - ground.clock.time % PERIOD

    async def touched(session: str, sender: str) -> set[str]:
        before = set(await ground.rows("SELECT xmin::text, participant_id FROM participants"))
        await ground.send(session, sender)
        after = set(await ground.rows("SELECT xmin::text, participant_id FROM participants"))
        return {row[1] for row in after - before}

    late = f"s{MANY - 1}"
    assert await touched(late, f"P{MANY - 1}") == {"D", f"P{MANY - 1}"}
    assert (await placed(ground, "D"))[late] == ground.clock.time // PERIOD
    ground.clock.time += PERIOD - 100
    assert await touched(late, f"P{MANY - 1}") == {f"P{MANY - 1}"}
    # Of a session from when the doctor had few, no message moves anybody.
    ground.clock.time += PERIOD
    assert await touched("s00", "P0") == {"P0"}
    assert set((await placed(ground, "P0")).values()) == {ALWAYS}


@pytest_twisted.ensureDeferred
async def test_no_message_moves_more_than_some_members(ground: Ground) -> None:
    await crowd(ground, random.Random(2))
    members = [f"M{n}" for n in range(MOST + 5)]
    for n in range(FEW):
        await ground.session(f"first{n}", *members)
    await ground.session("large", *members)
    await together([ground.send("large", "M0")])
    periods = [(await placed(ground, member))["large"] for member in members]
    assert 0 < len([period for period in periods if period != ALWAYS]) <= MOST


@pytest_twisted.ensureDeferred
async def test_who_joins_later_and_who_is_moved_by_hand_has_the_right_place(
    ground: Ground,
) -> None:
    await crowd(ground, random.Random(3))
    await ground.session("other", "A", "B", type_=13)
    await ground.session("third", "A", type_=2)
    ground.clock.time += 5 * PERIOD
    await ground.send("other", "A")

    def join(transaction) -> None:
        head = transaction.sessions.lock("other")
        transaction.participants.add(head, [Seat(UserId("D"), "x")], 9)

    await ground.store.database.write(join)
    assert (await placed(ground, "D"))["other"] == ground.clock.time // PERIOD
    for repair in (
        "UPDATE participants SET session_id = 'third'"
        " WHERE session_id = 'other' AND participant_id = 'D'",
        f"UPDATE sessions SET create_time = create_time + {3 * PERIOD}, type = 1"
        " WHERE id = 'third'",
        "UPDATE sessions SET last_message_time = NULL WHERE id = 's40'",
        "UPDATE participants SET participant_id = 'D'"
        " WHERE session_id = 'other' AND participant_id = 'B'",
    ):
        await ground.store.database.write(lambda tx, sql: tx.connection.run(sql), repair)
        await placed(ground, "D")
        expected = await plain(ground, SessionQuery("D"), True)
        assert await walk(ground, SessionQuery("D"), 7, True) == expected


@pytest_twisted.ensureDeferred
async def test_a_users_tallies_are_those_of_the_users_sessions(ground: Ground) -> None:
    async def kept() -> set[Any]:
        names = "y.session_id, y.team_code, y.session_type, y.unreplied, y.ongoing, y.replied"
        own = await ground.rows(
            f"SELECT y.participant_id, {names}, y.expired FROM participant_tallies y"
        )
        expected = await ground.rows(
            f"SELECT p.participant_id, {names}, y.expired FROM topic_tallies y"
            " JOIN participants p ON p.session_id = y.session_id"
        )
        assert sorted(own) == sorted(expected)
        return set(own)

    await ground.session("s", "A:patient", "B:doctor")
    await ground.topic("t1", "s", "A")
    assert len(await kept()) == 2
    await ground.send("s", "B")
    await kept()
    await ground.end_topic("t1", "s")
    await ground.topic("t2", "s", "A")

    def change(transaction) -> None:
        transaction.participants.add(transaction.sessions.lock("s"), [Seat(UserId("C"), "x")], 9)
        transaction.participants.remove("s", ["B"])

    await ground.store.database.write(change)
    assert {row[0] for row in await kept()} == {"A", "C"}
    for repair in (
        "UPDATE topics SET team_code = 'T9' WHERE id = 't1'",
        "UPDATE topics SET status = 10, reply = 0 WHERE id = 't2'",
        "UPDATE participants SET participant_id = 'E' WHERE participant_id = 'C'",
        "DELETE FROM topics WHERE id = 't1'",
    ):
        await ground.store.database.write(lambda tx, sql: tx.connection.run(sql), repair)
        await kept()
