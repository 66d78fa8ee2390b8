"""Page 3: JSON-RPC frames in and out, and the RFC 6455 frame around them."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from imd.domain.errors import InvalidInput, RateLimited, TopicActive
from imd.wire.closing import REASONS, Close
from imd.wire.frames import (
    INVALID_PARAMS,
    INVALID_REQUEST,
    PARSE_ERROR,
    BadFrame,
    error_frame,
    notification,
    parse_call,
    payload_of,
    refusal_data,
    result_frame,
    text_frame,
    whole_text,
)


@pytest.mark.parametrize(
    ("raw", "method", "params", "id_"),
    [
        (b'{"jsonrpc":"2.0","method":"ping","id":1}', "ping", {}, 1),
        (b'{"jsonrpc":"2.0","method":"ping","id":"a","params":{}}', "ping", {}, "a"),
        (b'{"jsonrpc":"2.0","method":"x","params":{"a":[1]}}', "x", {"a": [1]}, UNSET),
        (b'{"jsonrpc":"2.0","method":"x","id":null}', "x", {}, None),
        (b'{"jsonrpc":"2.0","method":"x","id":1.5,"more":1}', "x", {}, 1.5),
    ],
)
def test_a_call_is_read(raw, method, params, id_) -> None:
    call = parse_call(raw)
    assert (call.method, call.params, call.id) == (method, params, id_)
    assert call.wants_answer is (id_ is not UNSET)


@pytest.mark.parametrize(
    ("raw", "code", "id_"),
    [
        (b"", PARSE_ERROR, None),
        (b"hello", PARSE_ERROR, None),
        (b'{"jsonrpc":"2.0","method":"x","id":NaN}', PARSE_ERROR, None),
        (b'{"jsonrpc":"2.0","jsonrpc":"2.0","method":"x","id":1}', PARSE_ERROR, None),
        (b'{"jsonrpc":"2.0","method":"\\ud800","id":1}', PARSE_ERROR, None),
        (b"[" * 10_000, PARSE_ERROR, None),
        (b"\xff", PARSE_ERROR, None),
        (b"[]", INVALID_REQUEST, None),
        (b'[{"jsonrpc":"2.0","method":"x","id":1}]', INVALID_REQUEST, None),
        (b'"x"', INVALID_REQUEST, None),
        (b"null", INVALID_REQUEST, None),
        (b'{"method":"x","id":1}', INVALID_REQUEST, 1),
        (b'{"jsonrpc":"1.0","method":"x","id":"q"}', INVALID_REQUEST, "q"),
        (b'{"jsonrpc":2.0,"method":"x","id":1}', INVALID_REQUEST, 1),
        (b'{"jsonrpc":"2.0","id":1}', INVALID_REQUEST, 1),
        (b'{"jsonrpc":"2.0","method":5,"id":1}', INVALID_REQUEST, 1),
        (b'{"jsonrpc":"2.0","method":"x","id":true}', INVALID_REQUEST, None),
        (b'{"jsonrpc":"2.0","method":"x","id":[1]}', INVALID_REQUEST, None),
        (b'{"jsonrpc":"2.0","method":"x","id":{}}', INVALID_REQUEST, None),
        (b'{"jsonrpc":"2.0","method":"x","id":1,"params":[1]}', INVALID_PARAMS, 1),
        (b'{"jsonrpc":"2.0","method":"x","id":1,"params":null}', INVALID_PARAMS, 1),
        (b'{"jsonrpc":"2.0","method":"x","id":1,"params":"a"}', INVALID_PARAMS, 1),
    ],
)
def test_a_bad_frame_is_refused_with_its_code_and_id(raw, code, id_) -> None:
    with pytest.raises(BadFrame) as caught:
        parse_call(raw)
    assert (caught.value.code, caught.value.id) == (code, id_)


@given(st.binary(max_size=150))
def test_any_bytes_are_a_call_or_a_bad_frame(raw) -> None:
    with contextlib.suppress(BadFrame):
        parse_call(raw)


@pytest.mark.parametrize("id_", [1, "a", None, 1.5, -(2**63), "张"])
def test_answers_carry_the_id(id_) -> None:
    assert json.loads(result_frame(id_, b'{"a":1}')) == {
        "jsonrpc": "2.0",
        "id": id_,
        "result": {"a": 1},
    }
    assert json.loads(error_frame(id_, -32000, "no", {"code": "x"})) == {
        "jsonrpc": "2.0",
        "id": id_,
        "error": {"code": -32000, "message": "no", "data": {"code": "x"}},
    }
    assert json.loads(notification("message", b"{}")) == {
        "jsonrpc": "2.0",
        "method": "message",
        "params": {},
    }


def test_a_refusal_carries_its_word_and_what_else_helps() -> None:
    assert refusal_data(TopicActive(topic_id="t")) == {"code": "topic_active", "topic_id": "t"}
    assert refusal_data(RateLimited(0.5)) == {"code": "rate_limited", "retry_after": 0.5}
    assert refusal_data(InvalidInput.of("seq", "no")) == {
        "code": "invalid",
        "errors": [{"field": "seq", "message": "no"}],
    }


@pytest.mark.parametrize(
    ("size", "head"),
    [
        (0, b"\x81\x00"),
        (125, b"\x81\x7d"),
        (126, b"\x81\x7e\x00\x7e"),
        (65535, b"\x81\x7e\xff\xff"),
        (65536, b"\x81\x7f" + (65536).to_bytes(8, "big")),
        (200_000, b"\x81\x7f" + (200_000).to_bytes(8, "big")),
    ],
)
def test_the_frame_of_rfc_6455_around_each_length(size, head) -> None:
    payload = b"x" * size
    assert text_frame(payload) == head + payload
    assert payload_of(text_frame(payload)) == payload


def test_each_close_code_has_a_reason_and_a_legal_number() -> None:
    assert set(REASONS) == set(Close)
    assert {int(code) for code in Close if code >= 4000} == {4400, 4401, 4403, 4408, 4429, 4503}
    assert all(len(reason.encode()) <= 123 for reason in REASONS.values())


def masked(text: bytes, mask: bytes, first: int = 0x81) -> bytes:
    size = len(text)
    if size < 126:
        head = bytes([first, 0x80 | size])
    elif size < 0x10000:
        head = bytes([first, 0xFE]) + size.to_bytes(2, "big")
    else:
        head = bytes([first, 0xFF]) + size.to_bytes(8, "big")
    return head + mask + bytes(byte ^ mask[n % 4] for n, byte in enumerate(text))


@given(st.text(min_size=1, max_size=400), st.binary(min_size=4, max_size=4))
def test_a_text_that_came_whole_and_alone_is_read(text, mask) -> None:
    assert whole_text(masked(text.encode(), mask)) == text.encode()


@pytest.mark.parametrize("size", [1, 125, 126, 127, 4096, 65_535])
def test_a_text_of_each_length(size) -> None:
    assert whole_text(masked(b"x" * size, b"\x01\xff\x00\x80")) == b"x" * size


@given(st.binary(max_size=300))
def test_any_bytes_are_a_text_of_their_own_length_or_none(data) -> None:
    text = whole_text(data)
    assert text is None or masked(text, data[-len(text) - 4 : -len(text)]) == data


M = b"abcd"


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\x81", masked(b"", M), masked(b"x" * 65_536, M),
        masked(b"text", M, 0x01), masked(b"text", M, 0x82), masked(b"text", M, 0xC1),
        masked(b"text", M, 0x80), masked(b"text", M, 0x88), masked(b"text", M)[:-1],
        masked(b"text", M) + b"\x81", b"\x81\x04text", masked(b"\xff\xfe", M),
        masked("\ud800".encode("utf-8", "surrogatepass"), M),
        b"\x81\xfe\x00\x04" + masked(b"text", M)[2:],
    ],
)  # fmt: skip
def test_all_else_takes_the_long_road(data) -> None:
    assert whole_text(data) is None
