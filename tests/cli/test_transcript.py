"""``imdctl transcript``: what is in it, what is not, and that no byte can be changed unnoticed."""

from __future__ import annotations

import hashlib
import html
import json
import os
import random
import re
import stat
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from imd.cli.main import run
from imd.domain.ids import UserId
from imd.domain.message import Card, Draft
from imd.domain.message_types import MessageType
from imd.domain.participant import Seat
from imd.domain.session import Head
from imd.domain.topic import Topic
from imd.service.sealing import public_hex, sealed
from imd.service.transcripts import Wanted, gather
from imd.storage.migrate import upgrade
from imd.storage.store import sync_transaction

NOW = 1_800_000_000_000
EVIL = '<script>alert("1")</script> & \u202e "\'<img src=x onerror=y>\n第二行'
SECRET = "taken-back"


@pytest.fixture(autouse=True)
def _settings(monkeypatch, sqlite_url, tmp_path):
    monkeypatch.setenv("IMD_DATABASE_URL", sqlite_url)
    monkeypatch.setenv("IMD_STATE_DIR", str(tmp_path / "state"))
    upgrade(sqlite_url)
    fill(sqlite_url)


def fill(url: str) -> None:
    """A session with two messages, then a consult of four more (seq 3 to 6), then one more."""
    with sync_transaction(url) as tx:
        tx.users.put("P1", {"kind": "patient", "name": "王<小>明"}, NOW)
        head = Head("s1", "家庭<医生>", 9, 2, 0, NOW, 0, 0, NOW, None, None, None, None, 0)
        tx.sessions.insert(head)
        tx.participants.add(head, [Seat(UserId("P1"), "0"), Seat(UserId("D1"), "doctor")], NOW)
        said: list[tuple[int, Any, str | None]] = [
            (1, "before", None), (1, "also before", None),
            (MessageType.TOPIC_START, Card('{"topic_id": "c1",\n "name": null}'), "c1"),
            (1, EVIL, "c1"), (1, SECRET, "c1"), (MessageType.TOPIC_END, "", "c1"),
            (27, Card('{"药": "阿司匹林", "n": 1.0}'), None),
        ]  # fmt: skip
        stored = []
        for number, (type_, content, topic_id) in enumerate(said, 1):
            locked = tx.sessions.lock("s1")
            assert locked is not None
            draft = Draft(
                f"{number:032x}", "s1", "D1", type_, content, "李<i>医生", topic_id=topic_id
            )
            stored += tx.log.append(locked, [draft], NOW)
        tx.messages.recall(stored[4].message, "D1", NOW)
        start, end = stored[2].message.id, stored[5].message.id
        topic = Topic("c1", "s1", 9, "头<痛>", "三天", 2, 10, 1, None, NOW, "P1", start, 3,
                      "D1", NOW, None, "D1", NOW, end, 6)  # fmt: skip
        tx.topics.insert(topic)


def command(capsys, *words: str, status: int = 0) -> Any:
    assert run(["transcript", *words, "--json"]) == status
    out, err = capsys.readouterr()
    assert SECRET not in out + err
    return json.loads(out) if out else err


def exported(capsys, path: Path, *words: str) -> Any:
    return command(capsys, "export", *words, "-o", str(path))


@pytest.fixture
def public(capsys) -> str:
    return str(command(capsys, "key")["public_key"])


@pytest.fixture
def sealed_file(capsys, public, tmp_path: Path) -> Path:
    path = tmp_path / "c1.sealed"
    exported(capsys, path, "c1", "--format", "sealed")
    return path


def audit(capsys) -> list[Any]:
    assert run(["audit", "show", "--action", "transcript.*", "--json"]) == 0
    items: list[Any] = json.loads(capsys.readouterr().out)["items"]
    assert run(["audit", "verify"]) == 0
    capsys.readouterr()
    return items


# ---- what is in it


