"""Page 2.1: a cursor is opaque, and one that this list did not give out is a 422."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imd.domain.errors import InvalidInput
from imd.wire.cursor import pack, unpack

ints = st.integers(-(2**63), 2**63 - 1)
texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"))


def of(text: bytes) -> str:
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


@given(ints, ints, texts)
def test_what_was_packed_comes_back(pinned, time, id_) -> None:
    cursor = pack(pinned, time, id_)
    assert unpack(cursor, int, int, str) == (pinned, time, id_)
    assert not set(cursor) & set("=+/&? ")


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "!",
        "a",
        "====",
        "é",
        "\ud800",
        "null",
        of(b""),
        of(b"{"),
        of(b"{}"),
        of(b"[]"),
        of(b"null"),
        of(b'["asc"]'),
        of(b'["asc",1,2]'),
        of(b'[1,"asc"]'),
        of(b'["asc","1"]'),
        of(b'["asc",1.0]'),
        of(b'["asc",true]'),
        of(b'["asc",null]'),
        of(b'["asc",9223372036854775808]'),
        of(b'["asc",-9223372036854775809]'),
        of(b'["asc",1e999]'),
        of(b'["a\\u0000",1]'),
        of(b'["\\ud800",1]'),
        of(b'["\xff",1]'),
        of(b"[" * 700),
        of(b'["asc",1]') + "\n",
        of(b'["asc",1]') + "!",
        pack(0, 5, "s"),
        pack("asc"),
        pack(None, 1),
    ],
)
def test_a_tampered_cursor_or_one_of_another_list_is_refused(cursor) -> None:
    with pytest.raises(InvalidInput) as caught:
        unpack(cursor, str, int)
    assert [error.field for error in caught.value.errors] == ["cursor"]


@given(st.one_of(st.text(), st.binary().map(of)))
def test_any_text_is_a_key_or_a_refusal(cursor) -> None:
    try:
        text, number = unpack(cursor, str, int)
    except InvalidInput:
        return
    assert type(text) is str
    assert type(number) is int
