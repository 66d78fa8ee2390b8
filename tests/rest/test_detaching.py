"""An action outlives its connection and its deadline; a stop waits for it (pages 2.1 and 5.3)."""

from __future__ import annotations

import pytest
from twisted.logger import LogLevel
from twisted.web.server import Request

from imd.domain.errors import SessionNotFound
from imd.rest.dispatch import Doors
from tests.rest.world import MESSAGE, Held, World

GET = b"GET /api/v2/sessions/s1/messages/m1 HTTP/1.1\r\nHost: a\r\nX-Api-Key: key-read\r\n\r\n"


@pytest.fixture
def held(world: World) -> Held:
    held = world.acts["get_message"] = Held()
    return held


def _fired(deferred):
    results = []
    deferred.addCallback(results.append)
    return lambda: bool(results)


def test_a_late_answer_arrives(world, held):
    line = world.connect()
    line.send(GET)
    assert line.raw == b""
    world.clock.advance(9.9)
    held.release(MESSAGE)
    reply = line.reply()
    assert (reply.status, reply.json["id"]) == (200, "m1")
    assert world.seen == [("get_message", 200, pytest.approx(9.9))]
    assert held.cancelled == 0


def test_a_late_refusal_and_a_late_failure_arrive(world, held):
    line = world.connect()
    line.send(GET)
    held.release(SessionNotFound())
    line.reply().problem(404, "session_not_found")
    line = world.connect()
    line.send(GET)
    held.release(ZeroDivisionError())
    line.reply().problem(500, "internal")


def test_hanging_up_ends_the_waiting_and_not_the_action(world, held, logged):
    line = world.connect()
    line.send(GET)
    line.hang_up()
    assert held.cancelled == 0
    assert world.dispatch.running == 1
    assert [(seen[0], seen[1]) for seen in world.seen] == [("get_message", 499)]
    held.release(MESSAGE)
    assert world.dispatch.running == 0
    assert line.raw == b""
    assert all(event["log_level"] <= LogLevel.debug for event in logged if "route" in event)
    world.clock.advance(60)
    assert len(world.seen) == 1


@pytest.mark.parametrize("outcome", [SessionNotFound(), ZeroDivisionError("x")], ids=repr)
def test_what_becomes_of_it_then_is_only_logged(world, held, logged, outcome):
    line = world.connect()
    line.send(GET)
    line.hang_up()
    held.release(outcome)
    loud = [event for event in logged if event["log_level"] >= LogLevel.warn]
    assert len(loud) == isinstance(outcome, ZeroDivisionError)
    assert world.dispatch.running == 0


def test_the_deadline_answers_503_and_the_action_goes_on(world, held):
    line = world.connect()
    line.send(GET)
    world.clock.advance(10)
    reply = line.reply()
    reply.problem(503, "unavailable")
    assert reply.one("retry-after") == "1"
    assert (held.cancelled, world.dispatch.running) == (0, 1)
    held.release(MESSAGE)
    assert world.dispatch.running == 0
    assert line.reply().raw == reply.raw
    line.hang_up()
    assert len(world.seen) == 1


def test_the_deadline_can_be_set():
    world = World(request_timeout=2.5)
    world.acts["get_message"] = Held()
    line = world.connect()
    line.send(GET)
    world.clock.advance(2.4)
    assert line.raw == b""
    world.clock.advance(0.1)
    line.reply().problem(503, "unavailable")


def test_hanging_up_after_the_deadline_is_quiet(world, held):
    line = world.connect()
    line.send(GET)
    world.clock.advance(10)
    line.hang_up()
    held.release(MESSAGE)
    assert [status for _, status, _ in world.seen] == [503]


def test_pipelined_requests_are_answered_in_order(world, held):
    line = world.connect()
    line.send(GET + GET.replace(b"/messages/m1", b"/session"))
    assert line.raw == b""
    held.release(MESSAGE)
    first, second = line.raw.split(b"HTTP/1.1 200 OK")[1:]
    assert b'"m1"' in first
    assert b"get_session" in second


def test_a_stop_waits_for_every_action(world, held):
    assert _fired(world.dispatch.idle())()
    lines = [world.connect() for _ in range(3)]
    for line in lines:
        line.send(GET)
    idle = _fired(world.dispatch.idle())
    again = _fired(world.dispatch.idle())
    lines[0].hang_up()
    world.clock.advance(10)
    assert world.dispatch.running == 3
    for _ in range(3):
        assert not idle()
        held.release(MESSAGE)
    assert idle()
    assert again()


def test_the_waiting_for_idle_may_be_given_up(world, held):
    world.connect().send(GET)
    idle = world.dispatch.idle()
    idle.cancel()
    idle.addErrback(lambda failure: None)
    held.release(MESSAGE)
    assert world.dispatch.running == 0


def test_a_stopping_server_sends_new_requests_away(world, held):
    before = world.connect()
    before.send(GET)
    world.dispatch.doors = Doors.SHUT
    reply = world.connect().get(b"/api/v2/sessions")
    reply.problem(503, "unavailable")
    assert reply.one("retry-after") == "1"
    assert reply.one("connection") == "close"
    assert world.connect().get(b"/healthz").status == 200
    held.release(MESSAGE)
    assert before.reply().status == 200


def test_an_answer_that_cannot_be_written_is_seen_and_ends_the_request(
    world, held, logged, monkeypatch
):
    line = world.connect()
    line.send(GET)

    def sore(request, data):
        raise ZeroDivisionError

    monkeypatch.setattr(Request, "write", sore)
    held.release(MESSAGE)
    (event,) = [event for event in logged if event["log_level"] >= LogLevel.warn]
    assert event["log_failure"].check(ZeroDivisionError)
    assert world.dispatch.running == 0
    world.clock.advance(60)
    assert [seen[1] for seen in world.seen] == [200]
