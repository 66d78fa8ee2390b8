"""Page 7.1: what is left out, topics that cannot be as they are, and runs that follow a run."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import TIMESTAMP, DateTime

from imd.domain.retention import Limit
from imd.ledger.names import CHANNELS
from imd.storage.migrate import current, upgrade
from imd.storage.retention import open_retention
from tests.ledger import originals
from tests.ledger.conftest import source_of
from tests.ledger.moving import Moving
from tests.ledger.originals import ask, build
from tests.ledger.originals import run as change
from tests.ledger.test_moving import T, member, message, moved, session, topic

__all__ = ["move"]


@pytest.fixture
def move(way, tmp_path):
    return Moving(*way, tmp_path)


def test_what_is_left_out_and_why(move):
    report = moved(
        move,
        {
            "sessions": [session("s"), session("t", 2), session("a b"), session(""),
                         session("t", 3)],
            "participants": [member("s", "p", T), member("s", "p", T + 5), member("s", ""),
                             member("gone", "p"), member("a b", "p"), member("s", "x/y")],
            "topics": [topic("c", "gone"), topic("c", "s", create_time=T), topic("k", "a b"),
                       topic("", "s")],
            "muc_messages": [message("m", "s", T + 1), message("o", "gone", T), message("", "s", T),
                             message("i", "a b", T), message("x,y", "s", T),
                             message("n", None, T), message("tie", "s", T + 9)],
            "group_messages": [message("both", "a b", T), message("both", "s", T + 8)],
            "p2p_messages": [message("m", "t", T), message("m", "gone", 5),
                             message("tie", "s", T + 9)],
        },
        made=originals.metadata(keyed=False),
    )  # fmt: skip
    assert move.rejects() == sorted([
        ("sessions", "a b", "a b", "illegal_id"), ("sessions", None, None, "empty_id"),
        ("sessions", "t", "t", "duplicate"), ("participants", "p", "s", "duplicate"),
        ("participants", None, "s", "empty_id"), ("participants", "p", "gone", "no_session"),
        ("participants", "p", "a b", "illegal_id"), ("participants", "x/y", "s", "illegal_id"),
        ("topics", "c", "gone", "no_session"), ("topics", "k", "a b", "illegal_id"),
        ("topics", None, "s", "empty_id"), ("muc_messages", "m", "s", "duplicate"),
        ("muc_messages", "o", "gone", "no_session"), ("muc_messages", None, "s", "empty_id"),
        ("muc_messages", "i", "a b", "illegal_id"), ("muc_messages", "x,y", "s", "illegal_id"),
        ("muc_messages", "n", None, "no_session"), ("p2p_messages", "m", "gone", "no_session"),
        ("p2p_messages", "tie", "s", "duplicate"), ("group_messages", "both", "a b", "illegal_id"),
    ], key=lambda row: tuple(str(part) for part in row))  # fmt: skip
    assert move.log("t") == [(1, "m", T, None)] and [r[1] for r in move.log("s")] == ["both", "tie"]
    assert move.rows("SELECT last_fetch_time, read_seq FROM participants") == [(T + 5, 0)]
    rejected = report["rejected"]
    assert sum(report["source"].values()) == sum(report["imported"].values()) + sum(
        rejected.values()
    )
    assert report["sessions_different"] == 0


def test_topics_that_overlap_or_lack_their_ends(move):
    log = [message(f"m{n}", "s", T + n * 10, "p" if n % 2 else "d") for n in range(10)]
    report = moved(
        move,
        {
            "sessions": [session("s"), session("none")],
            "participants": [member("s", "p", T), member("s", "d", T)],
            "muc_messages": log,
            "topics": [
                topic("inner", "s", start_message_id="m2", end_message_id="m3"),
                topic("outer", "s", start_message_id="m1", end_message_id="m5"),
                topic("late", "s", create_time=T + 55, start_message_id="no", end_time=T + 75),
                topic("lost", "s", start_message_id="no"),
                topic("old", "s", 0, start_message_id="m8", create_time=T),
                topic("live", "s", 0, reply=1, start_message_id="m9", create_time=T + 1),
            ],
        },
    )
    assert [row[3] for row in move.log("s")] == [
        None, "outer", "inner", "inner", "outer", "outer", "late", "late", "old", "live",
    ]  # fmt: skip
    told = {row[0]: row[1:] for row in move.rows(
        "SELECT id, status, start_message_id, start_seq, end_message_id, end_seq, end_by"
        " FROM topics")}  # fmt: skip
    assert told == {
        "inner": (10, "m2", 3, "m3", 4, "p"), "outer": (10, "m1", 2, "m5", 6, "p"),
        "late": (10, "m6", 7, "m7", 8, "p"), "lost": (10, None, None, None, None, None),
        "old": (10, "m8", 9, "m8", 9, None), "live": (0, "m9", 10, None, None, None),
    }  # fmt: skip
    assert move.rows("SELECT status, current_topic_id FROM sessions WHERE id = 's'") == [
        (1, "live")
    ]
    assert report["topic_overlaps"] == 1 and report["topics_ended"] == 1
    assert (report["topic_starts_replaced"], report["topic_ends_replaced"]) == (1, 1)
    assert report["topics_without_messages"] == 1
    assert move.rows("SELECT reply_by FROM topics WHERE id = 'live'") == [(None,)]


def test_times_are_told_by_the_columns_type(way, tmp_path):
    move = Moving(*way, tmp_path)
    moved(
        move,
        {
            "sessions": [session("s")],
            "participants": [member("s", "p", datetime(2020, 9, 13, 20, 26, 41))],
            "muc_messages": [message("a", "s", datetime(2020, 9, 13, 20, 26, 40)),
                             message("b", "s", datetime(2020, 9, 13, 20, 26, 40)),
                             message("c", "s", datetime(2020, 9, 13, 20, 26, 42))],
        },
        "--timezone", "Asia/Shanghai",
        made=originals.metadata(times=DateTime),
    )  # fmt: skip
    assert [row[2] for row in move.log("s")] == [T, T + 1, T + 2000]
    assert move.rows("SELECT read_seq, last_fetch_time FROM participants") == [(2, T + 1)]


def test_a_timestamp_is_the_instant_that_it_is(request, sqlite_copy, tmp_path):
    """Whatever the clocks of the server and of the hospital say; this server's is at +03:00."""
    move = Moving(source_of("mysql", request), sqlite_copy, tmp_path)
    rows = {"sessions": [session("s")], "participants": [member("s", "p")]}
    build(move.source, rows, originals.metadata(times=TIMESTAMP))
    change(
        move.source,
        "INSERT INTO muc_messages (id, session_id, sender_id, type, content, timestamp)"
        f" VALUES ('a', 's', 'd', 1, 'x', FROM_UNIXTIME({T // 1000}))",
        f"UPDATE participants SET last_fetch_time = FROM_UNIXTIME({T // 1000 + 5})",
    )
    move.run("--timezone", "Asia/Shanghai")
    assert [row[2] for row in move.log("s")] == [T]
    assert move.rows("SELECT read_seq FROM participants") == [(1,)]


