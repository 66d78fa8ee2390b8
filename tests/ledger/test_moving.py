"""Page 7.1, rule by rule: what becomes of an original's database in imd's."""

from __future__ import annotations

import random
from datetime import datetime
from itertools import pairwise
from typing import Any

import pytest

from imd.ledger.names import CHANNELS
from tests.ledger import originals
from tests.ledger.moving import Moving
from tests.ledger.originals import ask, build

T = 1_600_000_000_000


def message(id_: str, session: str, time: Any, sender: str = "p", **more: Any) -> dict[str, Any]:
    row = {"id": id_, "session_id": session, "sender_id": sender, "sender_name": "甲", "type": 1}
    return {**row, "content": f"said {id_}", "timestamp": time, **more}


def session(id_: str, type_: int | None = 1, **more: Any) -> dict[str, Any]:
    return {"id": id_, "name": f"名 {id_}", "type": type_, "business_type": 2, **more}


def member(session_id: str, who: str, fetched: Any = None, role: str = "0") -> dict[str, Any]:
    return {
        "session_id": session_id, "participant_id": who, "participant_role": role,
        "last_fetch_time": fetched,
    }  # fmt: skip


def topic(id_: str, session_id: str, status: int = 10, reply: int = 0, **more: Any) -> Any:
    return {"id": id_, "session_id": session_id, "status": status, "reply": reply, **more}


DIRECTORY: dict[str, Any] = {
    "doctors": [{"id": "d", "name": "张", "sex": 1, "birthdate": datetime(1970, 2, 3).date()}],
    "patients": [{"id": "p", "name": "李", "openid": "wx"}],
}


@pytest.fixture
def move(way, tmp_path):
    return Moving(*way, tmp_path)


def moved(move: Moving, rows: dict[str, Any], *words: str, **more: Any) -> Any:
    build(move.source, {**DIRECTORY, **rows}, **more)
    return move.run(*words)


def test_all_kinds_of_rows_move(ways, tmp_path):
    move = Moving(*ways, tmp_path)
    odd = "回车\n制表\t反斜\\杠\r''\"\U0001f600\\N"
    report = moved(
        move,
        {
            "sessions": [session("s1", create_date=datetime(2020, 1, 2, 8, 0)),
                         session("s2", 2, business_type=None), session("s99", 99)],
            "participants": [member("s1", "p", T, "patient"), member("s1", "d", None, "doctor"),
                             member("s2", "d", T), member("s2", "e", T)],
            "topics": [topic("c1", "s1", reply=1, type=8, name="咨询", start_message_id="a",
                             end_message_id="c", create_time=T, end_time=T + 9)],
            "muc_messages": [message("a", "s1", T, type=6), message("b", "s1", T + 5, "d"),
                             message("c", "s1", T + 9, "d", type=7, content=None),
                             message("x", "s99", T, content=odd)],
            "p2p_messages": [message("q", "s2", T, "e", content="长" * 100_000)],
            "app_status": [{"user_id": "d", "client_id": "cid", "platform": 1, "token": "t"}],
        },
    )  # fmt: skip
    assert report["source"] == report["imported"]
    assert report["source"]["muc_messages"] == 4 and report["source"]["participants"] == 4
    assert (report["rejected"], report["sessions_compared"], report["sessions_different"]) == (
        {}, 3, 0,
    )  # fmt: skip
    assert report["ignored_columns"] == ["sessions.color"] and report["missing_columns"] == []
    assert move.log("s1") == [(1, "a", T, "c1"), (2, "b", T + 5, "c1"), (3, "c", T + 9, "c1")]
    assert move.rows("SELECT create_time, status FROM sessions WHERE id = 's1'") == [
        (1577923200000, 0)  # 2020-01-02 00:00 in London, where it is 08:00 in Shanghai
    ]
    assert move.rows("SELECT content FROM muc_messages WHERE id IN ('c', 'x') ORDER BY id") == [
        ("",), (odd,),
    ]  # fmt: skip
    assert move.rows("SELECT length(content), type FROM p2p_messages") == [(100_000, 1)]
    assert move.rows("SELECT type FROM sessions WHERE id = 's99'") == [(99,)]
    assert move.rows("SELECT business_type FROM sessions WHERE id = 's2'") == [(1,)]
    assert move.rows(
        "SELECT status, reply, reply_by, reply_message_id, start_by, end_by, start_seq, end_seq"
        " FROM topics"
    ) == [(10, 1, "d", "b", "p", "d", 1, 3)]
    assert move.rows("SELECT kind, name, birthdate FROM users ORDER BY id") == [
        ("doctor", "张", "1970-02-03"), ("patient", "李", None),
    ]  # fmt: skip
    shown = "SELECT participant_id, topic_id, reply FROM participant_topics ORDER BY 1"
    assert move.rows(shown) == [
        ("d", "c1", 1), ("p", "c1", 1),
    ]  # fmt: skip
    assert move.rows("SELECT session_id, replied, expired FROM topic_tallies") == [("s1", 1, 0)]
    assert move.rows("SELECT client_id, platform, token FROM devices") == [("cid", 1, "t")]
    before = move.everything()
    again = move.run()
    assert sum(again["imported"].values()) == 0 and move.everything() == before


