"""The road from a row to its answer: statuses, headers, request ids, failures, the log."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from twisted.internet.defer import CancelledError
from twisted.logger import LogLevel

from imd.actions import sessions, topic_start, topics, users
from imd.actions.ports import Posted
from imd.domain import errors
from imd.domain.message import Card
from imd.domain.session import Session
from tests.rest.world import KEY, MESSAGE, USER, Made, giving, raising

SEND = ("POST", "/sessions/s1/messages")
SESSION = Session("s1", "会话", 9, 2, 0, 1, 0, None, None, None)


def test_an_answer_is_plain_json_that_no_browser_takes_for_a_page(world):
    reply = world.ask(*SEND, json={"type": 1, "content": "x"})
    assert reply.status == 201
    assert reply.one("content-type") == "application/json; charset=utf-8"
    assert reply.one("x-content-type-options") == "nosniff"
    assert reply.one("cache-control") == "no-store"
    assert reply.one("vary") is None
    assert "您好 <b>".encode() in reply.raw
    assert reply.json["content"] == "您好 <b>"


def test_its_length_is_told(world):
    reply = world.connect().get(b"/api/v2/sessions")
    assert reply.one("content-length") == str(len(reply.raw))
    assert reply.one("transfer-encoding") is None


def test_a_card_goes_out_as_it_came_in(world):
    text = '{"b":1.50,"a":[1,2 ]}'
    world.acts["get_message"] = giving(replace(MESSAGE, content=Card(text)))
    assert f'"content":{text}'.encode() in world.ask("GET", "/sessions/s1/messages/m1").raw


@pytest.mark.parametrize(
    ("name", "method", "path", "sent"),
    [
        ("open_session", "POST", "/sessions",
         {"session_type": 9, "session_name": "n", "participants": ["u"]}),
        ("put_user", "PUT", "/users/u1", {"kind": "doctor"}),
        ("start_topic", "POST", "/sessions/s1/topics", {"topic_id": "t", "start_by": "u"}),
        ("start_topic_in_session", "POST", "/sessions/topics", {"topic_id": "t", "start_by": "u"}),
        ("enter_topic", "PUT", "/sessions/s1/topics/t/into", {"user_id": "u"}),
    ],
)  # fmt: skip
def test_making_is_201_and_finding_is_200(world, name, method, path, sent):
    for created, status in ((True, 201), (False, 200)):
        world.acts[name] = giving(Made(SESSION, created))
        reply = world.ask(method, path, json=sent)
        assert (reply.status, reply.json["name"]) == (status, "会话")


def test_the_actions_outcomes_have_the_members_that_replies_read():
    assert sessions.Opened._fields == ("session", "created")
    assert users.PutOutcome._fields == ("user", "created")
    assert topic_start.Started._fields == ("topic", "created")
    assert topics.Entered._fields == ("message", "created")


def test_a_replayed_send_has_the_same_status_and_says_so(world):
    first = world.ask(*SEND, json={"type": 1})
    world.acts["post_message"] = giving(Posted(MESSAGE, True))
    again = world.ask(*SEND, json={"type": 1})
    assert (again.status, again.raw) == (first.status, first.raw)
    assert first.one("idempotent-replay") is None
    assert again.one("idempotent-replay") == "true"


def test_logout_has_no_body(world):
    for method in ("POST", "DELETE"):
        reply = world.ask(method, "/users/logout")
        assert (reply.status, reply.raw) == (204, b"")
        assert reply.one("content-type") is None
        assert reply.one("content-length") is None


def test_head_is_get_without_a_body(world):
    whole = world.ask("GET", "/sessions")
    line = world.connect()
    line.send(b"HEAD /api/v2/sessions HTTP/1.1\r\nHost: a\r\nX-Api-Key: key-read\r\n\r\n")
    reply = line.reply()
    assert (reply.status, reply.raw) == (200, b"")
    assert reply.one("content-length") == str(len(whole.raw))
    assert reply.one("content-type") == whole.one("content-type")
    assert [name for name, _, _ in world.calls] == ["list_sessions"] * 2
    line.send(b"HEAD /api/v2/nothing HTTP/1.1\r\nHost: a\r\n\r\n")
    assert line.raw.endswith(b"\r\n\r\n")


# ---- request ids


@pytest.mark.parametrize("given", ["a", "A-b_c.9", "x" * 64])
def test_a_sane_request_id_is_kept(world, given):
    for path in ("/sessions", "/nothing"):
        reply = world.ask("GET", path, headers={**KEY, "X-Request-Id": given})
        assert reply.one("x-request-id") == given


@pytest.mark.parametrize("given", ["", "x" * 65, "a b", "é", "a,b", 'a"', "a/b"])
def test_any_other_is_replaced(world, given):
    reply = world.ask("GET", "/sessions", headers={**KEY, "X-Request-Id": given})
    assert re.fullmatch("[0-9a-f]{16}", reply.one("x-request-id"))


def test_two_requests_have_two_ids(world):
    one, two = (world.ask("GET", "/sessions").one("x-request-id") for _ in range(2))
    assert one != two


# ---- refusals and failures


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.SessionNotFound(), 404),
        (errors.NotAMember(), 403),
        (errors.TopicEnded(), 409),
        (errors.TooLarge(), 413),
        (errors.RateLimited(0.2), 429),
        (errors.InvalidInput.of("content", "is required"), 422),
        (errors.Unavailable(), 503),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_actions_refusal(world, error, status):
    world.acts["post_message"] = raising(error)
    reply = world.ask(*SEND, json={"type": 1})
    assert reply.problem(status, error.code)["detail"] == error.detail
    assert (reply.one("retry-after") == "1") == (status in {429, 503})
    assert world.dispatch.running == 0


SECRET = "SELECT * FROM patients"


@pytest.mark.parametrize("error", [RuntimeError(SECRET), KeyError(SECRET), TypeError(SECRET)])
def test_a_failure_is_500_with_its_id_and_nothing_else(world, logged, error):
    world.acts["post_message"] = raising(error)
    reply = world.ask(*SEND, json={"type": 1}, headers={**KEY, "X-Request-Id": "r-1"})
    body = reply.problem(500, "internal")
    assert body["request_id"] == "r-1"
    assert b"SELECT" not in reply.raw
    (event,) = [event for event in logged if event["log_level"] is LogLevel.critical]
    assert event["request_id"] == "r-1"
    assert event["log_failure"].value is error
    assert world.ask("GET", "/sessions").status == 200


def test_an_answer_that_cannot_be_encoded_is_500(world):
    world.acts["list_sessions"] = giving(object())
    world.ask("GET", "/sessions").problem(500, "internal")
    world.acts["open_session"] = giving("not an outcome")
    sent = {"session_type": 9, "session_name": "n", "participants": ["u"]}
    world.ask("POST", "/sessions", json=sent).problem(500, "internal")


def test_a_failing_doorkeeper_is_500(world):
    def identify(credential):
        raise RuntimeError(SECRET)

    world.door.identify = identify
    world.ask("GET", "/sessions").problem(500, "internal")


def test_an_action_that_was_cancelled_from_within_is_503(world):
    world.acts["list_sessions"] = raising(CancelledError())
    world.ask("GET", "/sessions").problem(503, "unavailable")


# ---- the log


def test_one_line_for_each_request(world, logged):
    world.ask(*SEND, json={"type": 1, "content": "geheim"}, headers={**USER, "X-Request-Id": "r1"})
    (event,) = [event for event in logged if "route" in event]
    shown = {key: event[key] for key in ("route", "status", "caller", "request_id", "ms")}
    assert shown == {
        "route": "post_message", "status": 201, "caller": "user", "request_id": "r1", "ms": 0.0,
    }  # fmt: skip
    assert "geheim" not in str(event)
    assert "user-D1" not in str(event)
    assert world.seen == [("post_message", 201, 0.0)]


def test_refusals_are_logged_the_same_way(world, logged):
    world.ask("GET", "/nothing")
    world.ask("PUT", "/sessions")
    world.ask("GET", "/sessions", headers={})
    world.ask("GET", "/sessions?size=0")
    seen = [
        (event["route"], event["status"], event["caller"]) for event in logged if "route" in event
    ]
    assert seen == [
        ("-", 404, "anyone"),
        ("-", 405, "anyone"),
        ("list_sessions", 401, "anyone"),
        ("list_sessions", 422, "service"),
    ]
    assert {event["log_level"] for event in logged if "route" in event} == {LogLevel.info}
