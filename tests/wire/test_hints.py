"""Page 4.3: a hint holds ids and seqs; what is none is refused, what is newer is passed over."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imd.domain.ids import SessionId, UserId
from imd.wire import hints
from imd.wire.hints import AnyHint, Bundle, encode_bundle, parse_bundle

EVERY: list[AnyHint] = [
    hints.Stored("p1_t1_2", 7, 5),
    hints.Updated("p1_t1_2", "0" * 32),
    hints.SessionChanged("会话"),
    hints.TopicChanged("s", "c"),
    hints.Read("s", "D1"),
    hints.Typing("s", "D1"),
    hints.Expelled("s", "D1"),
    hints.Revoked(),
    hints.Missed(5),
]


def plain(**changes: Any) -> dict[str, Any]:
    made = json.loads(encode_bundle(Bundle("e", "o", 1, [hints.Stored("s", 2, 2)])))
    return {**made, **changes}


def test_every_hint_comes_back() -> None:
    bundle = Bundle("e1", "a-b_c", 1_700_000_000_000, EVERY)
    assert parse_bundle(encode_bundle(bundle)) == bundle


def test_checked_ids_are_written_as_the_text_they_are() -> None:
    bundle = Bundle("e", "o", 1, [hints.Typing(SessionId("s"), UserId("D1"))])
    assert parse_bundle(encode_bundle(bundle)) == Bundle("e", "o", 1, [hints.Typing("s", "D1")])


@pytest.mark.parametrize(
    "changes",
    [
        {"epoch": ""},
        {"epoch": "e" * 65},
        {"origin": "a b"},
        {"origin": "a\n"},
        {"time": -1},
        {"time": "1"},
        {"hints": {}},
        {"hints": [{"kind": "revoked"}] * (hints.MOST_HINTS + 1)},
        {"hints": [{"kind": "else"}] * (hints.MOST_HINTS + 1)},
        {"hints": [{"kind": "else"}], "origin": 7},
    ],
)
def test_what_is_no_bundle_is_none(changes: dict[str, Any]) -> None:
    assert parse_bundle(json.dumps(plain()).encode()) is not None
    assert parse_bundle(json.dumps(plain(**changes)).encode()) is None


@pytest.mark.parametrize(
    "hint",
    [
        {"kind": "else", "session": "s"},
        {"kind": 3},
        {},
        7,
        None,
        {"kind": "message", "session": "s", "seq": 1},
        {"kind": "message", "session": "s", "seq": 0, "first": 0},
        {"kind": "message", "session": "s", "seq": 2**60, "first": 1},
        {"kind": "message", "session": "s", "seq": 1.5, "first": 1},
        {"kind": "typing", "session": "s", "user": "a\0"},
        {"kind": "typing", "session": "s", "user": "a\n"},
        {"kind": "typing", "session": "s", "user": "x" * 129},
        {"kind": "typing", "session": "s", "user": None},
    ],
)
def test_a_hint_that_is_not_known_here_costs_the_others_nothing(hint: object) -> None:
    known = json.loads(encode_bundle(Bundle("e", "o", 1, EVERY)))["hints"]
    for at in (0, 4, len(known)):
        said = plain(hints=[*known[:at], hint, *known[at:]])
        assert parse_bundle(json.dumps(said).encode()) == Bundle("e", "o", 1, EVERY)


def test_fields_that_a_newer_process_adds_are_passed_over() -> None:
    made = json.loads(encode_bundle(Bundle("e", "o", 1, EVERY)))
    made["hints"] = [{**hint, "more": {"deep": [1]}, "version": 9} for hint in made["hints"]]
    made |= {"version": 2, "more": [{}]}
    assert parse_bundle(json.dumps(made).encode()) == Bundle("e", "o", 1, EVERY)


def test_large_ones_and_garbage_are_none() -> None:
    assert parse_bundle(b" " * hints.MOST_BYTES + b"{}") is None
    for garbage in (b"", b"null", b"[]", b"\xff", b"{", b"[" * 100_000):
        assert parse_bundle(garbage) is None


@given(st.binary(max_size=60), st.integers(0, 200))
def test_no_bytes_raise(noise: bytes, at: int) -> None:
    good = encode_bundle(Bundle("e", "o", 1, EVERY))
    parse_bundle(noise)
    parse_bundle(good[:at] + noise + good[at:])
