"""The topics that wait for an answer, and the changes of figures: what triggers keep."""

from __future__ import annotations

import random
from typing import Any

import pytest
import pytest_twisted

from tests.storage.ground import Ground

#: what a sum of a day is made of
COUNTED = ("create_time", "type", "status", "reply", "team_code", "reply_by", "reply_time")
WAITING = "SELECT id, session_type, create_time FROM topics WHERE status = 0 AND reply = 0"
KEPT = "SELECT topic_id, session_type, create_time FROM topics_waiting"


@pytest.mark.parametrize("seed", range(3))
@pytest_twisted.ensureDeferred
async def test_whatever_happens_to_topics_those_that_wait_are_known(ground: Ground, seed) -> None:
    chance = random.Random(seed)
    for n in range(12):
        await ground.session(f"s{n}", "A", "B")

    def act(transaction: Any) -> None:
        db, n = transaction.connection, chance.randrange(12)
        topic = f"t{n}"
        what = chance.choice(["start", "start", "answer", "end", "again", "move", "rename", "drop"])
        if what == "start":
            db.run(
                "INSERT INTO topics (id, session_id, session_type, status, reply, create_time,"
                " start_by) VALUES (%s, %s, %s, %s, %s, %s, 'A') ON CONFLICT DO NOTHING",
                (topic, f"s{n}", chance.choice([1, 9]), chance.choice([0, 0, 10]),
                 chance.choice([0, 0, 1]), chance.randrange(1000)),
            )  # fmt: skip
        elif what == "drop":
            db.run("DELETE FROM topics WHERE id = %s", (topic,))
        else:
            sets = {
                "answer": "reply = 1", "end": "status = 10", "again": "status = 0, reply = 0",
                "move": "create_time = create_time + 1, session_type = 13", "rename": "name = 'n'",
            }[what]  # fmt: skip
            db.run(f"UPDATE topics SET {sets} WHERE id = %s", (topic,))

    for _ in range(80):
        await ground.store.database.write(act)
        assert sorted(await ground.rows(KEPT)) == sorted(await ground.rows(WAITING))


@pytest_twisted.ensureDeferred
async def test_a_topic_that_is_repaired_is_not_told_of_twice(ground: Ground) -> None:
    await ground.session("s", "A", "B")
    await ground.topic("t", "s", "A")

    def act(transaction: Any) -> None:
        transaction.connection.run("UPDATE topics_waiting SET told = 1")
        transaction.connection.run("UPDATE topics SET create_time = 5, reply = 0, status = 0")

    await ground.store.database.write(act)
    assert await ground.rows("SELECT create_time, told FROM topics_waiting") == [(5, 1)]


@pytest.mark.parametrize("column", COUNTED)
@pytest_twisted.ensureDeferred
async def test_a_change_that_figures_show_is_noted_and_no_other(ground: Ground, column) -> None:
    await ground.session("s", "A", "B")
    await ground.topic("t", "s", "A")
    now = ground.clock.time

    async def noted(sql: str) -> list[int]:
        def act(transaction: Any) -> None:
            transaction.connection.run("DELETE FROM consult_changes")
            transaction.connection.run(sql)

        await ground.store.database.write(act)
        return [time for (time,) in await ground.rows("SELECT create_time FROM consult_changes")]

    assert await noted("UPDATE topics SET name = 'x', start_seq = 7") == []
    assert await noted(f"UPDATE topics SET {column} = {column}") == []
    value = {"team_code": "'T'", "reply_by": "'D'", "reply": "1", "status": "10"}.get(column, "77")
    times = {now, 77} if column == "create_time" else {now}
    assert set(await noted(f"UPDATE topics SET {column} = {value}")) == times
    assert set(await noted("DELETE FROM topics")) == {max(times) if len(times) == 1 else 77}
