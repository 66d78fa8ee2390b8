"""``imdctl user import``: what a file may hold, and what becomes of it (page 5.3)."""

from __future__ import annotations

import io
import itertools
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from imd.cli.main import run
from imd.cli.people import people
from imd.storage.store import sync_transaction

HEADER = "user_id,kind,name,sex,birthdate,avatar,openid,team_code,title\n"


@pytest.fixture(autouse=True)
def _settings(monkeypatch, database_url):
    monkeypatch.setenv("IMD_DATABASE_URL", database_url)


@pytest.fixture
def wrote(tmp_path):
    def write(name: str, text: str | bytes) -> str:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(path)

    return write


def imported(capsys, *words: str, status: int = 0) -> tuple[dict[str, Any], list[str]]:
    """The JSON answer, and what stderr had."""
    capsys.readouterr()
    assert run(["user", "import", *words, "--json"]) == status
    out, err = capsys.readouterr()
    return (json.loads(out) if out else {}), err.splitlines()


def users(url: str) -> dict[str, tuple[Any, ...]]:
    with sync_transaction(url, write=False) as tx:
        rows = tx.connection.rows("SELECT id, kind, name, sex, team_code FROM users ORDER BY id")
    return {row[0]: row[1:] for row in rows}


def test_csv_and_json_lines_are_taken_and_the_same_again_changes_nothing(
    capsys, database_url, wrote
):
    table = wrote(
        "a.csv", HEADER + 'D1,doctor,王医生,1,,,,T9,主任\n\nP1,patient,"小,\n明",,,,o1,,\n'
    )
    lines = wrote("b.jsonl", '{"userId": "P2", "kind": "patient", "name": "李"}\n\n{"id": "P1"}\n')
    answer, err = imported(capsys, table)
    assert (answer["created"], answer["refused"], err) == (2, 0, [])
    answer, _ = imported(capsys, lines)
    assert (answer["created"], answer["unchanged"]) == (1, 1)
    assert users(database_url) == {
        "D1": ("doctor", "王医生", 1, "T9"),
        "P1": ("patient", "小,\n明", None, None),
        "P2": ("patient", "李", None, None),
    }
    for file in (table, lines):
        answer, _ = imported(capsys, file)
        assert (answer["created"], answer["updated"], answer["unchanged"]) == (0, 0, 2)
    with sync_transaction(database_url, write=False) as tx:
        notes = tx.audit.page(action="user.*", object_=None, since=None, limit=10)
    assert [(note.actor, note.object) for note in notes] == [
        ("operator", "D1"), ("operator", "P1"), ("operator", "P2"),
    ]  # fmt: skip


def test_every_bad_line_is_named_by_number_field_and_what_is_allowed(capsys, database_url, wrote):
    file = wrote(
        "a.csv",
        "user_id,kind,name,sex\n"
        "D1,doctor,a,1\n"
        'P1,nurse,"two\nlines",1\n'
        "P 2,patient,b,\n"
        "P3,patient\n"
        "P4,patient,c,99\n"
        f"P5,patient,{'n' * 256},\n"
        "login,patient,d,\n"
        'P7,"pat"ient,e,\n'
        "P6,patient,f,2\n",
    )
    answer, err = imported(capsys, file, status=1)
    assert (answer["created"], answer["refused"]) == (2, 7)
    assert [line.split(": ")[1:3] for line in err] == [
        ["line 3", "kind"],
        ["line 5", "user_id"],
        ["line 6", "has 2 cells, the header has 4"],
        ["line 7", "sex"],
        ["line 8", "name"],
        ["line 9", "user_id"],
        ["line 10", "is no line of CSV"],
    ]
    assert "Expected `int` <= 9" in err[3] and "<= 255" in err[4] and "reserved" in err[5]
    assert [found["line"] for found in answer["problems"]] == [3, 5, 6, 7, 8, 9, 10]
    assert set(users(database_url)) == {"D1", "P6"}
    file = wrote("b.jsonl", '{"user_id":"A"}\n[1]\n{"user_id":"B","nmae":"x"}\n{"user_id":\n')
    answer, err = imported(capsys, file, status=1)
    assert (answer["created"], answer["refused"]) == (1, 3)
    assert "line 3: nmae: is unknown; allowed: user_id, kind" in err[1]


def test_what_no_json_may_hold_no_cell_may_hold(capsys, database_url, wrote):
    """Page 2.1: U+0000 and half of a surrogate pair."""
    file = wrote("a.csv", b"user_id,name\nD1,a\0b\nD2,b\nD3,\\ud800\n")
    answer, err = imported(capsys, file, "--encoding", "raw_unicode_escape", status=1)
    assert (answer["created"], answer["refused"]) == (1, 2)
    assert "line 2: name: U+0000" in err[0] and "line 4: name: a string holds half" in err[1]
    assert set(users(database_url)) == {"D2"}


