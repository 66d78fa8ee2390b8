"""``imdctl backup`` and ``restore``: what is copied, what is refused, what is said (page 5.3)."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import stat
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2
import pytest

import imd
from imd.cli.main import run
from imd.domain.ids import UserId
from imd.domain.message import Draft
from imd.domain.participant import Seat
from imd.domain.session import Head
from imd.storage import sqlite_backup
from imd.storage.engine import connector
from imd.storage.schema import HEAD
from imd.storage.store import sync_transaction
from tests.binaries import find_binaries

PASSWORD = "pw-5f3a91c4"
NOW = 1_800_000_000_000


@pytest.fixture(autouse=True)
def _programs(monkeypatch):
    monkeypatch.setenv("PATH", f"{find_binaries()}{os.pathsep}{os.environ['PATH']}")


@pytest.fixture
def url(monkeypatch, database_url):
    """A database with one key in it."""
    monkeypatch.setenv("IMD_DATABASE_URL", database_url)
    assert run(["key", "add", "his", "--scope", "read", "--json"]) == 0
    return database_url


@pytest.fixture
def file(tmp_path) -> Path:
    made: Path = tmp_path / "copy" / "imd.backup"
    made.parent.mkdir()
    return made


def answer(capsys, *words: str) -> Any:
    capsys.readouterr()
    status = run([*words, "--json"])
    out, err = capsys.readouterr()
    assert (status, err) == (0, ""), err
    return json.loads(out)


def refusal(capsys, *words: str, status: int = 1) -> str:
    capsys.readouterr()
    assert run(list(words)) == status
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("imdctl: ")
    return str(err)


def value_of(url: str, name: str) -> str:
    with sync_transaction(url, write=False) as tx:
        found = tx.connection.row("SELECT value FROM store WHERE name = %s", (name,))
    assert found is not None
    return str(found[0])


def test_a_backup_says_what_it_is(capsys, url, file):
    made = answer(capsys, "backup", str(file))
    kind = "sqlite" if url.startswith("sqlite") else "postgresql"
    assert made == {
        "file": str(file),
        "bytes": file.stat().st_size,
        "kind": kind,
        "schema": HEAD,
        "epoch": value_of(url, "epoch"),
        "version": imd.__version__,
        "time": made["time"],
    }
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(file.parent.iterdir()) == [file]
    assert int(value_of(url, "backup_done")) >= made["time"]
    checked = answer(capsys, "restore", "--check", str(file))
    assert checked == {name: made[name] for name in made if name != "bytes"}


def test_a_file_that_is_there_is_not_written_over(capsys, url, file):
    file.write_text("precious")
    assert "--force" in refusal(capsys, "backup", str(file))
    assert file.read_text() == "precious"
    answer(capsys, "backup", str(file), "--force")
    answer(capsys, "restore", "--check", str(file))


def test_a_failed_backup_leaves_nothing(capsys, url, file, monkeypatch):
    from imd.storage import backups

    def full(path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(backups, "sync", full)
    assert "No space" in refusal(capsys, "backup", str(file))
    assert not list(file.parent.iterdir())


def test_a_restore_gives_back_what_was_there_under_a_new_epoch(capsys, url, file):
    before = answer(capsys, "backup", str(file))["epoch"]
    assert run(["key", "add", "billing", "--scope", "read"]) == 0
    assert "--force" in refusal(capsys, "restore", str(file))
    done = answer(capsys, "restore", str(file), "--force")
    assert done["epoch"] == value_of(url, "epoch") != before
    assert done["backup"]["epoch"] == before
    names = [item["name"] for item in answer(capsys, "key", "list")["items"]]
    assert names == ["his"]
    assert answer(capsys, "audit", "verify")["intact"] is True
    (note,) = answer(capsys, "audit", "show", "--action", "database.*")["items"]
    assert note["detail"]["backup_epoch"] == note["detail"]["replaced"] == before
    # Twice from one file are two lives.
    assert answer(capsys, "restore", str(file), "--force")["epoch"] != done["epoch"]


def test_a_restore_counts_the_messages_that_are_there(capsys, url, file):
    """Retention takes the beginning of a log away, so the newest seq is not their number."""
    with sync_transaction(url) as tx:
        head = Head("s1", "n", 9, 2, 0, NOW, 0, 0, NOW, None, None, None, None, 0)
        tx.sessions.insert(head)
        tx.participants.add(head, [Seat(UserId("P1"), "patient")], NOW)
        head = tx.sessions.lock("s1")
        tx.log.append(head, [Draft(f"{n:032x}", "s1", "P1", 1, "x") for n in range(5)], NOW)
    with sync_transaction(url) as tx:
        tx.connection.run("DELETE FROM messages WHERE seq < 4")
    answer(capsys, "backup", str(file))
    done = answer(capsys, "restore", str(file), "--force")
    assert (done["sessions"], done["messages"]) == (1, 2)


def test_who_restored_otherwise_gets_a_new_epoch(capsys, url):
    before = value_of(url, "epoch")
    made = answer(capsys, "restore", "--done-otherwise")["epoch"]
    assert value_of(url, "epoch") == made != before
    assert answer(capsys, "audit", "verify")["intact"] is True


def test_a_restore_is_refused_while_somebody_is_there(capsys, url, file):
    answer(capsys, "backup", str(file))
    with closing(connector(url)()) as server:
        server.begin(write=False)
        server.rows("SELECT * FROM store")
        server.rollback()
        assert "stop" in refusal(capsys, "restore", str(file), "--force")
        assert "stop" in refusal(capsys, "restore", "--done-otherwise")
    answer(capsys, "restore", str(file), "--force")


@pytest.mark.parametrize("migrate", ["true", "false"])
def test_a_newer_schema_is_refused(capsys, monkeypatch, url, file, migrate):
    monkeypatch.setenv("IMD_DATABASE_AUTO_MIGRATE", migrate)
    with sync_transaction(url) as tx:
        tx.connection.run("UPDATE schema_version SET version_num = '9999'")
    _raw_copy(url, file)
    with closing(connector(url)()) as connection:
        connection.begin(write=True)
        connection.run(f"UPDATE schema_version SET version_num = '{HEAD}'")
        connection.commit()
    before = value_of(url, "epoch")
    for words in (["--check"], ["--force"]):
        assert "newer" in refusal(capsys, "restore", str(file), *words)
    assert value_of(url, "epoch") == before


def _raw_copy(url: str, file: Path) -> None:
    """What imdctl would not make."""
    if url.startswith("sqlite"):
        from imd.storage.sqlite_backup import copy

        copy(url, file, force=False)
        return
    from imd.storage.postgres_backup import copy as dump

    dump(url, file, force=False)


def test_a_damaged_file_is_refused_and_changes_nothing(capsys, url, file):
    answer(capsys, "backup", str(file))
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    before = value_of(url, "epoch")
    for words in (["--check"], ["--force"]):
        refusal(capsys, "restore", str(file), *words)
    assert value_of(url, "epoch") == before
    assert [item["name"] for item in answer(capsys, "key", "list")["items"]] == ["his"]


def test_what_is_no_backup_is_named(capsys, url, file):
    file.write_text("hello")
    assert "no backup" in refusal(capsys, "restore", str(file))
    assert "cannot be read" in refusal(capsys, "restore", str(file) + "x")
    with closing(sqlite3.connect(file.with_name("other.db"))) as other:
        other.execute("CREATE TABLE t (x)")
        other.commit()
    if url.startswith("sqlite"):
        assert "no database of imd" in refusal(capsys, "restore", str(file.with_name("other.db")))
    else:
        assert "is of sqlite" in refusal(capsys, "restore", str(file.with_name("other.db")))


def test_words_that_do_not_go_together(capsys, url, file):
    refusal(capsys, "restore", status=2)
    refusal(capsys, "restore", str(file), "--done-otherwise", status=2)
    refusal(capsys, "restore", str(file), "--check", "--print", status=2)


# ---- SQLite


@pytest.fixture
def sqlite(monkeypatch, sqlite_url):
    monkeypatch.setenv("IMD_DATABASE_URL", sqlite_url)
    assert run(["key", "add", "his", "--scope", "read", "--json"]) == 0
    return sqlite_url


def test_sqlite_an_older_schema_comes_up_to_date_on_the_way(capsys, monkeypatch, tmp_path, file):
    from imd.storage.migrate import upgrade

    old = f"sqlite:///{tmp_path / 'old.db'}"
    upgrade(old, "0001")
    _raw_copy(old, file)
    monkeypatch.setenv("IMD_DATABASE_URL", f"sqlite:///{tmp_path / 'imd.db'}")
    assert answer(capsys, "restore", str(file))["backup"]["schema"] == "0001"
    assert answer(capsys, "migrate", "--dry-run")["steps"] == []


def test_sqlite_a_broken_database_can_be_replaced(capsys, sqlite, file):
    answer(capsys, "backup", str(file))
    path = Path(sqlite.removeprefix("sqlite:///"))
    path.write_bytes(b"x" * 8192)
    assert "damaged" in refusal(capsys, "restore", str(file))
    answer(capsys, "restore", str(file), "--force")
    assert [item["name"] for item in answer(capsys, "key", "list")["items"]] == ["his"]
    assert sorted(child.name for child in path.parent.iterdir()) == ["copy", "imd.db"]


def test_sqlite_two_restores_at_once_do_not_meet_in_one_file(capsys, sqlite, file, monkeypatch):
    """The second would clear the file that the first is about to put in place."""
    answer(capsys, "backup", str(file))
    real, said = sqlite_backup.check_schema, []

    def another(manifest: Any) -> None:
        monkeypatch.setattr(sqlite_backup, "check_schema", real)
        assert run(["restore", str(file), "--force"]) == 1
        said.append(capsys.readouterr().err)
        real(manifest)

    monkeypatch.setattr(sqlite_backup, "check_schema", another)
    epoch = answer(capsys, "restore", str(file), "--force")["epoch"]
    assert "another restore" in said[0]
    assert value_of(sqlite, "epoch") == epoch
    answer(capsys, "restore", str(file), "--force")


def test_sqlite_owner_and_mode_stay(capsys, sqlite, file):
    answer(capsys, "backup", str(file))
    path = Path(sqlite.removeprefix("sqlite:///"))
    path.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(path, 12345, 12346)
    before = path.stat()
    answer(capsys, "restore", str(file), "--force")
    after = path.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (
        before.st_mode, before.st_uid, before.st_gid,
    )  # fmt: skip


def test_sqlite_who_opens_it_while_it_is_replaced_does_not_write_into_the_void(sqlite):
    """The old file has lost its name when its lock is given back."""
    from imd.storage.engine import Broken
    from imd.storage.sqlite import SqliteConnection

    path = sqlite.removeprefix("sqlite:///")
    real = sqlite3.connect

    def late(*words: Any, **more: Any) -> Any:
        opened = real(*words, **more)
        opened.execute("SELECT count(*) FROM sqlite_master").fetchone()
        shutil.copy(path, path + ".new")
        Path(path + ".new").replace(path)
        return opened

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("imd.storage.sqlite.sqlite3.connect", late)
        with pytest.raises(Broken, match="replaced"):
            SqliteConnection(path)
    SqliteConnection(path).close()


def test_sqlite_print_is_for_postgresql(capsys, sqlite, file):
    refusal(capsys, "backup", str(file), "--print", status=2)
    refusal(capsys, "restore", str(file), "--print", status=2)


# ---- PostgreSQL


@pytest.fixture
def postgres(monkeypatch, postgres_url):
    """With a password in the URL, which the server does not ask for."""
    host = postgres_url.replace("postgresql://imd@", f"postgresql://imd:{PASSWORD}@")
    monkeypatch.setenv("IMD_DATABASE_URL", host)
    assert run(["key", "add", "his", "--scope", "read", "--json"]) == 0
    return host


def _stand_in(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_postgres_the_password_goes_by_the_environment(capsys, postgres, file, tmp_path):
    real = find_binaries()
    for name in ("pg_dump", "pg_restore", "psql"):
        record = f'echo "$0 $*" >> {tmp_path}/lines; [ "$PGPASSWORD" = {PASSWORD} ] || exit 9'
        check = f'case "$*" in --version) ;; *) {record};; esac' if name != "pg_restore" else ":"
        _stand_in(tmp_path, name, f'{check}\nexec {real}/{name} "$@"')
    answer(capsys, "backup", str(file), "--programs", str(tmp_path))
    answer(capsys, "restore", str(file), "--force", "--programs", str(tmp_path))
    lines = (tmp_path / "lines").read_text()
    assert "pg_dump" in lines and "psql" in lines
    assert PASSWORD not in lines


@pytest.mark.parametrize(
    "words",
    ["backup F --force", "backup F --print", "restore F --force", "restore --done-otherwise",
     "retention plan", "doctor-check"],
)  # fmt: skip
@pytest.mark.parametrize("password", [f"{PASSWORD}%zz", f"x@{PASSWORD}"])
def test_postgres_an_address_that_cannot_be_read_is_not_shown(
    capsys, monkeypatch, file, words, password
):
    """A % in a password stands as %25; the library would show what it could not read."""
    file.write_bytes(b"PGDMP")
    url = f"postgresql://imd:{password}@localhost/imd"
    monkeypatch.setenv("IMD_DATABASE_URL", url)
    capsys.readouterr()
    assert run([str(file) if word == "F" else word for word in words.split()]) in (1, 2)
    out, err = capsys.readouterr()
    assert PASSWORD not in out + err and "Traceback" not in err


def test_postgres_print_shows_commands_without_the_password(capsys, postgres, file):
    shown = answer(capsys, "backup", str(file), "--print")["commands"]
    shown += answer(capsys, "restore", str(file), "--print")["commands"]
    text = "\n".join(shown)
    assert "pg_dump --format=custom" in text and "pg_restore" in text and "epoch" in text
    assert PASSWORD not in text and not file.exists()


@pytest.mark.parametrize("good", [True, False])
def test_postgres_the_printed_lines_take_the_old_away_last(capsys, postgres, file, good):
    """All of them pasted into a shell, whatever becomes of one."""
    answer(capsys, "backup", str(file))
    before = value_of(postgres, "epoch")
    assert run(["key", "add", "billing", "--scope", "read"]) == 0
    lines = answer(capsys, "restore", str(file), "--print")["commands"]
    if not good:
        file.write_bytes(file.read_bytes()[:2000])
    for line in lines:
        subprocess.run(line, shell=True, capture_output=True, check=good)
    with closing(psycopg2.connect(postgres)) as db, db.cursor() as cursor:
        cursor.execute("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'im%' ORDER BY 1")
        schemas = [row[0] for row in cursor.fetchall()]
        where = "im" if good else "im_before"
        cursor.execute(f"SELECT name FROM {where}.service_keys ORDER BY 1")
        names = [row[0] for row in cursor.fetchall()]
    if good:
        assert (schemas, names) == (["im"], ["his"])
        assert value_of(postgres, "epoch") != before
    else:
        assert "im_before" in schemas and names == ["billing", "his"]


def test_postgres_missing_programs_and_other_versions_are_named(capsys, postgres, file, tmp_path):
    assert "there is no pg_dump" in refusal(
        capsys, "backup", str(file), "--programs", str(tmp_path)
    )
    _stand_in(tmp_path, "pg_dump", 'echo "pg_dump (PostgreSQL) 9.6.1"')
    old = refusal(capsys, "backup", str(file), "--programs", str(tmp_path))
    assert "version 9" in old and "older" in old
    answer(capsys, "backup", str(file))
    _stand_in(tmp_path, "pg_restore", 'echo "pg_restore (PostgreSQL) 99.1"')
    new = refusal(capsys, "restore", str(file), "--force", "--programs", str(tmp_path))
    assert "version 99" in new


def test_postgres_a_restore_that_fails_late_changes_nothing(capsys, postgres, file, tmp_path):
    answer(capsys, "backup", str(file))
    before = value_of(postgres, "epoch")
    real = find_binaries()
    # All but the end comes, and then it breaks off as a full disk or a kill would do it.
    broken = (
        f'case "$*" in *--no-owner*) {real}/pg_restore "$@" | head -c 20000; exit 1;;'
        f' *) exec {real}/pg_restore "$@";; esac'
    )
    _stand_in(tmp_path, "pg_restore", broken)
    (tmp_path / "psql").symlink_to(real / "psql")
    said = refusal(capsys, "restore", str(file), "--force", "--programs", str(tmp_path))
    assert "nothing was restored" in said
    assert value_of(postgres, "epoch") == before
    assert [item["name"] for item in answer(capsys, "key", "list")["items"]] == ["his"]


def test_postgres_somebody_who_comes_meanwhile_stops_it(capsys, postgres, file, monkeypatch):
    """A server that starts while the tables are put back must not go on with the old epoch."""
    from imd.storage import postgres_backup

    answer(capsys, "backup", str(file))
    before = value_of(postgres, "epoch")
    unpack, came = postgres_backup._unpack, []

    def meanwhile(*words: Any) -> None:
        came.append(connector(postgres)())
        unpack(*words)

    monkeypatch.setattr(postgres_backup, "_unpack", meanwhile)
    assert "imd is running" in refusal(capsys, "restore", str(file), "--force")
    came[0].close()
    assert value_of(postgres, "epoch") == before
