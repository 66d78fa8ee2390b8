"""``imdctl audit``: what is shown, and what a touched trail answers (pages 5.3 and 7.2)."""

from __future__ import annotations

import json
import threading
from contextlib import closing
from typing import Any

import pytest

from imd.cli.main import run
from imd.domain.audit import Act, Note
from imd.storage.engine import connector
from imd.storage.store import sync_transaction
from imd.storage.transaction import transact


@pytest.fixture(autouse=True)
def _settings(monkeypatch, database_url):
    monkeypatch.setenv("IMD_DATABASE_URL", database_url)


def answer(capsys, *words: str, status: int = 0) -> Any:
    assert run([*words, "--json"]) == status
    out, err = capsys.readouterr()
    assert err == ""
    return json.loads(out)


def some_acts(capsys, url: str) -> None:
    """Two keys by the commands, and two acts of a service."""
    for name in ("his", "billing"):
        answer(capsys, "key", "add", name, "--scope", "read")
    answer(capsys, "key", "revoke", "billing")
    with sync_transaction(url) as tx:
        for number, act in enumerate((Act.SESSION_CREATED, Act.MESSAGES_READ)):
            tx.audit.note(Note(5000 + number, "service:his", act, "s", {"count": number}))


def test_show_gives_the_entries_of_page_7(capsys, database_url):
    some_acts(capsys, database_url)
    items = answer(capsys, "audit", "show")["items"]
    assert [(item["seq"], item["actor"], item["action"], item["object"]) for item in items] == [
        (1, "operator", "key.added", "his"),
        (2, "operator", "key.added", "billing"),
        (3, "operator", "key.revoked", "billing"),
        (4, "service:his", "session.created", "s"),
        (5, "service:his", "messages.read", "s"),
    ]
    for item in items:
        assert set(item) == {"seq", "time", "actor", "action", "object", "detail", "hash"}
        assert len(item["hash"]) == 64
    assert items[0]["detail"] == {"scopes": ["read"]}
    assert items[4]["detail"] == {"count": 1} and items[4]["time"] == 5001


def test_show_filters(capsys, database_url):
    some_acts(capsys, database_url)

    def seqs(*words: str) -> list[int]:
        return [item["seq"] for item in answer(capsys, "audit", "show", *words)["items"]]

    assert seqs("--action", "key.*") == [1, 2, 3]
    assert seqs("--object", "billing") == [2, 3]
    assert seqs("--since", "5001", "--action", "m*") == [5]
    assert seqs("--limit", "2") == [4, 5]
    assert seqs("--action", "reconcile.*") == []
    for wrong in ("0", "100001", "x"):
        assert run(["audit", "show", "--limit", wrong]) == 2
    capsys.readouterr()


def test_people_get_a_line_an_entry(capsys, database_url):
    some_acts(capsys, database_url)
    assert run(["audit", "show", "--object", "s"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        '4  1970-01-01T00:00:05Z  service:his  session.created  s  {"count":0}',
        '5  1970-01-01T00:00:05Z  service:his  messages.read  s  {"count":1}',
    ]


def test_verify_says_whether_it_is_whole(capsys, database_url):
    assert answer(capsys, "audit", "verify") == {"entries": 0, "intact": True}
    some_acts(capsys, database_url)
    assert answer(capsys, "audit", "verify") == {"entries": 5, "intact": True}
    assert run(["audit", "verify"]) == 0
    assert capsys.readouterr().out == "5 entries, none touched\n"
    with sync_transaction(database_url) as tx:
        tx.connection.run("UPDATE audit SET object = 'other' WHERE seq = 3")
    found = answer(capsys, "audit", "verify", status=1)
    assert found == {"entries": 2, "intact": False, "seq": 3, "problem": "the entry was changed"}
    assert run(["audit", "verify"]) == 1
    assert "2 entries hold; at 3" in capsys.readouterr().out


def test_neither_waits_for_a_server_that_writes(capsys, database_url):
    """Both read a snapshot, so a transaction that is open all the while does not matter."""
    some_acts(capsys, database_url)
    with closing(connector(database_url)()) as server:
        server.begin(write=True)
        server.run("UPDATE audit_end SET seq = seq")
        assert len(answer(capsys, "audit", "show")["items"]) == 5
        assert answer(capsys, "audit", "verify")["intact"] is True
        server.rollback()


def test_a_busy_server_is_no_flaw(capsys, database_url):
    """Entries that arrive while the chain is read are not mistaken for forged ones."""
    some_acts(capsys, database_url)
    stop = threading.Event()

    def serve() -> None:
        with closing(connector(database_url)()) as connection:
            while not stop.is_set():
                transact(
                    connection,
                    lambda tx: tx.audit.note(Note(1, "service:his", Act.USER_PUT, "u", {})),
                    write=True,
                )

    server = threading.Thread(target=serve)
    server.start()
    try:
        for _ in range(20):
            assert answer(capsys, "audit", "verify")["intact"] is True
    finally:
        stop.set()
        server.join()
