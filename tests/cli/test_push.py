"""``imdctl push`` and ``imdctl webhook``: what is listed, tried again and explained (page 5.3)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from imd.cli.main import run
from imd.domain.events import EventType
from imd.domain.ids import UserId
from imd.domain.message import Draft
from imd.domain.participant import Seat
from imd.domain.push import Channel, Outbound, State
from imd.domain.session import Head
from imd.push.webhooks import name_of
from imd.storage.engine import connector
from imd.storage.migrate import upgrade
from imd.storage.transaction import Transaction, transact

NOW = 1_800_000_000_000
URL = "https://his.example/imd"
OUTBOUND = Outbound(
    frozenset({Channel.WECHAT}), 3000, ((name_of(URL), frozenset({"*"})),), lambda: NOW
)


@pytest.fixture(autouse=True)
def _settings(monkeypatch, database_url):
    monkeypatch.setenv("IMD_DATABASE_URL", database_url)
    for name in ("APP_ID", "APP_SECRET", "TEMPLATE_ID"):
        monkeypatch.setenv(f"IMD_PUSH_WECHAT_{name}", "x")
    hooks = json.dumps([{"url": URL, "secret": "0123456789abcdef", "events": ["*"]}])
    monkeypatch.setenv("IMD_WEBHOOKS", hooks)
    upgrade(database_url)


def change(url: str, work: Any) -> Any:
    connection = connector(url)()
    try:
        return transact(connection, work, write=True, outbound=OUTBOUND)
    finally:
        connection.close()


def message(url: str) -> str:
    """A consult of a patient and a doctor, and an unseen message of the latter; its id."""

    def work(tx: Transaction) -> str:
        tx.users.put("P1", {"kind": "patient", "openid": "o-P1"}, NOW)
        head = Head("s1", "n", 1, 2, 0, NOW, 0, 0, NOW, None, None, None, None, 0)
        tx.sessions.insert(head)
        tx.participants.add(head, [Seat(UserId("P1"), "0"), Seat(UserId("D1"), "0")], NOW)
        draft = Draft("0" * 31 + "1", "s1", "D1", 1, "secret words")
        return tx.log.append(head, [draft], NOW)[0].message.id

    return str(change(url, work))


def die(url: str, code: str = "43004") -> None:
    """The push is given up for good."""

    def work(tx: Transaction) -> None:
        (claim,) = tx.outbox.claim("wechat", 1, NOW + 4000, 30_000, "c", False)
        tx.outbox.refuse("P1", code)
        tx.outbox.end(claim, State.DEAD, code, NOW + 5000)

    change(url, work)


def answer(capsys, *words: str, status: int = 0) -> Any:
    assert run([*words, "--json"]) == status
    out, err = capsys.readouterr()
    assert "secret words" not in out + err
    return json.loads(out) if status == 0 else err


def test_list_shows_what_waits_and_what_is_dead(capsys, database_url):
    message(database_url)
    (item,) = answer(capsys, "push", "list")["items"]
    assert (item["state"], item["user_id"], item["channel"]) == ("pending", "P1", "wechat")
    assert answer(capsys, "push", "list", "--state", "dead")["items"] == []
    die(database_url)
    (item,) = answer(capsys, "push", "list", "--state", "dead")["items"]
    assert (item["state"], item["code"], item["upto_seq"]) == ("dead", "43004", 1)
    assert answer(capsys, "push", "list", "--state", "pending")["items"] == []
    assert run(["push", "list"]) == 0
    assert "P1 in s1 1..1" in capsys.readouterr().out


def test_retry_puts_dead_letters_back_and_forgets_the_refusal(capsys, database_url):
    message(database_url)
    die(database_url)
    (item,) = answer(capsys, "push", "list", "--state", "dead")["items"]
    assert answer(capsys, "push", "retry", item["id"]) == {"retried": 1}
    (item,) = answer(capsys, "push", "list")["items"]
    assert item["state"] == "pending"
    refused = change(database_url, lambda tx: tx.connection.row("SELECT push_refused FROM users"))
    assert refused == (None,)


def test_retry_of_all_merges_with_what_waits_meanwhile(capsys, database_url):
    message(database_url)
    die(database_url)

    def more(tx: Transaction) -> None:
        tx.connection.run("UPDATE users SET push_refused = NULL")
        head = tx.sessions.lock("s1")
        assert head is not None
        tx.log.append(head, [Draft("0" * 31 + "2", "s1", "D1", 1, "x")], NOW + 9000)

    change(database_url, more)
    assert answer(capsys, "push", "retry") == {"retried": 1}
    (item,) = answer(capsys, "push", "list")["items"]
    assert (item["first_seq"], item["upto_seq"]) == (1, 2)


def test_retry_of_what_is_not_dead_is_refused(capsys, database_url):
    assert run(["push", "retry", "nosuch"]) == 1
    assert answer(capsys, "push", "retry") == {"retried": 0}


def test_explain_says_why_a_patient_was_told_or_not(capsys, database_url):
    id_ = message(database_url)
    told = answer(capsys, "push", "explain", id_, "P1")
    assert any("waits" in reason for reason in told["reasons"])
    die(database_url)
    reasons = answer(capsys, "push", "explain", id_, "P1")["reasons"]
    assert any("dead" in reason and "43004" in reason for reason in reasons)
    assert any("refused the user" in reason for reason in reasons)
    reasons = answer(capsys, "push", "explain", id_, "D1")["reasons"]
    assert "the user sent it" in reasons
    reasons = answer(capsys, "push", "explain", id_, "D9")["reasons"]
    assert "the user is no member of the session (any more)" in reasons
    answer(capsys, "push", "explain", "nosuch", "P1", status=1)


def test_explain_names_marks_and_mutes(capsys, database_url):
    id_ = message(database_url)
    change(database_url, lambda tx: tx.participants.set_muted("s1", "P1", True))
    change(database_url, lambda tx: tx.connection.run("UPDATE participants SET read_seq = 1"))
    reasons = answer(capsys, "push", "explain", id_, "P1")["reasons"]
    assert "the user has muted the session" in reasons
    assert "the user has read up to 1" in reasons


def test_credit_of_subscribe_messages_is_kept(capsys, database_url):
    assert answer(capsys, "push", "credit", "P1", "mini-o", "3")["credits"] == 3
    row = change(database_url, lambda tx: tx.connection.row("SELECT * FROM push_credits"))
    assert row == ("P1", "mini-o", 3)


def test_webhooks_are_listed_replayed_and_enabled(capsys, database_url):
    message(database_url)
    (item,) = answer(capsys, "webhook", "list")["items"]
    assert (item["host"], item["waiting"], item["dead"]) == ("his.example", 4, 0)
    assert URL not in json.dumps(item)

    def give_up(tx: Transaction) -> None:
        (claim,) = tx.webhooks.claim(name_of(URL), 1, NOW, 1000, "c", False)
        assert claim.type == EventType.SESSION_CREATED
        assert not tx.webhooks.failed(name_of(URL), claim, NOW + 1, "http_500", NOW, 1000)
        (claim,) = tx.webhooks.claim(name_of(URL), 1, NOW + 5000, 1000, "c", False)
        assert tx.webhooks.failed(name_of(URL), claim, NOW + 9, "http_500", NOW + 5000, 1000)

    change(database_url, give_up)
    (item,) = answer(capsys, "webhook", "list")["items"]
    assert (item["waiting"], item["dead"], item["disabled"]) == (0, 4, True)
    assert answer(capsys, "webhook", "enable", item["endpoint"])["enabled"] == item["endpoint"]
    answer(capsys, "webhook", "enable", item["endpoint"], status=1)
    assert answer(capsys, "webhook", "replay") == {"replayed": 4}
    (item,) = answer(capsys, "webhook", "list")["items"]
    assert (item["waiting"], item["dead"], item["disabled"]) == (4, 0, False)