def test_a_consult_is_exported_by_its_interval_of_seq(capsys, tmp_path) -> None:
    path = tmp_path / "c1.json"
    said = exported(capsys, path, "c1")
    assert (said["first_seq"], said["last_seq"], said["messages"]) == (3, 6, 4)
    found = json.loads(path.read_text("utf-8"))
    assert [item["seq"] for item in found["items"]] == [3, 4, 5, 6]
    assert found["topic"]["id"] == "c1"
    assert found["session"] == {
        "id": "s1", "name": "家庭<医生>", "type": 9, "type_name": "REVISIT_TEXT",
        "business_type": 2, "create_time": NOW,
    }  # fmt: skip
    assert found["participants"][1]["name"] == "王<小>明"
    assert found["items"][1]["content"] == EVIL
    assert found["items"][0]["content"] == {"topic_id": "c1", "name": None}
    assert found["deleted_before"] is None


@pytest.mark.parametrize(("status", "seqs"), [(10, [3, 4, 5, 6]), (0, [3, 4, 5, 6, 7])])
def test_a_consult_that_ended_without_a_message_brings_nothing_of_what_came_after(
    capsys, tmp_path, sqlite_url, status, seqs
) -> None:
    """One that the platform has ended, and of which no place in the log is known."""
    with sync_transaction(sqlite_url) as tx:
        tx.connection.run(
            "UPDATE topics SET start_seq = NULL, end_seq = NULL, status = %s", [status]
        )
    path = tmp_path / "c1.json"
    exported(capsys, path, "c1")
    assert [item["seq"] for item in json.loads(path.read_bytes())["items"]] == seqs


@pytest.mark.parametrize(
    ("words", "seqs"),
    [
        ((), [1, 2, 3, 4, 5, 6, 7]),
        (("--from-seq", "6"), [6, 7]),
        (("--to-seq", "2"), [1, 2]),
        (("--from-seq", "2", "--to-seq", "900"), [2, 3, 4, 5, 6, 7]),
    ],
)
def test_a_session_is_exported_from_one_seq_to_another(capsys, tmp_path, words, seqs) -> None:
    path = tmp_path / "s1.json"
    exported(capsys, path, "--session", "s1", *words)
    assert [item["seq"] for item in json.loads(path.read_bytes())["items"]] == seqs


@pytest.mark.parametrize("form", ["json", "html", "sealed"])
@pytest.mark.usefixtures("public")
def test_a_recalled_message_is_there_without_its_content(capsys, tmp_path, form) -> None:
    """Page 2.5: it stays in place; only the audit trail keeps what it was."""
    path = tmp_path / "c1"
    exported(capsys, path, "c1", "--format", form)
    text = path.read_text("utf-8")
    assert SECRET not in text
    assert ("已撤回 Recalled" in text) if form == "html" else ('"recalled":true' in text)
    assert "已撤回的消息保留位置" in text
    assert "A recalled message stands in its place" in text


def test_what_retention_deleted_is_said(capsys, tmp_path, sqlite_url) -> None:
    with sync_transaction(sqlite_url) as tx:
        tx.connection.run("DELETE FROM messages WHERE seq < 5")
    exported(capsys, tmp_path / "s1.json", "--session", "s1")
    found = json.loads((tmp_path / "s1.json").read_bytes())
    assert (found["first_seq"], found["messages"], found["deleted_before"]) == (5, 3, 5)
    exported(capsys, tmp_path / "s1.html", "--session", "s1", "--format", "html")
    assert "5 之前的消息已按保存期限删除" in (tmp_path / "s1.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nosuch",), "there is no topic"),
        (("--session", "nosuch"), "there is no session"),
        (("--session", "s1", "--from-seq", "8"), "no message"),
        (("c1", "--format", "sealed"), "imdctl transcript key"),
    ],
)
def test_what_cannot_be_exported_leaves_no_file_and_no_note(capsys, tmp_path, words, said) -> None:
    path = tmp_path / "x"
    assert said in command(capsys, "export", *words, "-o", str(path), status=1)
    assert not path.exists()
    assert audit(capsys) == []


