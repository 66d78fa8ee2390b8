"""Page 2.6: the table behind a user's lists of topics, which triggers keep.

Random histories against a plain model stand in tests/actions/test_topic_history.py.
"""

from __future__ import annotations

import time
from contextlib import closing
from threading import Thread
from typing import Any

import psycopg2
import pytest_twisted

from imd.actions.queries import TopicQuery
from imd.domain.ids import UserId
from imd.domain.participant import Seat
from tests.storage.ground import Ground

PATH = "-c search_path=im,public"
TOPIC = (
    "INSERT INTO topics (id, session_id, session_type, status, create_time, start_by)"
    " VALUES (%s, %s, 1, 10, 5, 'A')"
)
MEMBER = (
    "INSERT INTO participants (session_id, participant_id, role, create_time, last_fetch_time)"
    " VALUES (%s, %s, 'x', 1, 1)"
)


async def shown(ground: Ground) -> set[tuple[Any, ...]]:
    return set(await ground.rows("SELECT participant_id, topic_id FROM participant_topics"))


async def pages(ground: Ground, user_id: str, **wanted: Any) -> list[str]:
    query = TopicQuery(user_id=user_id, **wanted)
    found = await ground.store.database.read(lambda tx: tx.topics.page(query, None, 50))
    return [topic.id for topic in found]


@pytest_twisted.ensureDeferred
async def test_who_joins_sees_former_topics_and_who_leaves_sees_none(ground: Ground) -> None:
    await ground.session("s", "A", "B")
    await ground.topic("t1", "s", "A")
    await ground.end_topic("t1", "s")
    await ground.topic("t2", "s", "A")
    assert await pages(ground, "B") == ["t2", "t1"]

    def leave(transaction) -> None:
        transaction.participants.remove("s", ["B"])

    def join(transaction) -> None:
        transaction.participants.add(transaction.sessions.lock("s"), [Seat(UserId("C"), "x")], 9)

    await ground.store.database.write(join)
    await ground.store.database.write(leave)
    assert await pages(ground, "C") == ["t2", "t1"]
    assert await pages(ground, "C", status=10, reply=0) == ["t1"]
    assert await pages(ground, "B") == []
    assert await shown(ground) == {(user, topic) for user in "AC" for topic in ("t1", "t2")}


@pytest_twisted.ensureDeferred
async def test_no_list_shows_what_its_user_is_no_member_of(ground: Ground) -> None:
    """Even if a row were left behind, membership is asked when the page is made."""
    await ground.session("s", "A", "B")
    await ground.topic("t", "s", "A")

    def leave_behind(transaction) -> None:
        transaction.connection.run(
            "INSERT INTO participant_topics SELECT 'X', create_time, topic_id, session_type,"
            " status, reply FROM participant_topics WHERE participant_id = 'B'"
        )

    await ground.store.database.write(leave_behind)
    for wanted in ({}, {"types": [1]}, {"status": 0}, {"start": 0}):
        assert await pages(ground, "X", **wanted) == []
        assert await pages(ground, "B", **wanted) == ["t"]


@pytest_twisted.ensureDeferred
async def test_a_message_touches_no_list_but_an_answer_does(postgres_ground: Ground) -> None:
    ground = postgres_ground
    await ground.session("s", "A:patient", "B:doctor", "C:doctor")
    await ground.topic("t", "s", "A")

    async def rows() -> tuple[set[Any], set[Any]]:
        lists = await ground.rows("SELECT xmin::text, participant_id FROM participant_topics")
        members = await ground.rows("SELECT xmin::text, participant_id FROM participants")
        return set(lists), set(members)

    lists, members = await rows()
    await ground.send("s", "A")
    after = await rows()
    assert after[0] == lists
    assert {row[1] for row in after[1] - members} == {"A"}
    await ground.send("s", "B")
    answered = await rows()
    assert not answered[0] & lists
    assert {row[1] for row in answered[1] - after[1]} == {"B"}
    assert await pages(ground, "C", status=0, reply=1) == ["t"]


@pytest_twisted.ensureDeferred
async def test_operators_at_the_same_time_leave_no_hole(postgres_ground: Ground) -> None:
    """One adds a member, one a topic, neither sees the other's row: the session's lock helps."""
    ground = postgres_ground
    await ground.session("s", "A")
    for number, (first, second) in enumerate(
        [
            ((MEMBER, "s", "M0"), (TOPIC, "t0", "s")),
            ((TOPIC, "t1", "s"), (MEMBER, "s", "M1")),
        ]
    ):
        with (
            closing(psycopg2.connect(ground.url, options=PATH)) as one,
            closing(psycopg2.connect(ground.url, options=PATH)) as two,
        ):
            one.cursor().execute(first[0], first[1:])

            def work(link=two, what=second) -> None:
                link.cursor().execute(what[0], what[1:])
                link.commit()

            other = Thread(target=work)
            other.start()
            waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            end = time.monotonic() + 10
            while (await ground.rows(waiting))[0][0] == 0:
                assert time.monotonic() < end and other.is_alive(), "the second did not wait"
            one.commit()
            other.join(10)
        assert (f"M{number}", f"t{number}") in await shown(ground)
    assert len(await shown(ground)) == 6
