"""Pages 1.2, 1.4 and 2.1: content comes back exactly as sent, or is refused up front."""

from __future__ import annotations

import json
import sys

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imd.domain.errors import BadJson, InvalidInput, TooLarge
from imd.domain.message import Card
from imd.storage.rows import content_columns, content_of
from imd.wire.codec import encode, parse_json, parse_object
from imd.wire.content import read_content
from tests.wire.test_strict_json import clean, json_values

LIMIT = 65536


@pytest.mark.parametrize("value", [None, msgspec.UNSET])
def test_content_is_required_and_not_null(value) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_content(1, value, LIMIT)
    assert [error.field for error in caught.value.errors] == ["content"]


@pytest.mark.parametrize("value", ["", "x", 0, False, [], {}, [None], 1.5, "null"])
def test_anything_else_is_content(value) -> None:
    content = read_content(1, value, LIMIT)
    assert json.loads(encode(content)) == value
    assert type(json.loads(encode(content))) is type(value)


@pytest.mark.parametrize(
    "letter", ["a", "é", "张", "😀", '"', "\\", "\n", "\x01", "\x7f", "\u2028"]
)
def test_64_kib_are_counted_after_encoding(letter) -> None:
    width = len(encode(letter)) - 2
    most = (LIMIT - 2) // width
    read_content(1, letter * most, LIMIT)
    with pytest.raises(TooLarge):
        read_content(1, letter * (most + 1), LIMIT)


def test_a_card_is_measured_as_json_too() -> None:
    read_content(25, ["x" * (LIMIT - 4)], LIMIT)
    with pytest.raises(TooLarge):
        read_content(25, ["x" * (LIMIT - 3)], LIMIT)


def test_a_video_request_is_checked_inside_a_json_text() -> None:
    text = '{"answer_status":0}'
    assert read_content(29, text, LIMIT) == text
    assert isinstance(read_content(29, {"answer_status": 1}, LIMIT), Card)
    for bad in ("asked", "0", '{"answer_status":3}', '{"answer_status":0,"answer_status":1}', "[]"):
        with pytest.raises(InvalidInput):
            read_content(29, bad, LIMIT)


def test_a_forward_bundle_is_checked() -> None:
    read_content(19, {"source": "zsyy", "messageids": "a", "title": "", "sessionType": 1}, LIMIT)
    with pytest.raises(InvalidInput):
        read_content(19, {"source": "zsyy"}, LIMIT)


def through_a_database(content: object) -> object:
    """As a store keeps it: a text and a flag."""
    text, structured = content_columns(content)  # type: ignore[arg-type]
    assert type(text) is str
    return content_of(text, structured)


@given(st.text(st.characters(codec=None)))
def test_any_text_comes_back_byte_for_byte_or_is_refused(text) -> None:
    for raw in (
        json.dumps({"content": text}).encode(),
        json.dumps({"content": text}, ensure_ascii=False).encode("utf-8", "surrogatepass"),
    ):
        try:
            value = parse_object(raw)["content"]
        except BadJson:
            assert not clean(text)
            continue
        assert clean(text)
        answered = encode({"content": through_a_database(read_content(1, value, LIMIT))})
        assert json.loads(answered)["content"].encode() == text.encode()


def test_every_character_of_unicode_comes_back_or_is_refused() -> None:
    whole = "".join(map(chr, range(1, 0xD800))) + "".join(
        map(chr, range(0xE000, sys.maxunicode + 1))
    )
    content = read_content(1, parse_json(json.dumps(whole).encode()), 2**30)
    assert json.loads(encode(through_a_database(content))) == whole
    for half in range(0xD800, 0xE000):
        with pytest.raises(BadJson):
            parse_json(b'"\\u%x"' % half)


@given(json_values)
def test_any_card_comes_back_equal_or_is_refused(card) -> None:
    raw = json.dumps({"content": {"card": card}}).encode()
    if not clean({"content": {"card": card}}):
        return
    content = read_content(25, parse_object(raw)["content"], LIMIT)
    answered = json.loads(encode({"content": through_a_database(content)}))
    assert answered == {"content": {"card": card}}


def test_non_ascii_text_is_not_escaped() -> None:
    assert encode({"name": "张😀", "card": Card('{"a":"李"}')}) == (
        '{"name":"张😀","card":{"a":"李"}}'.encode()
    )


def test_a_card_of_letters_is_no_text() -> None:
    assert encode(read_content(25, 5, LIMIT)) == b"5"
    assert encode(read_content(1, "5", LIMIT)) == b'"5"'