def test_order_is_by_time_and_the_bytes_of_the_id_over_all_tables(ways, tmp_path):
    move = Moving(*ways, tmp_path)
    report = moved(
        move,
        {
            "sessions": [session("S"), session("s"), session("Ä")],
            "muc_messages": [message("b", "s", T), message("B", "s", T), message("é", "s", T),
                             message("z", "s", T - 1), message("up", "S", T)],
            "p2p_messages": [message("a", "s", T), message("last", "s", T + 2)],
            "group_messages": [message("_", "s", T), message("u", "Ä", T)],
        },
        made=originals.metadata(keyed=False),
    )  # fmt: skip
    assert [row[1:3] for row in move.log("s")] == [
        ("z", T - 1), ("B", T), ("_", T + 1), ("a", T + 2), ("b", T + 3), ("é", T + 4),
        ("last", T + 5),
    ]  # fmt: skip
    assert report["equal_timestamps"] == 4
    assert [row[1] for row in move.log("S")] == ["up"]


def seed_unread(source: str, session_id: str, who: str) -> int:
    """The query that the original's documents print, less what page 7.1 takes away."""
    found = 0
    for table in CHANNELS:
        stamp = "`timestamp`" if source.startswith("mysql") else "timestamp"
        found += ask(
            source,
            f"select count(*) from {table} m,(select p.last_fetch_time,p.session_id from"
            f" participants p where p.session_id ='{session_id}' and p.participant_id='{who}') t"
            f" where m.session_id ='{session_id}' and m.session_id = t.session_id"
            f" and m.{stamp} > coalesce(t.last_fetch_time, 0) and m.sender_id <> '{who}'"
            " and m.type <> 2105",
        )[0][0]  # fmt: skip
    return found


def history(rnd: random.Random, sessions: int, most: int) -> dict[str, list[dict[str, Any]]]:
    rows: dict[str, list[dict[str, Any]]] = {
        name: [] for name in ("sessions", "participants", "topics", *CHANNELS)
    }
    for n in range(sessions):
        id_, people = f"s{n:03}", rnd.sample("abcdefg", rnd.randint(1, 4))
        rows["sessions"].append(session(id_, rnd.choice((0, 1, 2, 3, 9, 77))))
        time, log = T + rnd.randint(0, 5), []
        for m in range(rnd.randint(0, most)):
            time += rnd.choice((0, 0, 1, 2, 50))
            row = message(f"{id_}m{rnd.getrandbits(20)}x{m}", id_, time, rnd.choice([*people, "z"]))
            row["type"] = rnd.choice((1, 1, 1, 2, 2105))
            log.append(row)
            rows[rnd.choice(CHANNELS)].append(row)
        for who in people:
            fetched = rnd.choice((None, T - 9, time, time + 9, rnd.randint(T, time)))
            rows["participants"].append(member(id_, who, fetched, rnd.choice(("doctor", "0"))))
        start = 0
        for k in range(rnd.randint(0, 3)):
            if start + 1 >= len(log):
                break
            first = rnd.randint(start, len(log) - 1)
            start = rnd.randint(first, len(log) - 1)
            rows["topics"].append(
                topic(f"{id_}c{k}", id_, rnd.choice((0, 10)), rnd.choice((0, 1)),
                      create_time=log[first]["timestamp"], start_message_id=log[first]["id"],
                      end_message_id=log[start]["id"], end_time=log[start]["timestamp"])
            )  # fmt: skip
    for table in rows.values():
        rnd.shuffle(table)
    return rows


