"""``imdctl key``: made once, stored as a digest, listed, revoked (page 5.3)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from imd.cli.main import run
from imd.service.credentials import digest_of
from imd.storage.store import sync_transaction


@pytest.fixture(autouse=True)
def _settings(monkeypatch, database_url):
    monkeypatch.setenv("IMD_DATABASE_URL", database_url)


def answer(capsys, *words: str) -> Any:
    assert run([*words, "--json"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return json.loads(out)


def refusal(capsys, status: int, *words: str) -> str:
    assert run(words) == status
    out, err = capsys.readouterr()
    assert out == ""
    line: str = err.splitlines()[-1]
    assert line.startswith("imdctl: ")
    return line


def test_a_key_is_printed_once_and_kept_as_a_digest(capsys, database_url):
    assert run(["key", "add", "his", "--scope", "read,write"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert set(made) == {"name", "key", "scopes"}
    assert made["name"] == "his" and made["scopes"] == ["read", "write"]
    with sync_transaction(database_url) as tx:
        (row,) = tx.keys.all()
    assert row.digest == digest_of(made["key"]) and row.scopes == {"read", "write"}
    listed = answer(capsys, "key", "list")
    assert [item["name"] for item in listed["items"]] == ["his"]
    assert made["key"] not in json.dumps(listed) and row.digest not in json.dumps(listed)


def test_scopes_may_be_repeated_and_are_known_ones(capsys):
    made = answer(capsys, "key", "add", "a", "--scope", "admin", "--scope", "read, metrics")
    assert made["scopes"] == ["read", "admin", "metrics"]
    for scope in ("", "root", "read,", "READ"):
        line = refusal(capsys, 2, "key", "add", "b", "--scope", scope)
        assert "read, write, admin" in line
    assert "--scope" in refusal(capsys, 2, "key", "add", "b")


def test_a_name_is_taken_until_its_key_is_revoked(capsys):
    answer(capsys, "key", "add", "his", "--scope", "read")
    assert "'his'" in refusal(capsys, 1, "key", "add", "his", "--scope", "read")
    assert answer(capsys, "key", "revoke", "his") == {"name": "his", "revoked": True}
    assert "'his'" in refusal(capsys, 1, "key", "revoke", "his")
    assert answer(capsys, "key", "list") == {"items": []}
    answer(capsys, "key", "add", "his", "--scope", "read")


@pytest.mark.parametrize("name", ["", "a b", "a\nb", "x" * 65, "\x1b[31m"])
def test_a_name_is_plain(capsys, name):
    refusal(capsys, 2, "key", "add", name, "--scope", "read")


def test_people_get_a_line_a_key(capsys):
    for name in ("his", "billing"):
        answer(capsys, "key", "add", name, "--scope", "write")
    assert run(["key", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["billing", "his"]
    assert all(line.endswith("write") for line in lines)


def test_a_database_that_is_not_there_is_one_line(capsys, monkeypatch, tmp_path: Path):
    monkeypatch.setenv("IMD_DATABASE_URL", "postgresql://imd@127.0.0.1:1/im")
    assert "database" in refusal(capsys, 1, "key", "list")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("IMD_DATABASE_URL", f"sqlite:///{tmp_path}/file/imd.db")
    assert "database" in refusal(capsys, 1, "key", "list")


def test_without_auto_migrate_the_schema_is_asked_for(capsys, monkeypatch):
    monkeypatch.setenv("IMD_DATABASE_AUTO_MIGRATE", "false")
    assert "imdctl migrate" in refusal(capsys, 1, "key", "list")
    plan = answer(capsys, "migrate", "--dry-run")
    assert plan["from"] is None and plan["steps"] and plan["done"] is False
    assert "imdctl migrate" in refusal(capsys, 1, "key", "list")
    assert answer(capsys, "migrate")["done"] is True
    assert answer(capsys, "migrate") == {**plan, "from": plan["to"], "steps": [], "done": True}
    assert answer(capsys, "key", "list") == {"items": []}


def test_migrate_prints_its_sql_and_touches_nothing(capsys, monkeypatch):
    monkeypatch.setenv("IMD_DATABASE_AUTO_MIGRATE", "false")
    assert run(["migrate", "--sql"]) == 0
    out, err = capsys.readouterr()
    assert "CREATE TABLE" in out and err == ""
    assert "CREATE TABLE" in answer(capsys, "migrate", "--sql")["sql"]
    assert "imdctl migrate" in refusal(capsys, 1, "key", "list")


def test_migrate_refuses_what_it_does_not_know(capsys):
    assert "0001" in refusal(capsys, 2, "migrate", "--to", "9999")
    refusal(capsys, 2, "migrate", "--sql", "--dry-run")