@pytest.mark.parametrize("words", [(), ("c1", "--session", "s1"), ("c1", "--from-seq", "3")])
def test_a_topic_or_a_session_is_named(capsys, tmp_path, words) -> None:
    command(capsys, "export", *words, "-o", str(tmp_path / "x"), status=2)


def test_a_file_that_is_there_is_left_alone(capsys, tmp_path) -> None:
    path = tmp_path / "x"
    path.write_text("mine")
    assert "there already" in command(capsys, "export", "c1", "-o", str(path), status=1)
    assert path.read_text() == "mine"


@pytest.mark.parametrize("form", ["json", "html", "sealed"])
def test_every_export_is_noted_and_only_its_owner_may_read_it(
    capsys, tmp_path, public, form
) -> None:
    path = tmp_path / "c1"
    exported(capsys, path, "c1", "--format", form)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    made, item = audit(capsys)
    assert (made["action"], made["detail"]) == ("transcript.key_made", {"public_key": public})
    assert (item["action"], item["object"]) == ("transcript.exported", "s1")
    assert item["detail"] == {
        "topic_id": "c1", "format": form, "first_seq": 3, "last_seq": 6, "messages": 4,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }  # fmt: skip


# ---- the page


def test_the_page_is_escaped_and_loads_nothing(capsys, tmp_path) -> None:
    path = tmp_path / "c1.html"
    exported(capsys, path, "c1", "--format", "html")
    text = path.read_text("utf-8")
    assert "<script" not in text
    assert not re.search(r"<(img|link|iframe|object|a|base|form)\b|<[^>]*(src|href)=|url\(", text)
    assert "default-src 'none'" in text
    assert html.escape(EVIL) in text
    for word in ("李&lt;i&gt;医生", "王&lt;小&gt;明", "家庭&lt;医生&gt;", "头&lt;痛&gt;"):
        assert word in text
    tags = re.findall(r"</?(\w+)", re.sub(r"<style>.*</style>", "", text, flags=re.DOTALL))
    assert {tags.count(tag) % 2 for tag in set(tags) - {"meta", "br"}} == {0}


def test_the_page_is_in_chinese_and_english_with_the_hospitals_time(capsys, tmp_path) -> None:
    path = tmp_path / "s1.html"
    exported(capsys, path, "--session", "s1", "--format", "html")
    text = path.read_text("utf-8")
    assert "2027-01-15 16:00:00 +0800" in text
    for label in ("发送者 Sender", "时间 Time", "文本消息 TEXT", "药品处方 PRESCRIPTION",
                  "会话 Session", "成员 Members"):  # fmt: skip
        assert label in text
    assert "阿司匹林" in text


# ---- the key


def test_the_key_is_made_once_and_is_its_owners_alone(capsys, tmp_path) -> None:
    first, second = command(capsys, "key"), command(capsys, "key")
    assert (first["made"], second["made"]) == (True, False)
    assert first["public_key"] == second["public_key"]
    path = tmp_path / "state" / "transcript.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]
    assert "PRIVATE" not in json.dumps(first)
    assert run(["transcript", "key"]) == 0
    assert capsys.readouterr().out == first["pem"]


def test_a_key_that_others_may_read_is_not_used(capsys, tmp_path, public) -> None:
    (tmp_path / "state" / "transcript.key").chmod(0o640)
    words = ("export", "c1", "--format", "sealed", "-o", str(tmp_path / "x"))
    assert "chmod 600" in command(capsys, *words, status=1)
    assert not (tmp_path / "x").exists()


# ---- sealed


def checked(capsys, path: Path, *words: str) -> Any:
    """The answer of verify, whatever its status."""
    status = run(["transcript", "verify", str(path), *words, "--json"])
    value = json.loads(capsys.readouterr().out)
    assert status == (0 if value["intact"] else 1)
    return value


