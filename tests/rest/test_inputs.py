"""What is taken from query, body, headers and path, and what is refused (page 2.1)."""

from __future__ import annotations

import pytest

from tests.rest.world import KEY, encoded

POST = "/sessions/s1/messages"
JSON = {**KEY, "Content-Type": "application/json"}


def test_query_and_body_are_one_namespace_and_the_body_wins(world):
    world.ask(
        "POST", f"{POST}?type=2&content=query&sender_name=q", json={"type": 1, "content": "b"}
    )
    got = world.last()
    assert (got.type, got.content, got.sender_name) == (1, "b", "q")


def test_the_body_wins_in_either_spelling(world):
    world.ask("POST", f"{POST}?sender_name=query", json={"type": 1, "senderName": "body"})
    assert world.last().sender_name == "body"
    world.ask("POST", f"{POST}?senderName=query", json={"type": 1, "sender_name": "body"})
    assert world.last().sender_name == "body"


def test_the_path_wins_over_all(world):
    for name in ("session_id", "sessionId"):
        world.ask("POST", f"{POST}?{name}=other", json={"type": 1, name: "another"})
        assert world.last().session_id == "s1"


def test_camel_case_and_aliases_are_taken_and_unknown_fields_ignored(world):
    sent = {"contentType": 2, "senderId": "P1", "clientMsgId": "k", "no_such_field": [1]}
    assert world.ask("POST", POST, json=sent).status == 201
    got = world.last()
    assert (got.type, got.sender_id, got.client_msg_id) == (2, "P1", "k")


def test_a_form_body(world):
    assert world.ask("POST", POST, form="type=1&content=%E6%82%A8%E5%A5%BD+x").status == 201
    assert (world.last().type, world.last().content) == (1, "您好 x")


def test_lists_in_forms_and_queries(world):
    for form in ('participants=["a:doctor","b"]', "participants=a:doctor&participants=b"):
        world.ask("POST", "/sessions", form=f"session_type=9&session_name=n&{form}")
        assert [tuple(seat) for seat in world.last().participants] == [("a", "doctor"), ("b", "0")]
    world.ask("POST", "/sessions", form="session_type=9&session_name=n&participants=a,b")
    assert world.calls[-1][2].participants
    for query in ("type=1,9", "type=1&type=9", "type=[1,9]"):
        world.ask("GET", f"/sessions/sessionListByType?{query}")
        assert world.last().type == (1, 9)


def test_the_idempotency_header_fills_an_absent_key(world):
    with_key = {**KEY, "Idempotency-Key": "head"}
    world.ask("POST", POST, headers=with_key, json={"type": 1})
    assert world.last().client_msg_id == "head"
    world.ask("POST", POST, headers=with_key, json={"type": 1, "client_msg_id": None})
    assert world.last().client_msg_id == "head"
    for name in ("client_msg_id", "clientMsgId"):
        world.ask("POST", POST, headers=with_key, json={"type": 1, name: "body"})
        assert world.last().client_msg_id == "body"
    with_long = {**KEY, "Idempotency-Key": "x" * 129}
    body = world.ask("POST", POST, headers=with_long, json={"type": 1}).problem(422, "invalid")
    assert body["errors"][0]["field"] == "client_msg_id"


def test_a_body_of_a_get_is_not_read(world):
    line = world.connect()
    line.send(
        b"GET /api/v2/sessions?size=3 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer key-read\r\n"
        b"Content-Type: text/plain\r\nContent-Length: 7\r\n\r\nsize=99"
    )
    assert line.reply().status == 200
    assert world.last().size == 3


def test_a_delete_takes_body_fields(world):
    world.ask("DELETE", "/sessions/s1/sticky", json={"user_id": "D1"})
    assert world.last().user_id == "D1"


@pytest.mark.parametrize("data", [None, b""])
def test_an_empty_body_is_no_body(world, data):
    assert world.ask("PUT", "/sessions/s1/read", data=data).status == 200
    assert world.ask("PUT", "/sessions/s1/read", data=data, headers=JSON).status == 200


@pytest.mark.parametrize(
    "kind",
    [
        "application/json",
        "application/json; charset=utf-8",
        "Application/JSON;x=1",
        "application/json ;",
    ],
)
def test_parameters_of_the_media_type_do_not_matter(world, kind):
    sent = {**KEY, "Content-Type": kind}
    assert world.ask("POST", POST, headers=sent, data=b'{"type": 1}').status == 201