def test_tables_that_are_missing_are_reported_or_refused(move):
    rows = {"sessions": [session("s")], "muc_messages": [message("a", "s", T)]}
    build(move.source, rows)
    change(
        move.source, *(f"DROP TABLE {name}" for name in ("doctors", "app_status", *CHANNELS[1:]))
    )
    report = move.run()
    assert report["missing_tables"] == [*CHANNELS[1:], "doctors", "app_status"]
    assert report["imported"]["muc_messages"] == 1 and "doctors" not in report["source"]
    for table in ("muc_messages", "topics"):
        change(move.source, f"ALTER TABLE {table} RENAME TO gone_{table}")
        assert table in move.run(status=2)


def test_a_topics_start_in_another_session_is_replaced(move):
    log = [message(f"m{n}", "s", T + n * 10, "p") for n in range(4)]
    moved(
        move,
        {
            "sessions": [session("s"), session("t")],
            "muc_messages": [*log, message("far", "t", T)],
            "topics": [topic("c", "s", create_time=T + 15, start_message_id="far",
                             end_message_id="m3")],
        },
    )  # fmt: skip
    assert [row[3] for row in move.log("s")] == [None, None, "c", "c"]
    assert move.rows("SELECT start_message_id, end_seq FROM topics") == [("m2", 4)]