def check_unread(move: Moving) -> None:
    """Counters, marks and times agree with the original's own query, and with one another."""
    for session_id, who, unread, seq, fetched in move.rows(
        "SELECT p.session_id, p.participant_id, s.counted - p.read_counted, p.read_seq,"
        " p.last_fetch_time FROM participants p JOIN sessions s ON s.id = p.session_id"
    ):
        told = seed_unread(move.source, session_id, who)
        assert unread == told, (session_id, who)
        by_seq, by_time = move.rows(
            "SELECT sum(CASE WHEN m.seq > %s THEN 1 ELSE 0 END),"
            " sum(CASE WHEN m.timestamp > %s THEN 1 ELSE 0 END) FROM messages m"
            " WHERE m.session_id = %s AND m.sender_id <> %s AND m.type <> 2105",
            seq, fetched, session_id, who,
        )[0]  # fmt: skip
        assert (by_seq or 0) == told and (by_time or 0) == told


def check_logs(move: Moving) -> None:
    for id_, last, counted, end in move.rows(
        "SELECT id, last_seq, counted, last_timestamp FROM sessions"
    ):
        log = move.rows(
            "SELECT seq, timestamp, counted, type FROM messages WHERE session_id = %s ORDER BY seq",
            id_,
        )
        assert [row[0] for row in log] == list(range(1, last + 1))
        assert all(one[1] < two[1] for one, two in pairwise(log))
        total = 0
        for _, _, so_far, type_ in log:
            total += type_ != 2105
            assert so_far == total
        assert counted == total and (not log or end == log[-1][1])
    for id_, live, status in move.rows("SELECT id, current_topic_id, status FROM sessions"):
        found = move.rows("SELECT id FROM topics WHERE session_id = %s AND status = 0", id_)
        assert found == ([(live,)] if live else []) and status == int(live is not None)


@pytest.mark.parametrize("seed", range(1))
def test_unread_of_every_member_is_what_the_seeds_query_says(ways, tmp_path, seed):
    move = Moving(*ways, tmp_path)
    report = moved(move, history(random.Random(seed), 15, 24))
    assert report["sessions_compared"] == 15 and report["sessions_different"] == 0
    assert not report["rejected"]
    check_unread(move)
    check_logs(move)


def test_a_mark_in_the_middle_of_what_moved_leaves_ones_own_messages_out(move):
    """Who spoke beyond its mark does not find its own words unread when it reads on (page 2.5)."""
    from imd.domain.participant import Mark
    from imd.storage.batch import Job, carry_out
    from imd.storage.store import sync_transaction

    people = "pddpdpdd"
    moved(
        move,
        {
            "sessions": [session("s")],
            "participants": [member("s", "d", T + 1), member("s", "p", T)],
            "muc_messages": [message(f"m{n}", "s", T + n, who) for n, who in enumerate(people)],
        },
    )
    for seq in range(1, 9):
        with sync_transaction(move.target) as tx:
            [marked] = carry_out(tx, [Job(Mark("s", "d", seq))], T).outcomes
        there = max(seq, 2)
        assert marked.unread == people[there:].count("p"), seq
        assert marked.read_seq == there


def test_a_null_mark_is_never_fetched_and_reported(move):
    report = moved(
        move,
        {
            "sessions": [session("s"), session("t")],
            "participants": [member("s", "p"), member("t", "d", T + 7)],
            "muc_messages": [message("a", "s", T)],
        },
    )
    assert report["null_marks"] == 1
    assert move.rows("SELECT read_seq, last_fetch_time FROM participants ORDER BY session_id") == [
        (0, 0), (0, T + 7),
    ]  # fmt: skip
    assert move.rows("SELECT last_timestamp FROM sessions WHERE id = 't'") == [(T + 7,)]
