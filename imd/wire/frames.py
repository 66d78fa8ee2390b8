"""JSON-RPC 2.0 on the socket (page 3): requests in, results, errors and notifications out.

The codec's strictness applies; a frame is one object, never a batch. Frames are put together from
parts that were encoded once per message, so that a thousand sockets cost one encoding.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from msgspec import UNSET

from imd.domain.errors import BadJson, ImError
from imd.domain.ids import SessionId, TopicId, UserId
from imd.wire.codec import encode, parse_json
from imd.wire.fields import (
    DEFAULT_SIZE,
    Address,
    IntList,
    Key,
    Millis,
    Number,
    Place,
    Request,
    Seq,
    Size,
)

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
NO_METHOD = -32601
INVALID_PARAMS = -32602
REFUSED = -32000

RequestId = str | int | float | None
#: the id of a request that wants no answer
NO_ID = UNSET


class Call(NamedTuple):
    """A request: ``id`` is UNSET for one that wants no answer."""

    method: str
    params: dict[str, Any]
    id: Any = UNSET

    @property
    def wants_answer(self) -> bool:
        return self.id is not UNSET


class BadFrame(Exception):
    """A frame that is no request: the JSON-RPC code, a sentence, and the id when one was seen."""

    def __init__(self, code: int, sentence: str, id_: Any = None) -> None:
        super().__init__(sentence)
        self.code, self.sentence, self.id = code, sentence, id_


def parse_call(payload: bytes) -> Call:
    """The request in a text frame; BadFrame says which rule of JSON-RPC it breaks."""
    try:
        frame = parse_json(payload)
    except BadJson as error:
        raise BadFrame(PARSE_ERROR, error.detail) from None
    if not isinstance(frame, dict):
        raise BadFrame(INVALID_REQUEST, "A frame is one JSON-RPC object; batches are not taken.")
    id_ = frame.get("id", UNSET)
    if isinstance(id_, bool | dict | list):
        raise BadFrame(INVALID_REQUEST, "id must be a string or a number.")
    seen = None if id_ is UNSET else id_
    if frame.get("jsonrpc") != "2.0":
        raise BadFrame(INVALID_REQUEST, 'jsonrpc must be "2.0".', seen)
    method = frame.get("method")
    if not isinstance(method, str):
        raise BadFrame(INVALID_REQUEST, "method must be a string.", seen)
    params = frame.get("params", {})
    if not isinstance(params, dict):
        raise BadFrame(INVALID_PARAMS, "params must be an object.", seen)
    return Call(method, params, id_)


# ---- out


def result_frame(id_: Any, encoded_result: bytes) -> bytes:
    """The answer to a request, around a result that is JSON already."""
    return b'{"jsonrpc":"2.0","id":%b,"result":%b}' % (encode(id_), encoded_result)


def error_frame(id_: Any, code: int, sentence: str, data: dict[str, object] | None = None) -> bytes:
    """An error answer; ``data`` carries the word of page 2.1."""
    error: dict[str, object] = {"code": code, "message": sentence}
    if data:
        error["data"] = data
    return encode({"jsonrpc": "2.0", "id": id_, "error": error})


def refusal_data(error: ImError) -> dict[str, object]:
    """The ``data`` member for an error of the domain."""
    data: dict[str, object] = {"code": error.code}
    if error.retry_after is not None:
        data["retry_after"] = error.retry_after
    if error.errors:
        data["errors"] = [{"field": e.field, "message": e.message} for e in error.errors]
    data.update(error.extra)
    return data


def notification(method: str, encoded_params: bytes) -> bytes:
    """A notification around params that are JSON already."""
    return b'{"jsonrpc":"2.0","method":"%b","params":%b}' % (method.encode(), encoded_params)


def text_frame(payload: bytes) -> bytes:
    """The WebSocket frame (RFC 6455 5.2: final, text, unmasked) around a payload.

    Made once for a message and written as it is to each socket.
    """
    size = len(payload)
    if size < 126:
        return b"\x81%c%b" % (size, payload)
    if size < 0x10000:
        return b"\x81\x7e%b%b" % (size.to_bytes(2, "big"), payload)
    return b"\x81\x7f%b%b" % (size.to_bytes(8, "big"), payload)


def whole_text(data: bytes) -> bytes | None:
    """The text of a client's frame that came whole and alone, as most do; None for all else.

    Final, text, masked, not compressed, of a size below 64 KiB told in the shortest way, and UTF-8.
    """
    if len(data) < 7 or data[0] != 0x81:
        return None
    size, start = data[1] - 0x80, 2
    if size == 126:
        size, start = int.from_bytes(data[2:4], "big"), 4
        if size < 126:
            return None
    if size <= 0 or len(data) != start + 4 + size:
        return None
    mask, masked = data[start : start + 4], data[start + 4 :]
    key = (mask * (size // 4 + 1))[:size]
    number = int.from_bytes(masked, "little") ^ int.from_bytes(key, "little")
    text = number.to_bytes(size, "little")
    try:
        text.decode()
    except UnicodeDecodeError:
        return None
    return text


def payload_of(frame: bytes) -> bytes:
    """The payload inside what :func:`text_frame` made, for a socket that compresses its own."""
    return frame[{126: 4, 127: 10}.get(frame[1], 2) :]


# ---- the params of each method (page 3.2)


class LoginParams(Request, frozen=True):
    client_type: str
    token: Address | None = None
    user_id: UserId | None = None
    session_id: SessionId | None = None
    after_seq: Seq | None = None
    epoch: Any = None


class SendParams(Request, frozen=True):
    aliases = {"content_type": "type"}
    type: Number
    client_msg_id: Key
    content: Any = UNSET
    session_id: SessionId | None = None
    topic_id: TopicId | None = None


class HistoryParams(Request, frozen=True):
    session_id: SessionId | None = None
    before: Place | None = None
    after: Place | None = None
    size: Size = DEFAULT_SIZE


class AckParams(Request, frozen=True):
    seq: Seq
    session_id: SessionId | None = None
    read: bool = True


class ReadParams(Request, frozen=True):
    session_id: SessionId | None = None
    seq: Seq | None = None


class SessionParams(Request, frozen=True):
    """``typing`` and ``topic``."""

    session_id: SessionId | None = None


class EnterParams(Request, frozen=True):
    session_id: SessionId
    after_seq: Seq | None = None
    epoch: Any = None


class SessionsParams(Request, frozen=True):
    business_type: Literal[1, 2] | None = None
    kind: Literal["patient", "doctor"] | None = None
    type: IntList | None = None
    since: Millis | None = None
    cursor: str | None = None
    size: Size = DEFAULT_SIZE