def test_a_complete_run_appends_what_is_newer_and_raises_marks(move):
    moved(
        move,
        {
            "sessions": [session("s")],
            "participants": [member("s", "p", T), member("s", "d", T + 2)],
            "muc_messages": [message(f"m{n}", "s", T + n, "d") for n in range(3)],
            "topics": [topic("c", "s", 0, start_message_id="m1")],
        },
    )
    made = originals.metadata()
    engine = originals.engine_of(move.source)
    with engine.begin() as connection:
        originals.add(connection, made.tables["p2p_messages"],
                      [message("n1", "s", T + 9, "p"), message("n2", "s", T + 5, "d", type=7),
                       message("old", "s", T + 1)])  # fmt: skip
        originals.add(connection, made.tables["sessions"], [session("new", 2)])
        originals.add(connection, made.tables["participants"], [member("s", "e", T + 9)])
    change(
        move.source,
        f"UPDATE participants SET last_fetch_time = {T + 5} WHERE participant_id = 'p'",
        f"UPDATE participants SET last_fetch_time = {T} WHERE participant_id = 'd'",
        "UPDATE topics SET status = 10, end_message_id = 'n2'",
    )
    report = move.run()
    assert report["rejected"] == {"late": 1}
    assert move.rejects() == [("p2p_messages", "old", "s", "late")]
    assert move.log("s")[3:] == [(4, "n2", T + 5, "c"), (5, "n1", T + 9, None)]
    marks = "SELECT participant_id, read_seq, read_counted FROM participants ORDER BY 1"
    assert move.rows(marks) == [
        ("d", 3, 4), ("e", 5, 5), ("p", 4, 5),
    ]  # fmt: skip
    assert move.rows("SELECT status, end_seq, end_message_id FROM topics") == [(10, 4, "n2")]
    assert report["imported"]["sessions"] == 1 and report["sessions_different"] == 0
    before = move.everything()
    again = move.run()
    assert sum(again["imported"].values()) == 0 and move.everything() == before
    assert again["rejected"] == {"late": 1}


def test_what_one_says_oneself_in_the_original_meanwhile_is_not_unread(move):
    """Neither where one's mark there stays, nor where one has read on with imd (page 7.1)."""
    moved(
        move,
        {
            "sessions": [session("s")],
            "participants": [member("s", "p", T), member("s", "d", T), member("s", "e", T)],
            "muc_messages": [message("m0", "s", T, "e"), message("m1", "s", T + 1, "e")],
        },
    )
    reads = "UPDATE participants SET read_seq = 2, read_counted = 2 WHERE participant_id = 'd'"
    move.change(reads)
    engine = originals.engine_of(move.source)
    with engine.begin() as connection:
        originals.add(connection, originals.metadata().tables["muc_messages"],
                      [message("m2", "s", T + 2, "p"), message("m3", "s", T + 3, "d"),
                       message("m4", "s", T + 4, "d", type=2105)])  # fmt: skip
    unread = (
        "SELECT p.participant_id, p.read_seq, s.counted - p.read_counted, p.own_beyond"
        " FROM participants p JOIN sessions s ON s.id = p.session_id ORDER BY 1"
    )
    for _ in range(2):
        move.run()
        assert move.rows(unread) == [("d", 2, 1, 4), ("e", 1, 2, 2), ("p", 1, 2, 3)]


def test_the_comparison_finds_what_is_not_as_it_was(move):
    moved(
        move,
        {"sessions": [session("s"), session("t")],
         "muc_messages": [message(f"{x}{n}", x, T + n) for x in "st" for n in range(3)]},
    )  # fmt: skip
    move.change("DELETE FROM messages WHERE id = 's1'")
    assert move.run(status=1)["sessions_different"] == 1
    move.change("UPDATE messages SET content = 'other' WHERE id = 't2'")
    assert move.run(status=1)["sessions_different"] == 2


def test_a_target_with_sessions_of_its_own_wants_merge(move):
    log = [message("a", "own", T), message("b", "s", T)]
    build(move.source, {"sessions": [session("s"), session("own")], "muc_messages": log})
    move.change(
        "INSERT INTO sessions (id, type, business_type, create_time, last_timestamp)"
        " VALUES ('own', 1, 2, 1, 1)"
    )
    assert "--merge" in move.run(status=2)
    report = move.run("--merge")
    assert report["imported"]["sessions"] == 1 and report["imported"]["muc_messages"] == 2
    assert move.log("own") == [(1, "a", T, None)]


