"""Page 7.1: runs that are killed go on, and nothing is left behind or moved twice.

``IMD_TEST_LEGACY_MESSAGES=1000000`` is the full size. A kill comes at a point that is seen: the
target's own trigger stops the commit of the chunk in question until the process is dead.
"""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from contextlib import closing
from typing import Any, Final

import psycopg2
import pytest

from imd.ledger.names import CHANNELS
from tests.ledger.conftest import source_of
from tests.ledger.hospital import Hospital
from tests.ledger.moving import Moving
from tests.ledger.originals import ask
from tests.ledger.test_moving import seed_unread

MESSAGES: Final = int(os.environ.get("IMD_TEST_LEGACY_MESSAGES") or 50_000)
_GATE: Final = 0x6B696C6C
_PATIENCE: Final = 600.0

#: the commit that brings the target to so many messages waits at the gate
_STOP_THERE: Final = """
CREATE OR REPLACE FUNCTION im.stop_there() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT sum(last_seq) FROM im.sessions) >= {there} THEN
        PERFORM pg_advisory_xact_lock({gate});
    END IF;
    RETURN NULL;
END
$$
"""


class Gate:
    """A place in the target before which a run stops and is killed."""

    def __init__(self, move: Moving) -> None:
        self._move = move
        self._db = psycopg2.connect(move.target)
        self._db.autocommit = True

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        with self._db.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall() if cursor.description else []

    def kill(self, there: int, *, stored: bool) -> None:
        """Kill -9 a run while it commits; ``stored`` says what becomes of that commit."""
        self.ask(f"SELECT pg_advisory_lock({_GATE})")
        self.ask(_STOP_THERE.format(there=there, gate=_GATE))
        self.ask(
            "CREATE CONSTRAINT TRIGGER stop_there AFTER INSERT OR UPDATE ON im.legacy_runs"
            " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION im.stop_there()"
        )
        run = self._move.start()
        waiting = f"SELECT pid FROM pg_locks WHERE objid = {_GATE} AND NOT granted"
        try:
            self._until(lambda: self.ask(waiting) or run.poll() is not None)
            [(backend,)] = self.ask(waiting)
        finally:
            run.send_signal(signal.SIGKILL)
            run.communicate()
        assert run.returncode == -signal.SIGKILL
        if not stored:
            self.ask(f"SELECT pg_terminate_backend({backend})")
        self.ask(f"SELECT pg_advisory_unlock({_GATE})")
        left = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND pid <> "
        self._until(lambda: not self.ask(f"{left} pg_backend_pid()"))
        self.ask("DROP TRIGGER stop_there ON im.legacy_runs")

    def _until(self, condition: Any) -> None:
        deadline = time.monotonic() + _PATIENCE
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def close(self) -> None:
        self._db.close()


def stored(move: Moving) -> int:
    return int(move.rows("SELECT count(*) FROM messages")[0][0])


@pytest.mark.timeout(max(300, MESSAGES // 250))
@pytest.mark.parametrize("kind", ["mysql", "sqlite"])
def test_a_run_that_is_killed_goes_on_where_it_was(kind, request, postgres_copy, tmp_path):
    """Once the commit under way is lost, once it is done though nobody heard of it."""
    hospital = Hospital(MESSAGES, MESSAGES // 2)
    move = Moving(hospital.build(source_of(kind, request), tmp_path), postgres_copy, tmp_path)
    with closing(Gate(move)) as gate:
        gate.kill(MESSAGES // 3, stored=False)
        lost = stored(move)
        assert 0 < lost < MESSAGES // 3
        gate.kill(MESSAGES * 3 // 4, stored=True)
        assert MESSAGES * 3 // 4 <= stored(move) < hospital.numbers_of(CHANNELS)
    report: Any = move.run()
    assert report["resumed"] is True and report["sessions_different"] == 0
    assert report["source"] == hospital.numbers | {"app_status": 0}
    assert report["rejected"] == {"no_session": 7} and len(move.rejects()) == 7
    imported = report["imported"]
    assert imported["muc_messages"] == hospital.numbers["muc_messages"] - 7
    assert {**imported, "muc_messages": 0} == {**report["source"], "muc_messages": 0}
    assert report["sessions_compared"] == hospital.numbers["sessions"]
    check_counts(move)
    check_every_mark(move)
    again = move.run()
    assert sum(again["imported"].values()) == 0 and again["resumed"] is False
    if kind == "sqlite":
        at_once = Moving(move.source, f"sqlite:///{tmp_path}/at_once.db", tmp_path)
        at_once.run()
        assert what_moved(at_once) == what_moved(move)


def check_counts(move: Moving) -> None:
    """Each log is whole and counted, and each table has as many rows as the original's."""
    logs = {
        row[0]: row[1:]
        for row in move.rows(
            "SELECT session_id, count(*), sum(CASE WHEN type <> 2105 THEN 1 ELSE 0 END)"
            " FROM messages GROUP BY session_id HAVING count(*) = max(seq) AND min(seq) = 1"
        )
    }
    heads = move.rows("SELECT id, last_seq, counted FROM sessions WHERE last_seq > 0")
    assert {row[0]: row[1:] for row in heads} == logs
    there = Counter[str]()
    for table in CHANNELS:
        sql = f"SELECT session_id, count(*) FROM {table} GROUP BY session_id"
        there.update(dict(ask(move.source, sql)))
    del there["gone"]
    assert there == {id_: log[0] for id_, log in logs.items()}


def check_every_mark(move: Moving) -> None:
    """Unread of every participant is what the original's query gives, less what page 7.1 takes."""
    told = Counter[tuple[str, str]]()
    stamp = "`timestamp`" if move.source.startswith("mysql") else "timestamp"
    for table in CHANNELS:
        sql = (
            "SELECT p.session_id, p.participant_id, count(*) FROM participants p"
            f" JOIN {table} m ON m.session_id = p.session_id"
            f" AND m.{stamp} > coalesce(p.last_fetch_time, 0)"
            " AND m.sender_id <> p.participant_id AND m.type <> 2105"
            " GROUP BY p.session_id, p.participant_id"
        )
        for session_id, who, number in ask(move.source, sql):
            told[session_id, who] += number
    counted = dict(move.rows("SELECT id, counted FROM sessions"))
    ours = [
        (session_id, who, counted[session_id] - read)
        for session_id, who, read in move.rows(
            "SELECT session_id, participant_id, read_counted FROM participants ORDER BY 1, 2"
        )
    ]
    assert {row[:2]: row[2] for row in ours if row[2]} == +told
    assert len(ours) == ask(move.source, "SELECT count(*) FROM participants")[0][0]
    for session_id, who, unread in ours[:: max(1, len(ours) // 100)]:  # by its very words
        assert unread == seed_unread(move.source, session_id, who)


def what_moved(move: Moving) -> dict[str, list[tuple[Any, ...]]]:
    """All rows, less the times at which they were moved."""
    tables = (
        "participants", "messages", "topics", "participant_topics", "topic_tallies",
        "legacy_sessions",
    )  # fmt: skip
    columns = dict.fromkeys(tables, "*")
    columns["users"] = "id, kind, name, sex, openid"
    columns["sessions"] = (
        "id, name, type, business_type, status, last_seq, counted, last_timestamp,"
        " last_message_seq, last_message_time, current_topic_id"
    )
    return {
        table: sorted(move.rows(f"SELECT {shown} FROM {table}"), key=repr)
        for table, shown in columns.items()
    }