def test_a_sealed_file_is_intact_with_the_key_of_who_sealed_it(
    capsys, sealed_file, public, tmp_path
) -> None:
    value = checked(capsys, sealed_file, "--public-key", public)
    assert value == {
        "intact": True, "signer_checked": True, "public_key": public, "session_id": "s1",
        "topic_id": "c1", "first_seq": 3, "last_seq": 6, "messages": 4,
        "exported_at": value["exported_at"],
    }  # fmt: skip
    pem = tmp_path / "key.pem"
    pem.write_text(command(capsys, "key")["pem"])
    assert checked(capsys, sealed_file, "--public-key", str(pem))["intact"]
    assert checked(capsys, sealed_file)["signer_checked"] is False


def test_it_is_checked_without_database_and_settings(sealed_file, tmp_path, public) -> None:
    bare = {
        name: value for name, value in os.environ.items() if not name.startswith(("IMD_", "IM_"))
    }
    program = textwrap.dedent(
        """
        import sys
        from imd.cli.main import run
        status = run(sys.argv[1:])
        assert not {"imd.storage.engine", "imd.storage.store", "alembic"} & set(sys.modules)
        sys.exit(status)
        """
    )
    words = ["transcript", "verify", str(sealed_file), "--public-key", public]
    done = subprocess.run(
        [sys.executable, "-c", program, *words],
        cwd=Path(__file__).parents[2],
        env={**bare, "IM_PROFILE": "nonsense"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_stranger_can_check_it_by_the_documented_rule(sealed_file, public) -> None:
    """The rule of docs/guides/retention.md in ten lines, without anything of imd."""
    *lines, last = sealed_file.read_bytes().splitlines()
    before = b"0" * 64
    for line in lines:
        hash_, rest = line[9:73], line[75:]
        assert hashlib.sha256(before + rest).hexdigest().encode() == hash_
        before = hash_
    signature = bytes.fromhex(json.loads(last)["signature"])
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public))
    key.verify(signature, b"imd-transcript-1:" + before)


def line_of(data: bytes, place: int) -> int:
    return data.count(b"\n", 0, place) + 1


def test_every_single_byte_is_covered(sealed_file) -> None:
    """Each byte in turn is flipped; the line in which it stood is named."""
    from io import BytesIO

    from imd.service.sealing import Broken, verify

    data = sealed_file.read_bytes()
    verify(BytesIO(data), None)
    for place in range(len(data)):
        for flip in (0x01, 0x20, 0x80):
            changed = bytearray(data)
            changed[place] ^= flip
            with pytest.raises(Broken) as caught:
                verify(BytesIO(bytes(changed)), None)
            assert caught.value.line == line_of(data, place), (place, flip)


@pytest.mark.parametrize("seed", range(40))
def test_cut_doubled_swapped_and_added_pieces_are_seen(sealed_file, seed) -> None:
    from io import BytesIO

    from imd.service.sealing import Broken, verify

    chance, data = random.Random(seed), sealed_file.read_bytes()
    lines = data.splitlines(keepends=True)
    one, other = sorted(chance.sample(range(len(lines)), 2))
    begin, end = sorted(chance.sample(range(len(data) + 1), 2))
    swapped = [*lines]
    swapped[one], swapped[other] = lines[other], lines[one]
    for changed in (
        data[:begin], data[:begin] + data[end:], data[:end] + data[begin:], data + b"\n",
        data + b" ", b"\xef\xbb\xbf" + data, data.replace(b"\n", b"\r\n"),
        b"".join(lines[:one] + lines[one + 1 :]), b"".join(lines[: one + 1] + lines[one:]),
        b"".join(swapped),
    ):  # fmt: skip
        with pytest.raises(Broken):
            verify(BytesIO(changed), None)


def chain_again(data: bytes, change: Any) -> bytes:
    """What a forger without the key can do: change a line and make the whole chain anew."""
    *lines, last = data.splitlines()
    before, made = b"0" * 64, []
    for number, line in enumerate(lines, 1):
        rest = change(number, line[75:])
        if rest is None:
            continue
        before = hashlib.sha256(before + rest).hexdigest().encode()
        made.append(b'{"hash":"' + before + b'",' + rest)
    return b"\n".join([*made, last, b""])


