"""Pages 1.3, 5.2 and 6: the schema's versions, and how a database comes to the present one."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
import pytest_twisted

from imd.storage.engine import Broken, connector
from imd.storage.migrate import current, print_sql, upgrade
from imd.storage.schema import HEAD, KNOWN, SchemaError
from imd.storage.store import prepare, sync_transaction
from tests.servers import PostgresServer
from tests.storage.ground import Ground, HandClock

ROOT = Path(__file__).parents[2]


def run_sql(url: str, sql: str) -> None:
    """As a database administrator does: the whole text at once, nothing else set."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as database:
            database.executescript(sql)
            database.commit()
    else:
        with closing(psycopg2.connect(url)) as database:
            database.autocommit = True
            database.cursor().execute(sql)


def schema_of(url: str) -> list[tuple[object, ...]]:
    """Everything that the migrations made, as the database describes it."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as database:
            found = database.execute(
                "SELECT type, name, tbl_name, sql FROM sqlite_master"
            ).fetchall()
        return sorted(
            (kind, name, table, " ".join((sql or "").split())) for kind, name, table, sql in found
        )
    queries = (
        "SELECT table_name, column_name, data_type, is_nullable, coalesce(column_default, '')"
        " FROM information_schema.columns WHERE table_schema = 'im'",
        "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'im'",
        "SELECT viewname, definition FROM pg_views WHERE schemaname = 'im'",
        "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE connamespace = 'im'::regnamespace",
        "SELECT proname FROM pg_proc WHERE pronamespace = 'im'::regnamespace",
        "SELECT unnest(setconfig) FROM pg_db_role_setting JOIN pg_database d ON d.oid = setdatabase"
        " WHERE datname = current_database()",
    )
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        found = []
        for query in queries:
            cursor.execute(query)
            found += sorted(cursor.fetchall())
    return found


def test_a_fresh_database_has_no_version(database_url: str) -> None:
    assert current(database_url) is None
    with pytest.raises(SchemaError, match="imdctl migrate"), sync_transaction(database_url):
        pass


def test_upgrade_brings_a_fresh_database_to_the_head(database_url: str) -> None:
    assert upgrade(database_url)[-1] == HEAD == KNOWN[-1]
    assert current(database_url) == HEAD
    assert upgrade(database_url) == []
    with sync_transaction(database_url) as transaction:
        assert transaction.sessions.head("s") is None


def test_starting_migrates_only_where_that_is_allowed(database_url: str) -> None:
    with pytest.raises(SchemaError, match="imdctl migrate"):
        prepare(database_url, auto_migrate=False)
    assert current(database_url) is None
    epoch = prepare(database_url, auto_migrate=True)
    assert len(epoch) == 32
    assert prepare(database_url, auto_migrate=False) == epoch


def test_each_database_has_an_epoch_of_its_own(sqlite_url: str, postgres_url: str) -> None:
    assert prepare(sqlite_url, True) != prepare(postgres_url, True)


def test_a_newer_schema_is_refused_and_left_alone(database_url: str) -> None:
    upgrade(database_url)
    with sync_transaction(database_url) as transaction:
        transaction.connection.run("UPDATE schema_version SET version_num = '9999'")
    for attempt in (current, upgrade, lambda url: prepare(url, True)):
        with pytest.raises(SchemaError, match="newer"):
            attempt(database_url)
    with closing(connector(database_url)()) as connection:
        connection.begin(write=False)
        assert connection.row("SELECT version_num FROM schema_version") == ("9999",)


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_the_printed_sql_makes_the_same_schema(request, kind, tmp_path) -> None:
    migrated = request.getfixturevalue(f"{kind}_url")
    if kind == "sqlite":
        printed = f"sqlite:///{tmp_path / 'printed.db'}"
    else:
        server: PostgresServer = request.getfixturevalue("postgres_server")
        printed = server.create_database()
    upgrade(migrated)
    run_sql(printed, print_sql(printed))
    assert schema_of(printed) == schema_of(migrated)
    assert current(printed) == HEAD
    assert len(prepare(printed, auto_migrate=False)) == 32


@pytest.mark.parametrize("place", [1, 5, -1])
def test_a_migration_that_is_killed_leaves_nothing(database_url: str, place: int) -> None:
    """SIGKILL before the statement at ``place``; the next upgrade goes through."""
    program = textwrap.dedent(
        """
        import importlib, os, signal, sys
        from alembic import op
        first = importlib.import_module("imd.storage.migrations.versions.0001_first")
        deadly = first.TABLES[int(sys.argv[2])]
        execute = op.execute
        def killing(statement):
            if statement == deadly:
                os.kill(os.getpid(), signal.SIGKILL)
            execute(statement)
        op.execute = killing
        from imd.storage.migrate import upgrade
        upgrade(sys.argv[1])
        """
    )
    died = subprocess.run(
        [sys.executable, "-c", program, database_url, str(place)], cwd=ROOT, check=False
    )
    assert died.returncode == -signal.SIGKILL
    assert current(database_url) is None
    assert upgrade(database_url)[-1] == HEAD


@pytest.mark.parametrize("turn", range(3))
def test_processes_that_migrate_at_once_wait_for_each_other(database_url: str, turn) -> None:
    program = (
        "import sys, alembic.command, imd.storage.migrate; from imd.storage.store import prepare;"
        " print('ready', flush=True); sys.stdin.readline(); print(prepare(sys.argv[1], True))"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, database_url], cwd=ROOT, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for _ in range(4)
    ]  # fmt: skip
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, said
    assert len({epoch for epoch, _ in said}) == 1
    assert current(database_url) == HEAD


def test_a_url_of_another_database_is_refused() -> None:
    with pytest.raises(ValueError, match=r"database\.url"):
        connector("mysql://x")


def test_a_database_that_is_not_there_is_broken(tmp_path: Path) -> None:
    with pytest.raises(Broken):
        connector(f"sqlite:///{tmp_path}/no/folder/imd.db")()
    with pytest.raises(Broken):
        connector("postgresql://imd@127.0.0.1:1/x")()


# ---- durability (page 4.1, I1)


def test_connections_are_as_durable_as_promised(migrated_url: str) -> None:
    with closing(connector(migrated_url)()) as connection:
        connection.begin(write=False)
        if connection.row_locks:
            assert connection.row("SHOW synchronous_commit") == ("on",)
            assert connection.row("SHOW search_path") == ("im,public",)
        else:
            assert connection.row("PRAGMA journal_mode") == ("wal",)
            assert connection.row("PRAGMA synchronous") == (2,)
            assert connection.row("PRAGMA foreign_keys") == (1,)


@pytest_twisted.ensureDeferred
async def test_unsafe_settings_are_named(
    migrated_url: str, postgres_server: PostgresServer
) -> None:
    ground = await Ground(migrated_url, HandClock()).open()
    unsafe = await ground.store.unsafe_settings()
    await ground.close()
    # The tests' own server is quick and unsafe.
    quick = ["fsync is off", "full_page_writes is off"]
    assert sorted(unsafe) == (quick if ground.postgres and postgres_server.ours else [])


@pytest_twisted.ensureDeferred
async def test_asynchronous_commit_of_the_database_is_named(postgres_copy: str) -> None:
    with closing(psycopg2.connect(postgres_copy)) as connection:
        connection.autocommit = True
        name = postgres_copy.rpartition("/")[2]
        connection.cursor().execute(f'ALTER DATABASE "{name}" SET synchronous_commit = off')
    ground = await Ground(postgres_copy, HandClock()).open()
    assert "synchronous_commit is off" in await ground.store.unsafe_settings()
    await ground.close()


def test_a_killed_process_loses_nothing_that_was_committed(migrated_url: str) -> None:
    program = textwrap.dedent(
        """
        import os, sys
        from imd.storage.store import sync_transaction
        n = 0
        while True:
            n += 1
            with sync_transaction(sys.argv[1]) as tx:
                tx.users.put(f"U{n}", {"name": "x"}, n)
            print(n, flush=True)
        """
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, migrated_url], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        last = 0
        while last < 20:
            last = int(process.stdout.readline())
        os.kill(process.pid, signal.SIGKILL)
        for line in process.stdout.read().split():
            last = int(line)
    deadline = time.monotonic() + 30
    while True:
        try:
            with sync_transaction(migrated_url, write=False) as transaction:
                missing = [n for n in range(1, last + 1) if transaction.users.get(f"U{n}") is None]
            break
        except Exception:
            assert time.monotonic() < deadline
    assert missing == []


def test_a_topic_that_is_begun_while_the_step_is_made_waits_like_the_others(
    postgres_url: str,
) -> None:
    """The version before serves on meanwhile: what it has not committed yet is not to be missed."""
    upgrade(postgres_url, "0004")
    with closing(psycopg2.connect(postgres_url, options="-c search_path=im")) as before:
        with before.cursor() as cursor:
            cursor.execute(
                "INSERT INTO sessions (id, type, business_type, create_time) VALUES ('s', 1, 2, 1)"
            )
            cursor.execute(
                "INSERT INTO topics (id, session_id, session_type, status, create_time, start_by)"
                " VALUES ('t', 's', 1, 0, 1, 'p')"
            )
        with ThreadPoolExecutor(1) as pool:
            step = pool.submit(upgrade, postgres_url)
            waits_for_a_lock(postgres_url)
            before.commit()
            step.result(timeout=30)
        with before.cursor() as cursor:
            cursor.execute("SELECT topic_id FROM topics_waiting")
            assert cursor.fetchall() == [("t",)]


def waits_for_a_lock(url: str) -> None:
    """Until a process of this database does."""
    asked = (
        "SELECT 1 FROM pg_stat_activity WHERE datname = current_database()"
        " AND wait_event_type = 'Lock'"
    )
    with closing(psycopg2.connect(url)) as database, database.cursor() as cursor:
        database.autocommit = True
        for _ in range(600):
            cursor.execute(asked)
            if cursor.fetchone():
                return
            time.sleep(0.05)
    raise AssertionError("nobody waits")
