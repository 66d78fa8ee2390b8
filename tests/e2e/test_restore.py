"""A backup under a running server, a loss, a restore: clients end with what was restored (5.3)."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from tests.binaries import find_binaries
from tests.e2e.page import Page
from tests.e2e.rest import Rest
from tests.e2e.server import Imd, clean_environment, die_with_parent, token, until

DOCTOR, PATIENT, SESSION = "D1", "p1", "p1_t1_2"
IMDCTL = [str(Path(sys.executable).with_name("imdctl"))]
PATIENCE = 60.0


def environment(imd: Imd) -> dict[str, str]:
    """As the server has it, with PostgreSQL's programs on the PATH."""
    path = os.pathsep.join(filter(None, [_programs(imd), os.environ.get("PATH")]))
    state = {"IMD_STATE_DIR": str(imd.state)}
    return {**clean_environment(), **imd.settings, **state, "PATH": path}


def _programs(imd: Imd) -> str:
    return str(find_binaries()) if "IMD_DATABASE_URL" in imd.settings else ""


def imdctl(imd: Imd, *words: str, status: int = 0) -> Any:
    """The JSON answer of a command, or what it said on stderr when it fails."""
    done = subprocess.run(
        [*IMDCTL, *words, "--json"], env=environment(imd), capture_output=True, text=True
    )
    assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
    return json.loads(done.stdout) if status == 0 else done.stderr


async def _history(imd: Imd) -> list[tuple[int, str]]:
    async with Rest(imd.port, token(DOCTOR, "doctor")) as rest:
        answer = await rest.ask(
            "GET", f"/sessions/{SESSION}/messages", query={"size": 200, "order": "asc"}
        )
        return [(item["seq"], item["content"]) for item in answer.must(200)["items"]]


async def _talk(imd: Imd, texts: Sequence[str]) -> None:
    async with Rest(imd.port, token(DOCTOR, "doctor")) as rest:
        await rest.open_session(SESSION, f"{DOCTOR}:doctor", f"{PATIENT}:patient")
        for text in texts:
            (await rest.post(SESSION, text, f"key-{text}")).must(201)


def test_a_client_that_knows_more_reloads_and_ends_with_what_was_restored(
    imd: Imd, tmp_path: Path
) -> None:
    asyncio.run(_lose_and_restore(imd, tmp_path / "imd.backup"))


async def _lose_and_restore(imd: Imd, file: Path) -> None:
    await _talk(imd, ["一", "二", "三"])
    made = await asyncio.to_thread(imdctl, imd, "backup", str(file))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert made["version"] and made["time"] and made["schema"]
    page = Page(imd.port, token(PATIENT, "patient"), "patient", SESSION)
    try:
        await page.opened()
        await _talk(imd, ["四", "五"])
        await page.reached(5)
        known = page.logins[-1]["epoch"]
        assert known == made["epoch"]
        refused = await asyncio.to_thread(imdctl, imd, "restore", str(file), "--force", status=1)
        assert "stop" in refused
        assert imd.stop() in (0, -signal.SIGTERM)
        refused = await asyncio.to_thread(imdctl, imd, "restore", str(file), status=1)
        assert "--force" in refused
        restored = await asyncio.to_thread(imdctl, imd, "restore", str(file), "--force")
        assert (restored["sessions"], restored["messages"]) == (1, 3)
        assert restored["epoch"] != known
        imd.start()
        # What is written now takes the seqs that the client knows as other messages.
        await _talk(imd, ["新四", "新五", "新六"])
        await page.until(lambda: page.reloads == 1)
        await page.reached(6)
        assert page.logins[-1]["recovered"] is False
        assert page.logins[-1]["epoch"] == restored["epoch"]
        expected = list(enumerate(["一", "二", "三", "新四", "新五", "新六"], 1))
        assert [(m["seq"], m["content"]) for m in page.shown] == expected
        assert await _history(imd) == expected
        assert not page.faults
    finally:
        await page.close()
    assert (await asyncio.to_thread(imdctl, imd, "audit", "verify"))["intact"] is True
    acts = await asyncio.to_thread(imdctl, imd, "audit", "show", "--object", "database")
    assert [item["action"] for item in acts["items"]] == ["backup.made", "database.restored"]
    assert acts["items"][1]["detail"]["epoch"] == restored["epoch"]


