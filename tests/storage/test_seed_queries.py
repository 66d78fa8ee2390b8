"""Page 1.3: the queries printed in the seed run as printed, and give what the counters say."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import psycopg2
import pytest_twisted

from imd.domain.ids import UserId
from imd.domain.message import Card
from imd.domain.participant import Seat
from tests.storage.ground import Ground, together

S = "4d5be29f8ba0413d8658441902b958ff_c7a121954a3a4fae84852fd5668b590d_2"
D = "D2016008240003"

PLAIN = [
    "select * from sessions s;",
    f"select * from participants p where session_id='{S}';",
    "select * from muc_messages m;",
    "select * from p2p_messages;",
    "select * from group_messages;",
    "select * from system_messages;",
    "select * from topics;",
]
DOCTORS = (
    "select s.id,p.participant_id,d.* from participants p,sessions s,doctors d where"
    f" s.id='{S}' and s.id = p.session_id and (d.id = p.participant_id);"
)
PATIENTS = (
    "select s.id,p.participant_id,d.* from participants p,sessions s,patients d where"
    " s.id = p.session_id and (d.id = p.participant_id);"
)
CONSULTS = (
    "select t.* from topics t,sessions s where t.session_id = s.id and s.business_type = 2"
    " and s.type = 1;"
)
UNREAD = (
    "select * from muc_messages m,(select p.last_fetch_time,p.session_id from participants p where"
    f" p.session_id ='{S}' and p.participant_id='{D}') t where m.session_id ='{S}'"
    " and m.session_id = t.session_id and m.timestamp\n> t.last_fetch_time;"
)
SESSIONS_OF = (
    "select GROUP_CONCAT(p1.participant_id) as 会话的成员集合,s.* from participants p,sessions s,"
    "participants p1 where p1.session_id = s.id and p.session_id = s.id and"
    f" p.participant_id='{D}' GROUP BY s.id;"
)
OF_TOPIC = f"""select w.* from muc_messages w ,(
select m.timestamp
as begin_date,m2.timestamp
as end_date,t.session_id from topics t,muc_messages m, muc_messages m2 where m.id = t.start_message_id and m2.id = t.end_message_id and t.session_id = '{S}'
) s where w.session_id = s.session_id and w.timestamp
>= s.begin_date and w.timestamp
<=s.end_date;"""  # noqa: E501
OPERATORS = [
    "SELECT * from im.topics WHERE id = '';",
    "SELECT * from im.sessions WHERE id = '';",
    "SELECT * from im.muc_messages WHERE session_id = '' ORDER BY timestamp\ndesc;",
]


def run(ground: Ground, sql: str) -> list[dict[str, object]]:
    """The query as an operator's client runs it: a fresh connection, nothing set."""
    if ground.postgres:
        sql = sql.replace("GROUP_CONCAT(p1.participant_id)", "string_agg(p1.participant_id, ',')")
        with closing(psycopg2.connect(ground.url)) as connection, connection.cursor() as cursor:
            cursor.execute(sql)
            names = [column[0] for column in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    with closing(sqlite3.connect(ground.url.removeprefix("sqlite:///"))) as database:
        found = database.execute(sql)
        names = [column[0] for column in found.description]
        return [dict(zip(names, row, strict=True)) for row in found]


def set_search_path(ground: Ground) -> None:
    """A copy made from a template lacks the setting that migrating makes; migrating tests it."""
    if ground.postgres:
        with closing(psycopg2.connect(ground.url)) as connection:
            connection.autocommit = True
            name = ground.url.rpartition("/")[2]
            connection.cursor().execute(f'ALTER DATABASE "{name}" SET search_path = im, public')


async def furnish(ground: Ground) -> None:
    set_search_path(ground)
    database = ground.store.database
    await database.write(lambda tx: tx.users.put(D, {"kind": "doctor", "name": "张"}, 1))
    await database.write(lambda tx: tx.users.put("P1", {"kind": "patient", "name": "李"}, 1))
    await ground.session(S, f"{D}:doctor", "P1:patient")
    await ground.session("p2p", D, "D2", type_=2)
    await ground.session("team", D, "D2", type_=3)
    await ground.session("news", "P1", type_=0)
    await database.write(
        lambda tx: tx.connection.run("UPDATE sessions SET business_type = 2 WHERE type = 1")
    )


@pytest_twisted.ensureDeferred
async def test_they_run_and_see_the_four_channels(ground: Ground) -> None:
    await furnish(ground)
    for session, sender in ((S, "P1"), ("p2p", "D2"), ("team", "D2"), ("news", "P1")):
        await ground.send(session, sender, session)
    for name, session in (
        ("muc", S), ("p2p", "p2p"), ("group", "team"), ("system", "news"),
    ):  # fmt: skip
        found = run(ground, f"select * from {name}_messages")
        assert [row["session_id"] for row in found] == [session]
    assert len(run(ground, "select * from messages")) == 4
    assert [len(run(ground, sql)) for sql in PLAIN] == [4, 2, 1, 1, 1, 1, 0]
    assert [(row["participant_id"], row["name"]) for row in run(ground, DOCTORS)] == [(D, "张")]
    assert {(row["id"], row["name"]) for row in run(ground, PATIENTS)} == {("P1", "李")}
    members = {row["id"]: row["会话的成员集合"] for row in run(ground, SESSIONS_OF)}
    assert {id_: set(str(joined).split(",")) for id_, joined in members.items()} == {
        S: {D, "P1"}, "p2p": {D, "D2"}, "team": {D, "D2"},
    }  # fmt: skip
    if ground.postgres:
        assert [run(ground, sql) for sql in OPERATORS] == [[], [], []]


@pytest_twisted.ensureDeferred
async def test_unread_by_time_is_unread_by_seq(ground: Ground) -> None:
    """Whatever the clock does: joining and sending in one ms, and an hour back."""
    await furnish(ground)

    async def check() -> None:
        by_seq = await ground.rows(
            "SELECT m.seq FROM messages m JOIN participants p ON p.session_id = m.session_id"
            " AND p.participant_id = %s WHERE m.session_id = %s AND m.seq > p.read_seq ORDER BY 1",
            D, S,
        )  # fmt: skip
        assert sorted([(row["seq"],) for row in run(ground, UNREAD)]) == by_seq

    await check()
    for step in (0, 0, -3_600_000, 1, 7_200_000):
        ground.clock.time += step
        await ground.send(S, "P1")
        await check()
    assert len(run(ground, UNREAD)) == 5
    await ground.mark(S, D, 3)
    await check()
    await ground.send(S, D)
    await check()
    assert run(ground, UNREAD) == []


@pytest_twisted.ensureDeferred
async def test_who_joins_an_empty_session_late_misses_nothing(ground: Ground) -> None:
    await furnish(ground)

    def join(transaction):
        head = transaction.sessions.lock("p2p")
        transaction.participants.add(head, [Seat(UserId("late"), "0")], ground.clock.now())

    ground.clock.time += 1000
    await ground.store.database.write(join)
    for step in (-500, 0):
        ground.clock.time += step
        posted = await ground.send("p2p", "D2")
        rows = await ground.rows(
            "SELECT last_fetch_time FROM participants WHERE participant_id = 'late'"
        )
        assert rows[0][0] < posted.message.timestamp


@pytest_twisted.ensureDeferred
async def test_a_topics_messages_by_time_are_those_by_topic(ground: Ground) -> None:
    await furnish(ground)
    await ground.send(S, "P1", "before")
    await ground.topic("c1", S, "P1")
    ground.clock.time -= 1000
    await together([ground.send(S, who, "inside") for who in ("P1", D, "P1")])
    last = await ground.send(S, D, Card("{}"), type=7, member="none")
    await ground.end_topic("c1", S)
    await ground.store.database.write(
        lambda tx: tx.connection.run(
            "UPDATE topics SET end_message_id = %s, end_seq = %s",
            (last.message.id, last.message.seq),
        )
    )
    await ground.send(S, "P1", "after")
    by_time = sorted(str(row["id"]) for row in run(ground, OF_TOPIC))
    by_topic = await ground.rows("SELECT id FROM messages WHERE topic_id = 'c1' ORDER BY 1")
    assert [(id_,) for id_ in by_time] == by_topic
    assert len(by_time) == 5
    assert [row["id"] for row in run(ground, CONSULTS)] == ["c1"]
