"""Page 2.1: what the codec refuses, one row a rule, and that nothing but a refusal comes out."""

from __future__ import annotations

import contextlib
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imd.domain.errors import BadJson
from imd.wire.codec import MOST_DEPTH, parse_json, parse_object


def nested(depth: int, opening: str = "[", closing: str = "]") -> bytes:
    return (opening * depth + closing * depth).encode()


def in_object(depth: int) -> bytes:
    """An object that counts as one level itself."""
    return b'{"a":' + nested(depth - 1) + b"}"


REFUSED = {
    "NaN": b'{"a":NaN}',
    "Infinity": b'{"a":Infinity}',
    "-Infinity": b'{"a":-Infinity}',
    "NaN deep inside": b'{"a":[{"b":[NaN]}]}',
    "too large a number": b'{"a":1e999}',
    "too small a number": b'{"a":-1e999}',
    "2^63": b'{"a":9223372036854775808}',
    "-2^63-1": b'{"a":-9223372036854775809}',
    "20 digits": b'{"a":99999999999999999999}',
    "5,000 digits": b'{"a":%s}' % (b"9" * 5000),
    "5,000 digits, negative": b'{"a":-%s}' % (b"9" * 5000),
    "a key twice": b'{"a":1,"a":2}',
    "a key twice, nested": b'{"a":{"b":[{"c":1,"c":1}]}}',
    "a key twice by escapes": b'{"a":1,"\\u0061":2}',
    "33 levels": nested(33),
    "33 levels in an object": in_object(33),
    "33 objects": b'{"a":' * 33 + b"1" + b"}" * 33,
    "10,000 levels": nested(10_000),
    "10,000 objects": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    "100,000 openings": b"[" * 100_000,
    "half a pair in a value": b'{"a":"\\ud800"}',
    "the other half": b'{"a":"x\\udc00y"}',
    "a pair the wrong way round": b'{"a":"\\udc00\\ud800"}',
    "half a pair in a key": b'{"\\ud83d":1}',
    "half a pair in a nested key": b'{"a":[{"b\\udfff":1}]}',
    "half a pair in UTF-8": b'{"a":"\xed\xa0\x80"}',
    "U+0000 in a value": b'{"a":"\\u0000"}',
    "U+0000 in a key": b'{"a\\u0000b":1}',
    "U+0000 deep inside": b'[[["x\\u0000"]]]',
    "a raw NUL": b'{"a":"\x00"}',
    "a raw newline": b'{"a":"\n"}',
    "bad UTF-8": b'{"a":"\xff"}',
    "overlong UTF-8": b'{"a":"\xc0\xaf"}',
    "Latin-1": '{"a":"é"}'.encode("latin-1"),
    "UTF-16": '{"a":1}'.encode("utf-16"),
    "a BOM": b"\xef\xbb\xbf{}",
    "two values": b"{}{}",
    "a trailing comma": b'{"a":1,}',
    "single quotes": b"{'a':1}",
    "a comment": b"{} // x",
    "a leading zero": b'{"a":01}',
    "a lone word": b"nul",
    "cut off": b'{"a":',
    "a bad escape": b'{"a":"\\x41"}',
}


@pytest.mark.parametrize("raw", REFUSED.values(), ids=REFUSED)
def test_it_is_refused(raw) -> None:
    with pytest.raises(BadJson) as caught:
        parse_json(raw)
    assert caught.value.code == "bad_json"
    with pytest.raises(BadJson):
        parse_object(raw)


TAKEN = {
    "2^63-1": (b"9223372036854775807", 2**63 - 1),
    "-2^63": (b"-9223372036854775808", -(2**63)),
    "a whole pair": (b'"\\ud83d\\ude00"', "😀"),
    "the largest float": (b"1.7976931348623157e308", 1.7976931348623157e308),
    "an underflow": (b"1e-999", 0.0),
    "a solidus": (b'"\\/"', "/"),
    "DEL": (b'"\x7f"', "\x7f"),
    "spaces around": (b" \r\n\t[1] ", [1]),
    "the same key in two objects": (b'[{"a":1},{"a":2}]', [{"a": 1}, {"a": 2}]),
    "many brackets in a text": (b'"' + b"[" * 5000 + b'"', "[" * 5000),
    "many brothers": (b"[" + b",".join([b"[]"] * 500) + b"]", [[]] * 500),
}


@pytest.mark.parametrize(("raw", "value"), TAKEN.values(), ids=TAKEN)
def test_it_is_taken(raw, value) -> None:
    assert parse_json(raw) == value


def test_32_levels_are_taken() -> None:
    assert MOST_DEPTH == 32
    for raw in (nested(32), in_object(32), b'{"a":' * 32 + b"1" + b"}" * 32):
        parse_json(raw)


@pytest.mark.parametrize("raw", [b"", b" ", b"\n\t "])
def test_an_empty_body_is_an_empty_object(raw) -> None:
    assert parse_object(raw) == {}


@pytest.mark.parametrize("raw", [b"[]", b"5", b'"a"', b"null", b"true", b"[{}]", b"1.5"])
def test_a_body_that_is_no_object_is_refused(raw) -> None:
    with pytest.raises(BadJson):
        parse_object(raw)
    parse_json(raw)


def test_a_refusal_repeats_nothing_of_the_body() -> None:
    for raw in (b'{"secret":"\\ud800secret"}', b'{"secret":secret}', b'{"secret":1,"secret":2}'):
        with pytest.raises(BadJson) as caught:
            parse_json(raw)
        assert "secret" not in caught.value.detail


@given(st.binary(max_size=200))
def test_any_bytes_are_a_value_or_a_refusal(raw) -> None:
    with contextlib.suppress(BadJson):
        parse_json(raw)


def depth_of(value: object) -> int:
    if isinstance(value, dict | list):
        inner = value.values() if isinstance(value, dict) else value
        return 1 + max(map(depth_of, inner), default=0)
    return 0


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=True, allow_infinity=True)
    | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def clean(value: object) -> bool:
    """Whether page 2.1 takes it."""
    if isinstance(value, bool) or value is None:
        return True
    if isinstance(value, int):
        return -(2**63) <= value < 2**63
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, str):
        return "\0" not in value and not any(0xD800 <= ord(c) < 0xE000 for c in value)
    assert isinstance(value, dict | list)
    parts = [*value, *value.values()] if isinstance(value, dict) else value
    return all(map(clean, parts)) and depth_of(value) <= MOST_DEPTH


@given(json_values, st.booleans())
def test_what_the_rules_allow_is_taken_as_it_is_and_nothing_else(value, escaped) -> None:
    raw = json.dumps(value, ensure_ascii=escaped).encode("utf-8", "surrogatepass")
    if clean(value):
        assert parse_json(raw) == value
    else:
        with pytest.raises(BadJson):
            parse_json(raw)