def _rows(imd: Imd, sql: str) -> list[Any]:
    url = imd.settings.get("IMD_DATABASE_URL", "")
    if url.startswith("postgresql"):
        with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall()
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as db:
        return db.execute(sql).fetchall()


_AMID = """
import os, signal, sys
from pathlib import Path
from imd.storage import sqlite_backup

def sync(path):
    # All is ready and checked, the old file is held, and the new one has not its name yet.
    if path.name.endswith(".restoring"):
        os.kill(os.getpid(), signal.SIGKILL)

sqlite_backup.sync = sync
from imd.cli.main import run
sys.exit(run(sys.argv[1:]))
"""


def test_a_kill_in_the_middle_of_a_restore_leaves_the_old_state(imd: Imd, tmp_path: Path) -> None:
    file = tmp_path / "imd.backup"
    asyncio.run(_talk(imd, ["一", "二"]))
    imdctl(imd, "backup", str(file))
    asyncio.run(_talk(imd, ["三"]))
    assert imd.stop() in (0, -signal.SIGTERM)
    look = "SELECT value FROM im.store WHERE name = 'epoch'"
    if imd.settings["IMD_DATABASE_URL"].startswith("postgresql"):
        before = _rows(imd, look)
        _kill_amid_postgres(imd, file)
    else:
        look = look.replace("im.store", "store")
        before = _rows(imd, look)
        done = subprocess.run(
            [sys.executable, "-c", _AMID, "restore", str(file), "--force"], env=environment(imd)
        )
        assert done.returncode == -signal.SIGKILL
    assert _rows(imd, look) == before
    imd.start()
    assert asyncio.run(_history(imd)) == [(1, "一"), (2, "二"), (3, "三")]
    assert imd.stop() in (0, -signal.SIGTERM)
    # And nothing of it stands in the way of the next one.
    assert imdctl(imd, "restore", str(file), "--force")["messages"] == 2


def _kill_amid_postgres(imd: Imd, file: Path) -> None:
    """Somebody who reads the old tables holds the restore up, after it has begun."""
    url = imd.settings["IMD_DATABASE_URL"]
    waiting = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND application_name = 'psql' AND wait_event_type = 'Lock'"
    )
    gone = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND application_name = 'psql'"
    )
    with closing(psycopg2.connect(url)) as reader, reader.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM im.messages")
        restoring = subprocess.Popen(
            [*IMDCTL, "restore", str(file), "--force"],
            env=environment(imd),
            preexec_fn=die_with_parent,
        )
        try:
            until(lambda: _rows(imd, waiting) == [(1,)], PATIENCE, "the restore to wait")
        finally:
            restoring.kill()
            restoring.wait()
        reader.rollback()
    until(lambda: _rows(imd, gone) == [(0,)], PATIENCE, "psql to go")


def test_a_restore_into_an_empty_place_needs_no_force(
    imd: Imd, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    file = tmp_path / "imd.backup"
    asyncio.run(_talk(imd, ["一", "二"]))
    imdctl(imd, "backup", str(file))
    other = Imd(tmp_path / "other", None)
    if imd.settings["IMD_DATABASE_URL"].startswith("postgresql"):
        server = request.getfixturevalue("postgres_server")
        other.settings["IMD_DATABASE_URL"] = server.create_database()
    else:
        other.settings["IMD_DATABASE_URL"] = f"sqlite:///{tmp_path / 'new' / 'imd.db'}"
    assert imdctl(other, "restore", str(file))["messages"] == 2
    try:
        other.start()
        assert asyncio.run(_history(other)) == [(1, "一"), (2, "二")]
    finally:
        other.kill()