def test_a_chain_made_anew_lacks_the_signature(capsys, sealed_file) -> None:
    data = sealed_file.read_bytes()
    sealed_file.write_bytes(chain_again(data, lambda n, rest: rest.replace(b"alert", b"relax")))
    value = checked(capsys, sealed_file)
    assert (value["intact"], value["line"]) == (False, 7)
    assert "signature" in value["problem"]


@pytest.mark.parametrize("number", [1, 3, 5, 6])
def test_a_line_that_was_left_out_is_missed_whatever_the_chain_says(
    capsys, sealed_file, number
) -> None:
    data = sealed_file.read_bytes()
    sealed_file.write_bytes(chain_again(data, lambda n, rest: None if n == number else rest))
    value = checked(capsys, sealed_file)
    assert (value["intact"], value["line"]) == (False, {1: 1, 3: 3, 5: 5, 6: 6}[number])


def test_what_another_key_sealed_is_refused(capsys, sealed_file, public, sqlite_url) -> None:
    other = Ed25519PrivateKey.generate()
    with sync_transaction(sqlite_url, write=False) as tx:
        found = gather(tx, Wanted("c1", None), NOW)
        sealed_file.write_bytes(b"".join(sealed(found, other)))
    value = checked(capsys, sealed_file, "--public-key", public)
    assert (value["intact"], value["line"]) == (False, 1)
    value = checked(capsys, sealed_file)
    assert (value["intact"], value["signer_checked"]) == (True, False)
    assert value["public_key"] == public_hex(other)


@pytest.mark.parametrize("text", ["", "x", "{}\n", "\n", '{"hash":"' + "0" * 64 + '",}\n'])
def test_what_is_no_sealed_file_is_broken_at_its_first_line(capsys, tmp_path, text) -> None:
    path = tmp_path / "x"
    path.write_text(text)
    assert checked(capsys, path)["line"] == 1


@pytest.mark.parametrize(
    "change",
    [
        {"session": None}, {"session": {}}, {"session": []}, {"topic": "c1"}, {"topic": {}},
        {"exported_at": None}, {"first_seq": "3"}, {"first_seq": True},
    ],
)  # fmt: skip
def test_what_somebody_else_signed_with_other_fields_is_broken_at_its_first_line(
    capsys, tmp_path, sqlite_url, change
) -> None:
    path = tmp_path / "x"
    with sync_transaction(sqlite_url, write=False) as tx:
        found = gather(tx, Wanted("c1", None), NOW)
        found = found._replace(header={**found.header, **change})
        path.write_bytes(b"".join(sealed(found, Ed25519PrivateKey.generate())))
    assert checked(capsys, path)["line"] == 1


def test_a_wrong_command_line_has_a_status_of_its_own(capsys, sealed_file, tmp_path) -> None:
    assert run(["transcript", "verify", str(tmp_path / "nosuch")]) == 2
    assert run(["transcript", "verify", str(sealed_file), "--public-key", "zz"]) == 2
    assert run(["transcript", "verify", str(sealed_file)]) == 0
    assert "not a byte changed" in capsys.readouterr().out


def test_a_long_transcript_is_sealed_in_pieces(capsys, tmp_path, sqlite_url, public) -> None:
    with sync_transaction(sqlite_url) as tx:
        head = tx.sessions.lock("s1")
        assert head is not None
        drafts = [Draft(f"a{n:031x}", "s1", "P1", 1, "长" * 50) for n in range(1300)]
        tx.log.append(head, drafts, NOW)
    path = tmp_path / "s1"
    assert exported(capsys, path, "--session", "s1", "--format", "sealed")["messages"] == 1307
    assert checked(capsys, path, "--public-key", public)["messages"] == 1307
