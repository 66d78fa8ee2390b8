"""The AsyncAPI 3.0 document of the socket, made from the method table and its models (page 2.8).

The service room asks for it once, at start, and hands it to the site as a ready page. What is said
twice elsewhere is not written here again: params come from METHODS, closes from ``wire.closing``,
refusals from the error classes. Results and notifications have their tables here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from imd.domain.client_types import ClientType
from imd.domain.errors import ImError
from imd.domain.message import Message
from imd.domain.session import OwnSession, Session
from imd.domain.topic import Topic
from imd.websocket.methods import METHODS
from imd.wire import frames, results
from imd.wire.answers import Page
from imd.wire.closing import REASONS, Close
from imd.wire.codec import encode
from imd.wire.fields import Request
from imd.wire.schemas import REFS, answer_example, answer_schemas, properties_of
from imd.wire.vocabulary import EXAMPLES, TERMS

Json = dict[str, Any]

ADDRESS: Final = "/ws"
PROTOCOL: Final = "imd.v2"


class Said(NamedTuple):
    """A sentence about a method or notification, and the type of its result or params."""

    summary: str
    kind: Any
    to: str = ""


#: method -> its result; the same names as METHODS
RESULTS: Final[dict[str, Said]] = {
    "login": Said("Say who you are, and enter a session", results.LoginResult),
    "send": Said("Send a message; answered when it is durable", results.SendResult),
    "history": Said("A page of the log; moves no marks", Page[Message]),
    "ack": Said("Received up to seq; inside, read as well unless read is false", results.AckResult),
    "read": Said("Read up to seq, by default everything", results.ReadResult),
    "typing": Said("Tell the others; relayed at most once in 3 s, never stored", results.Nothing),
    "enter": Said("Move to another session; a refused one changes nothing", results.LoginResult),
    "sessions": Said("Sessions with a message, newest first", Page[OwnSession]),
    "topic": Said("The live topic, or null", Topic | None),
    "logout": Said("Answered, then closed with 1000; the token stays valid", results.Nothing),
}

_INSIDE: Final = "sockets inside the session"
_MEMBERS: Final = "sockets inside the session, and _system sockets of its members"
NOTIFICATIONS: Final[dict[str, Said]] = {
    "message": Said("A message, in seq order, each once", Message, _INSIDE),
    "notice": Said("News of a session", results.Notice, "_system sockets of the other members"),
    "update": Said("A card was changed, or a message recalled", Message, _INSIDE),
    "session": Said("Name, members or status changed", Session, _MEMBERS),
    "topic": Said("A topic was started, answered or ended", Topic, _MEMBERS),
    "read": Said("How far a member has read", results.ReadNotice, _INSIDE),
    "typing": Said("Somebody is writing", results.TypingNotice, _INSIDE),
    "badge": Said("All unread messages of the user, at most once a second", results.BadgeNotice,
                  "_system sockets of that user"),
}  # fmt: skip

#: JSON-RPC code -> when it is answered
CODES: Final[dict[int, str]] = {
    frames.PARSE_ERROR: "The frame is not strict JSON",
    frames.INVALID_REQUEST: "The frame is no JSON-RPC 2.0 request, or a second login",
    frames.NO_METHOD: "There is no such method",
    frames.INVALID_PARAMS: "The params do not fit; data.errors names the fields",
    frames.REFUSED: "Refused; data.code is the word that REST uses",
}

#: close code -> what the client should do
ADVICE: Final[dict[Close, str]] = {
    Close.NORMAL: "nothing",
    Close.GOING_AWAY: "reconnect",
    Close.BINARY: "mend the client",
    Close.BAD_UTF8: "mend the client",
    Close.TOO_BIG: "mend the client",
    Close.FAILED: "reconnect",
    Close.BAD_FRAMES: "mend the client",
    Close.UNAUTHENTICATED: "get a new token",
    Close.NOT_A_MEMBER: "stop",
    Close.SLOW_CONSUMER: "reconnect and recover",
    Close.RATE_LIMITED: "wait, then reconnect",
    Close.DRAINING: "reconnect after the milliseconds in the reason",
}

#: examples of params that are not those of REST
_PARAMS: Final[dict[tuple[str, str], Any]] = {
    ("login", "client_type"): "doctor",
    ("login", "token"): "eyJhbGciOi…",
    ("sessions", "type"): [1, 9],
}
#: what the vocabulary and the model do not say of a param
_CHANGED: Final[dict[tuple[str, str], Json]] = {
    ("login", "client_type"): {"enum": [kind.value for kind in ClientType]},
    ("login", "token"): {"description": "A user's access token; left out in trusted mode only"},
    ("login", "user_id"): {"description": "Who logs in, in trusted mode"},
    ("login", "session_id"): {"description": "The session; client types inside one need it"},
}
#: params that an example shows although they may be left out
_SHOWN: Final[dict[str, tuple[str, ...]]] = {
    "login": ("token", "session_id", "after_seq", "epoch"),
    "send": ("content",),
    "history": ("before", "size"),
    "read": ("seq",),
    "enter": ("after_seq", "epoch"),
    "sessions": ("type", "size"),
}

_ID: Final[Json] = {"type": ["string", "number", "null"], "description": "Given back as it came"}
_VERSION: Final[Json] = {"const": "2.0"}
_ERROR: Final[Json] = {
    "type": "object",
    "description": "The answer to a request that was refused, or to a frame that is none",
    "properties": {
        "jsonrpc": _VERSION,
        "id": _ID,
        "error": {
            "type": "object",
            "properties": {
                "code": {"type": "integer", "enum": list(CODES)},
                "message": {"type": "string", "description": "A sentence for a person"},
                "data": {
                    "type": "object",
                    "properties": {
                        "code": {"type": "string", "description": "A stable word, as in REST"},
                        "retry_after": {"type": "number", "description": "Seconds to wait"},
                        "errors": {"type": "array", "items": {"type": "object"}},
                    },
                    "required": ["code"],
                },
            },
            "required": ["code", "message"],
        },
    },
    "required": ["jsonrpc", "id", "error"],
}


def document(version: str) -> Json:
    """The whole document."""
    kinds = [said.kind for said in (*RESULTS.values(), *NOTIFICATIONS.values())]
    schemas = answer_schemas([*kinds, Message, OwnSession, Session, Topic])
    messages = dict(_messages())
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "imd socket",
            "version": version,
            "description": "JSON-RPC 2.0 over WebSocket: one object a text frame, UTF-8. The first"
            " request is login, within 10 s. Requests of one socket are carried out in order; one"
            " without an id is not answered. Times are ms since 1970.",
        },
        "defaultContentType": "application/json",
        "servers": {
            "self": {
                "host": "{host}",
                "protocol": "wss",
                "description": "The port that serves this document; ws where it has no TLS",
                "variables": {"host": {"default": "127.0.0.1:3000"}},
            }
        },
        "channels": {
            "socket": {
                "address": ADDRESS,
                "description": f"Subprotocol {PROTOCOL} may be asked for.",
                "messages": {n: {"$ref": f"#/components/messages/{n}"} for n in messages},
                "bindings": {"ws": {"method": "GET", "bindingVersion": "0.1.0"}},
                "x-close-codes": _closes(),
            }
        },
        "operations": dict(_operations()),
        "components": {"schemas": {**schemas, "Error": _ERROR}, "messages": messages},
        "x-client-types": {
            kind.value: {"role": kind.role, "inside": kind.inside} for kind in ClientType
        },
        "x-error-codes": [{"code": code, "meaning": said} for code, said in CODES.items()],
        "x-refusals": {kind.code: kind.sentence for kind in _refusals()},
    }


def encoded(version: str) -> bytes:
    """The document as JSON."""
    return encode(document(version))


def _closes() -> list[Json]:
    return [
        {"code": int(close), "reason": reason.format(delay="MS"), "client": ADVICE[close]}
        for close, reason in REASONS.items()
    ]


def _refusals() -> list[type[ImError]]:
    """Every error of the domain, by its word."""
    found: dict[str, type[ImError]] = {}
    waiting = [ImError]
    while waiting:
        kind = waiting.pop()
        if kind.__module__ == ImError.__module__:
            found.setdefault(kind.code, kind)
        waiting += kind.__subclasses__()
    return [found[code] for code in sorted(found)]


# ---- operations and messages


def _reference(message: str) -> Json:
    return {"$ref": f"#/channels/socket/messages/{message}"}


def _operations() -> Iterator[tuple[str, Json]]:
    channel = {"$ref": "#/channels/socket"}
    for method in METHODS:
        reply = {
            "channel": channel,
            "messages": [_reference(f"{method}.result"), _reference("error")],
        }
        yield (
            method,
            {
                "action": "receive",
                "channel": channel,
                "summary": RESULTS[method].summary,
                "messages": [_reference(f"{method}.request")],
                "reply": reply,
            },
        )
    for name, said in NOTIFICATIONS.items():
        yield (
            f"{name}.notify",
            {
                "action": "send",
                "channel": channel,
                "summary": said.summary,
                "description": f"To {said.to}.",
                "messages": [_reference(f"{name}.notification")],
            },
        )


def _messages() -> Iterator[tuple[str, Json]]:
    for method, row in METHODS.items():
        required, properties = properties_of(row.model)
        for name in properties:
            properties[name] |= _CHANGED.get((method, name), {})
        params: Json = {"type": "object", "properties": properties}
        if needed := sorted(required):
            params["required"] = needed
        call = {"id": _ID, "method": {"const": method}, "params": params}
        example = {"id": 1, "method": method, "params": example_params(method, required)}
        yield f"{method}.request", _message(f"{method} request", call, ["method"], example)
        schema, shown = answer_example((RESULTS[method].kind,))
        answer = {"id": _ID, "result": schema}
        example = {"id": 1, "result": shown}
        yield f"{method}.result", _message(f"{method} result", answer, ["id", "result"], example)
    for name, said in NOTIFICATIONS.items():
        schema, shown = answer_example((said.kind,))
        news = {"method": {"const": name}, "params": schema}
        example = {"method": name, "params": shown}
        yield f"{name}.notification", _message(name, news, ["method", "params"], example)
    yield (
        "error",
        {
            "name": "error",
            "payload": {"$ref": f"{REFS}Error"},
            "examples": [{"payload": _error_example()}],
        },
    )


def _message(name: str, properties: Json, required: list[str], example: Json) -> Json:
    payload = {
        "type": "object",
        "properties": {"jsonrpc": _VERSION, **properties},
        "required": ["jsonrpc", *required],
    }
    shown = {"jsonrpc": "2.0", **example}
    return {"name": name, "payload": payload, "examples": [{"payload": shown}]}


def example_params(method: str, required: set[str]) -> Json:
    """Params of the method that are taken as they stand."""
    model: type[Request] = METHODS[method].model
    names = [*sorted(required), *(n for n in _SHOWN.get(method, ()) if n not in required)]
    return {
        name: _PARAMS.get((method, name), EXAMPLES.get((model.__name__, name), TERMS[name].example))
        for name in names
    }


def _error_example() -> Json:
    error = {
        "code": frames.REFUSED,
        "message": "There is no such session.",
        "data": {"code": "session_not_found"},
    }
    return {"jsonrpc": "2.0", "id": 1, "error": error}
