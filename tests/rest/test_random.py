"""Whatever a caller sends, the answer is JSON and no 5xx, and nothing is left unhandled (2.1)."""

from __future__ import annotations

import json
from typing import cast
from urllib.parse import quote

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.logger import ILogObserver, LogEvent, LogLevel, globalLogPublisher

from imd.rest.routes import ROUTES
from imd.rest.table import parameters_of
from imd.wire.codec import encode
from tests.rest.world import World

WORLD = World(allowed_origins=["https://app.example"], trusted_proxies=["127.0.0.1"])
#: 60 requests a second are not enough here
WORLD.house.rates.requests.per_second = 0

CALM = settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=120)

verbs = st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"])
words = st.one_of(
    st.sampled_from(["topics", "current", "login", "..", "", "s1", "a,b", "%", "[1]", "1", "-1"]),
    st.text(max_size=12),
)
segments = st.one_of(words.map(lambda word: quote(word, safe=",")), st.text(max_size=6).map(quote))
odd_bytes = st.binary(max_size=20).map(
    lambda raw: bytes(byte for byte in raw if 0x20 < byte < 0x7F) or b"%ff"
)
credentials = st.sampled_from(
    [b"X-Api-Key: key-admin\r\n", b"Authorization: Bearer user-D1\r\n", b"X-Api-Key: no\r\n", b""]
)
names = st.one_of(
    st.sampled_from(
        "session_id sessionId user_id type content size before after participants messages cursor"
        " session_type session_name topic_id start_by status name seq platform role peek".split()
    ),
    st.text(max_size=8),
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)


@st.composite
def paths(draw):
    """A path of the table with anything in its parameters, and sometimes anything at all."""
    if draw(st.integers(0, 9)) == 0:
        return "/" + "/".join(draw(st.lists(segments, max_size=6)))
    path = draw(st.sampled_from([path for route in ROUTES for path in route.paths]))
    for name in parameters_of(path):
        path = path.replace(f"{{{name}}}", draw(segments))
    return path


def _send(verb: str, target: bytes, headers: bytes, body: bytes) -> None:
    events: list[LogEvent] = []
    observe = cast("ILogObserver", events.append)
    globalLogPublisher.addObserver(observe)
    try:
        line = WORLD.connect()
        line.send(
            verb.encode() + b" " + target + b" HTTP/1.1\r\nHost: a\r\n" + headers
            + b"Content-Length: %d\r\n\r\n" % len(body) + body
        )  # fmt: skip
        reply = line.reply()
        line.hang_up()
    finally:
        globalLogPublisher.removeObserver(observe)
    assert [event for event in events if event["log_level"] >= LogLevel.warn] == []
    assert reply.status < 500, (verb, target, body, reply.raw)
    assert reply.status not in range(300, 400)
    assert reply.one("x-request-id")
    assert reply.one("x-content-type-options") == "nosniff"
    if verb == "HEAD" or reply.status == 204:
        assert reply.raw == b""
    else:
        assert reply.one("content-length") == str(len(reply.raw))
        assert isinstance(json.loads(reply.raw), dict)
    assert WORLD.dispatch.running == 0


@CALM
@given(verbs, paths(), credentials, st.lists(st.tuples(names, words), max_size=4))
def test_any_path_and_query(verb, path, credential, pairs):
    query = "&".join(f"{quote(name)}={quote(value)}" for name, value in pairs)
    _send(verb, f"{path}?{query}".encode(), credential, b"")


@CALM
@given(verbs, paths(), odd_bytes, odd_bytes, credentials)
def test_any_bytes_in_path_and_query(verb, path, tail, query, credential):
    target = path.encode() + tail.replace(b"?", b"").replace(b"#", b"") + b"?" + query
    _send(verb, target, credential, b"")


@CALM
@given(st.sampled_from(["POST", "PUT", "DELETE"]), paths(), credentials, values)
def test_any_json(verb, path, credential, value):
    body = json.dumps(value).encode("utf-8", "surrogatepass")
    _send(verb, path.encode(), credential + b"Content-Type: application/json\r\n", body)


@CALM
@given(
    st.sampled_from(["POST", "PUT", "DELETE"]),
    paths(),
    st.sampled_from([b"application/json", b"application/x-www-form-urlencoded", b"text/plain"]),
    st.binary(max_size=60),
)
def test_any_bytes_as_a_body(verb, path, kind, body):
    _send(verb, path.encode(), b"X-Api-Key: key-admin\r\nContent-Type: " + kind + b"\r\n", body)


@CALM
@given(
    st.sampled_from(ROUTES),
    st.dictionaries(names, values, max_size=8),
)
def test_any_fields_for_each_route(route, fields):
    path = route.path
    for name in parameters_of(path):
        path = path.replace(f"{{{name}}}", "u1")
    try:
        body = encode(fields)
    except UnicodeEncodeError:
        body = json.dumps(fields).encode()
    _send(
        route.verbs[0],
        path.encode(),
        b"X-Api-Key: key-admin\r\nContent-Type: application/json\r\n",
        body,
    )


@CALM
@given(st.binary(max_size=30), st.binary(max_size=30), st.binary(max_size=30))
def test_any_header(credential, origin, forwarded):
    def clean(raw: bytes) -> bytes:
        return bytes(byte for byte in raw if byte >= 32 and byte != 127)

    _send(
        "POST",
        b"/api/v2/sessions/s1/messages",
        b"Authorization: Bearer " + clean(credential) + b"\r\nOrigin: " + clean(origin)
        + b"\r\nX-Forwarded-For: " + clean(forwarded) + b"\r\nIdempotency-Key: "
        + clean(origin) + b"\r\nX-Request-Id: " + clean(forwarded) + b"\r\n",
        b"",
    )  # fmt: skip