def test_an_empty_cell_leaves_and_a_null_empties(capsys, database_url, wrote):
    imported(capsys, wrote("a.csv", "id,kind,name,team_code\nD1,doctor,a,T9\n"))
    answer, _ = imported(capsys, wrote("b.csv", "id,kind,name,team_code\nD1,,b,\n"))
    assert answer["updated"] == 1
    assert users(database_url) == {"D1": ("doctor", "b", None, "T9")}
    imported(capsys, wrote("c.jsonl", '{"user_id":"D1","team_code":null}'))
    assert users(database_url) == {"D1": ("doctor", "b", None, None)}


def test_a_dry_run_judges_all_and_stores_nothing(capsys, database_url, wrote):
    file = wrote("a.csv", "user_id,kind\nD1,doctor\nD2,nurse\n")
    answer, err = imported(capsys, file, "--dry-run", status=1)
    assert (answer["created"], answer["refused"], answer["dry_run"]) == (1, 1, True)
    assert len(err) == 1 and users(database_url) == {}


def test_encodings(capsys, database_url, wrote):
    text = "user_id,name\nD1,王\n"
    imported(capsys, wrote("bom.csv", text.encode("utf-8-sig")))
    gbk = wrote("gbk.csv", text.replace("D1", "D2").encode("gbk"))
    _, err = imported(capsys, gbk, status=2)
    assert "--encoding" in err[0]
    imported(capsys, gbk, "--encoding", "gbk")
    assert {name for _, name, _, _ in users(database_url).values()} == {"王"}
    imported(capsys, gbk, "--encoding", "nonsense", status=2)
    _, err = imported(capsys, gbk, "--encoding", "utf-16", status=2)
    assert "it is not utf-16" in err[0]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.csv", "user_id,nmae\nD1,x\n", "nmae"),
        ("a.csv", "name\nx\n", "user_id"),
        ("a.csv", "user_id,name,name\nD1,x,y\n", "once"),
        ("a.csv", "", "user_id"),
        ("a.txt", "user_id\nD1\n", "--format"),
    ],
)
def test_a_file_that_is_something_else_is_refused_whole(capsys, wrote, name, text, said):
    answer, err = imported(capsys, wrote(name, text), status=2)
    assert answer == {} and said in err[-1]


def test_a_missing_file_and_the_format_by_option(capsys, tmp_path, wrote):
    _, err = imported(capsys, str(tmp_path / "none.csv"), status=2)
    assert "cannot be read" in err[0]
    answer, _ = imported(capsys, wrote("people.txt", '{"user_id":"A"}'), "--format", "jsonl")
    assert answer["created"] == 1


def test_more_than_a_batch(capsys, database_url, wrote):
    rows = "".join(f"P{n},patient,n{n}\n" for n in range(1201))
    file = wrote("a.csv", "user_id,kind,name\n" + rows)
    assert imported(capsys, file)[0]["created"] == 1201
    assert imported(capsys, file)[0]["unchanged"] == 1201
    assert run(["audit", "verify"]) == 0


def test_on_a_terminal_a_bar_with_rate_and_time_left(capsys, monkeypatch, wrote):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    shown = Terminal()
    monkeypatch.setattr("sys.stderr", shown)
    file = wrote("a.csv", "user_id\n" + "".join(f"P{n}\n" for n in range(1200)))
    assert run(["user", "import", file]) == 0
    assert "importing" in shown.getvalue() and "people/s" in shown.getvalue()
    assert capsys.readouterr().out == (
        "1,200 are created, 0 are updated, 0 are unchanged, 0 are refused\n"
    )


class _Endless(io.RawIOBase):
    """A file of many rows that nobody wrote down."""

    def __init__(self, head: bytes, row: bytes, number: int) -> None:
        self._pieces = itertools.chain([head], itertools.repeat(row, number))
        self._left = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        pieces = itertools.islice(self._pieces, len(buffer) // 32)
        self._left += b"".join(pieces)
        piece, self._left = self._left[: len(buffer)], self._left[len(buffer) :]
        buffer[: len(piece)] = piece
        return len(piece)


@pytest.mark.parametrize(
    ("form", "head", "row"),
    [("csv", b"user_id,name\n", b"P1,name\n"), ("jsonl", b"", b'{"user_id":"P1"}\n')],
)
def test_memory_does_not_grow_with_the_file(form, head, row):
    raw = _Endless(head, row, 100_000)
    tracemalloc.start()
    try:
        count = sum(1 for _ in people(io.BufferedReader(raw, 1 << 16), form, "utf-8"))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == 100_000 and peak < 2 << 20


def test_a_line_of_json_without_end_takes_no_memory(tmp_path: Path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"user_id":"A"}\n"' + b"x" * (8 << 20) + b'"\n{"user_id":"B"}\n')
    with path.open("rb") as file:
        tracemalloc.start()
        try:
            found = list(people(file, "jsonl", "utf-8"))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert [person.line for person in found] == [1, 2, 3]
    assert peak < 1 << 20