def test_a_dry_run_changes_nothing(move):
    log = [message("a", "s", T), message("x", "gone", T)]
    build(move.source, {"sessions": [session("s")], "muc_messages": log})
    before = move.everything()
    report = move.run("--dry-run")
    assert report["imported"]["muc_messages"] == 1 and report["rejected"] == {"no_session": 1}
    assert report["dry_run"] is True and report["would_make"] == []
    assert move.everything() == before and len(move.rejects()) == 1
    assert ask(move.source, "SELECT count(*) FROM muc_messages") == [(2,)]
    move.run()
    before = move.everything()
    report = move.run("--dry-run")
    assert sum(report["imported"].values()) == 0 and move.everything() == before


def test_a_dry_run_does_not_even_make_the_schema(tmp_path, postgres_server):
    source = build(
        f"sqlite:///{tmp_path}/original.db",
        {"sessions": [session("s")], "muc_messages": [message("a", "s", T)]},
    )
    file = tmp_path / "none" / "imd.db"
    for target in (postgres_server.create_database(), f"sqlite:///{file}"):
        report = Moving(source, target, tmp_path / "state").run("--dry-run")
        assert report["imported"]["muc_messages"] == 1
        assert report["would_make"] == ["the schema"]
        if target.startswith("postgres"):
            there = "SELECT count(*) FROM pg_namespace WHERE nspname = 'im'"
            assert ask(target, there) == [(0,)]
    assert not file.parent.exists()


def test_a_dry_run_leaves_an_older_schema_as_it_is(tmp_path):
    source = build(f"sqlite:///{tmp_path}/original.db", {"sessions": [session("s")]})
    target = f"sqlite:///{tmp_path}/old.db"
    upgrade(target, "0002")
    said = Moving(source, target, tmp_path / "state").run("--dry-run", status=2)
    assert "0002" in said and "imdctl migrate" in said
    assert current(target) == "0002"


def test_a_map_names_other_tables_columns_and_units(move, tmp_path: Path):
    build(move.source, {"sessions": [session("s")],
                        "muc_messages": [message("a", "s", T // 1000)]})  # fmt: skip
    change(
        move.source,
        "ALTER TABLE muc_messages RENAME TO chat",
        "ALTER TABLE chat RENAME COLUMN id TO message_id",
        "ALTER TABLE sessions DROP COLUMN create_date",
    )
    names = tmp_path / "map.toml"
    names.write_text(
        '[tables]\nmuc_messages = "chat"\n[columns.muc_messages]\nid = "message_id"\n'
        '[units]\n"muc_messages.timestamp" = "s"\n'
    )
    report = move.run("--map", str(names))
    assert move.log("s") == [(1, "a", T, None)]
    assert report["missing_columns"] == ["sessions.create_date"]
    names.write_text('[tables]\nmuc_messages = "chat"\n')
    assert "chat.id" in move.run("--map", str(names), status=2)
    names.write_text("[tables]\nnonsense = 1\n")
    assert move.run("--map", str(names), status=2)
    template = move.run("--map-template")["map"]
    assert 'sessions = "sessions"' in template and "chat" in template


def test_what_cannot_be_read_is_status_2(move, tmp_path: Path):
    for url in ("nonsense", "oracle://x/y", f"sqlite:///{tmp_path}/missing.db",
                "mysql://u:secret@127.0.0.1:1/x"):  # fmt: skip
        said = Moving(url, move.target, tmp_path).run(status=2)
        assert "secret" not in said and "\n" not in said


def test_what_retention_deleted_does_not_come_back(move):
    rows = {"sessions": [session("s")], "muc_messages": [message("m", "s", T)]}
    moved(move, rows)
    with open_retention(move.target, lambda seconds: None) as retainer:
        done = retainer.do(lambda store: store.cut("s", Limit(T + 10**12), 1000, T))
    assert done is not None and done.deleted
    assert "retention has deleted" in move.run(status=2)
    assert move.rows("SELECT id FROM messages") == []
