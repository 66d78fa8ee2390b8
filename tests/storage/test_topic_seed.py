"""Page 1.3: the seed's queries on topics, as printed, against topics that the actions made."""

from __future__ import annotations

import re
from contextlib import closing
from typing import Any

import psycopg2
import pytest_twisted

from imd.domain.errors import TopicActive
from tests.actions.topic_world import Town
from tests.storage.ground import Ground, outcomes

S = "4d5be29f8ba0413d8658441902b958ff_c7a121954a3a4fae84852fd5668b590d_2"
D = "D2016008240003"
PATH = "-c search_path=im,public"
OF_TOPICS = f"""
select w.* from muc_messages w ,(
select m.timestamp
as begin_date,m2.timestamp
as end_date,t.session_id from topics t,muc_messages m, muc_messages m2 where m.id = t.start_message_id and m2.id = t.end_message_id and t.session_id = '{S}'
) s where w.session_id = s.session_id and w.timestamp
>= s.begin_date and w.timestamp
<=s.end_date;"""  # noqa: E501
CONSULTS = (
    "select t.* from topics t,sessions s where t.session_id = s.id and s.business_type = 2"
    " and s.type = 1;"
)
GROUPED = (
    "select GROUP_CONCAT(p1.participant_id) as 会话的成员集合,s.* from participants p,sessions s,"
    "participants p1 where p1.session_id = s.id and p.session_id = s.id and"
    f" p.participant_id='{D}' GROUP BY s.id;"
)


def ask(url: str, sql: str) -> list[dict[str, Any]]:
    """What an operator's client answers; a copied database has lost the search_path it had."""
    printed = re.sub(r"GROUP_CONCAT\((.*?)\)", r"string_agg(\1, ',')", sql)
    with closing(psycopg2.connect(url, options=PATH)) as connection, connection.cursor() as cursor:
        cursor.execute(printed)
        names = [column.name for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


@pytest_twisted.ensureDeferred
async def test_the_seeds_interval_of_time_is_the_topics_own_messages(
    postgres_ground: Ground,
) -> None:
    town = Town(postgres_ground)
    await town.open(S, "P:patient", f"{D}:doctor", type_=1)
    await town.open("other", "P:patient", f"{D}:doctor", type_=1)
    for round_ in range(4):
        town.clock.time -= 500 * (round_ % 2)  # the clock of a host may step back
        wishes = [town.send(S, "P") for _ in range(3)] + [town.send("other", D)]
        await outcomes([*wishes, town.start(S, f"t{round_}"), town.send(S, D)])
        await outcomes([town.send(S, D), town.end(S, end_by=D, note="well"), town.send(S, "P")])
    await town.start("other", "live")
    await town.start(S, "last")
    found = await outcomes([town.start(S, "never")])
    assert isinstance(found[0], TopicActive)

    log = await town.ground.log(S)
    ended = {m.id for m in log if m.topic_id is not None and m.topic_id != "last"}
    got = ask(town.ground.url, OF_TOPICS)
    assert {row["id"] for row in got} == ended and len(got) == len(ended)
    for number in range(4):
        one = OF_TOPICS.replace(f"t.session_id = '{S}'", f"t.id = 't{number}'")
        own = [m.id for m in log if m.topic_id == f"t{number}"]
        assert sorted(row["id"] for row in ask(town.ground.url, one)) == sorted(own)

    topics = ask(town.ground.url, CONSULTS)
    assert {t["id"] for t in topics} == {"t0", "t1", "t2", "t3", "last", "live"}
    (row,) = ask(town.ground.url, "SELECT * from im.topics WHERE id = 't0';-- 查找议题")
    assert (row["status"], row["session_id"]) == (10, S)
    grouped = ask(town.ground.url, GROUPED)
    assert {r["id"]: set(r["会话的成员集合"].split(",")) for r in grouped} == {
        S: {"P", D}, "other": {"P", D},
    }  # fmt: skip
    assert {r["id"]: r["current_topic_id"] for r in grouped} == {S: "last", "other": "live"}