@pytest.mark.parametrize(
    "kind",
    [
        b"Content-Type: text/plain\r\n",
        b"Content-Type: multipart/form-data; boundary=x\r\n",
        b"Content-Type: application/jsonp\r\n",
        b"Content-Type:\r\n",
        b"Content-Type: ;\r\n",
        b"",
        b"Content-Type: application/json\r\nContent-Type: text/plain\r\n",
    ],
)
def test_other_media_types_are_415(world, kind):
    line = world.connect()
    line.send(
        b"POST /api/v2/sessions/s1/messages HTTP/1.1\r\nHost: a\r\nX-Api-Key: key-write\r\n"
        b"Content-Length: 10\r\n" + kind + b'\r\n{"type":1}'
    )
    line.reply().problem(415, "unsupported_media_type")
    assert world.calls == []


DEEP = b'{"type":1,"content":' + b"[" * 32 + b"]" * 32 + b"}"


@pytest.mark.parametrize(
    "data",
    [
        b"{", b"[]", b'"x"', b"null", b"1", b"{} {}", b'{"type":1,}', b"{'type':1}", b"\xff{}",
        b'{"type":1,"type":2}', b'{"content":{"a":1,"a":2}}', b'{"content":NaN}',
        b'{"content":-Infinity}', b'{"content":1e999}', b'{"content":9223372036854775808}',
        b'{"content":-9223372036854775809}', b'{"content":' + b"9" * 5000 + b"}", DEEP,
        b"[" * 100_000, b'{"content":"\\ud800"}', b'{"\\udc00":1}', b'{"content":"\\u0000"}',
        b'{"\\u0000":1}', '{"type":1}'.encode("utf-16"), b"\xef\xbb\xbf{}",
        b'{"content":"\xed\xa0\x80"}',
    ],
    ids=lambda data: ascii(data[:24]),
)  # fmt: skip
def test_bad_json_is_400(world, data):
    world.ask("POST", POST, headers=JSON, data=data).problem(400, "bad_json")
    assert world.calls == []


def test_the_edges_that_are_still_good(world):
    deepest = DEEP.replace(b"[" * 32 + b"]" * 32, b"[" * 31 + b"]" * 31)
    assert world.ask("POST", POST, headers=JSON, data=deepest).status == 201
    for number in (2**63 - 1, -(2**63), 1.5e300):
        world.ask("POST", POST, json={"type": 1, "content": number})
        assert world.last().content == number
    world.ask("POST", POST, headers=JSON, data=b'{"type":1,"content":"\\ud83d\\ude00"}')
    assert world.last().content == "😀"


@pytest.mark.parametrize(
    ("form", "status", "code"),
    [
        ("type=1&content=%ff", 400, "bad_request"),
        ("type=1&content=%ed%a0%80", 400, "bad_request"),
        ("type=1&content=%00", 422, "invalid"),
        ("%00=1&type=1", 422, "invalid"),
        ("&".join(["a=1"] * 1001), 400, "bad_request"),
        ("type=x", 422, "invalid"),
        ("content=x", 422, "invalid"),
        ("type=1&topic_id=current", 422, "reserved_id"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_bad_forms(world, form, status, code):
    world.ask("POST", POST, form=form).problem(status, code)
    assert world.calls == []


def test_a_number_outside_64_bits_in_a_form(world):
    for seq in ("9" * 23, "-1", str(2**63)):
        world.ask("PUT", "/sessions/s1/read", form=f"seq={seq}").problem(422, "invalid")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("size=0", "size"), ("size=201", "size"), ("size=-1", "size"), ("size=x", "size"),
        ("size=1.5", "size"), ("before=-1", "before"), ("after=-7", "after"),
        ("before=99999999999999999999%20", "before"), ("order=up", "order"), ("peek=maybe", "peek"),
        ("type=a,b", "type"), ("start_msg_id=a%2Fb", "start_msg_id"), ("user_id=a,b", "user_id"),
        ("cursor=", "cursor"),
    ],
    ids=lambda value: str(value),
)  # fmt: skip
def test_a_wrong_field_is_named(world, query, field):
    body = world.ask("GET", f"/sessions/s1/messages?{query}").problem(422, "invalid")
    assert [error["field"] for error in body["errors"]] == [field]
    assert world.calls == []


def test_a_query_that_is_not_utf8(world):
    world.connect().get(b"/api/v2/sessions?type=%ff").problem(400, "bad_request")


def test_too_large_a_body(world):
    data = encoded({"type": 1, "content": "x" * 262_144})
    world.ask("POST", POST, headers=JSON, data=data).problem(413, "too_large")
