"""The table of routes checks itself, and every path and verb finds its row."""

from __future__ import annotations

from dataclasses import replace

import pytest

from imd.domain.caller import ADMIN, READ, WRITE
from imd.rest.routes import ROUTES
from imd.rest.table import Table, TableError, parameters_of
from imd.wire.sessions import GetSession, ListSessions, OpenSession
from tests.rest.world import World

BY_NAME = {route.name: route for route in ROUTES}
ONE = BY_NAME["get_session"]


def test_the_table_is_sound():
    table = Table(ROUTES)
    assert len({route.name for route in table.routes}) == len(ROUTES) == 54


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_a_row_follows_the_contract(route):
    """GET needs read, every other verb write, PUT of a user admin (page 2.1)."""
    assert route.path.startswith("/api/v2/")
    expected = READ if route.verbs == ("GET",) else WRITE
    assert route.scope == (ADMIN if route.name in {"put_user", "put_users"} else expected)
    assert route.action.__name__ in {route.name, "act"}
    assert all(parameters_of(path) == parameters_of(route.path) for path in route.also)
    assert route.summary
    assert route.answers or 204 in route.outcome.statuses


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (replace(ONE, path="/api/v2/sessions/{id}/session"), "not in GetSession"),
        (replace(ONE, path="/api/v2/sessions/{user_id}/session"), "optional"),
        (replace(ONE, path="/api/v2/{session_id}/{session_id}"), "twice"),
        (replace(ONE, path="/api/v2/sessions/{session_id}/"), "no path template"),
        (replace(ONE, path="api"), "no path template"),
        (replace(ONE, verbs=()), "verbs"),
        (replace(ONE, verbs=("PATCH",)), "verbs"),
        (replace(ONE, model=ListSessions), "not in ListSessions"),
    ],
)
def test_a_wrong_row_fails_at_once(wrong, said):
    with pytest.raises(TableError, match=said):
        Table([wrong])


def test_two_rows_may_not_have_one_name_or_one_verb_of_a_path():
    with pytest.raises(TableError, match="two rows"):
        Table([ONE, replace(ONE, path="/other/{session_id}")])
    with pytest.raises(TableError, match=r"GET /api/v2/sessions/.*: get_session, other"):
        Table([ONE, replace(ONE, name="other")])


def test_fields_named_beside_the_model_must_be_its_own():
    class Wrong(GetSession, frozen=True):
        from_headers = {"Idempotency-Key": "nothing"}

    class Empty(OpenSession, frozen=True):
        empty_is_absent = ("nothing",)

    for model in (Wrong, Empty):
        with pytest.raises(TableError, match="nothing"):
            Table([replace(ONE, model=model, path="/x")])


# ---- matching


def _sample(path: str) -> str:
    for name in parameters_of(path):
        path = path.replace(f"{{{name}}}", "u1" if name == "participant_ids" else f"a-{name}")
    return path.removeprefix("/api/v2")


@pytest.mark.parametrize(
    ("route", "verb", "path"),
    [(route, verb, path) for route in ROUTES for verb in route.verbs for path in route.paths],
    ids=lambda value: getattr(value, "name", value),
)
def test_each_row_is_found_by_each_of_its_verbs(route, verb, path):
    world = World()
    body = {
        "type": 1, "state": "replied", "name": "n", "status": 1, "app_state": "background",
        "session_id": "s", "session_type": 1, "session_name": "n", "participants": ["u"],
        "topic_id": "t", "start_by": "u", "team_code": "T", "content": "c",
        "old_participant_ids": ["a"], "new_participant_ids": ["b"], "users": [{"user_id": "u"}],
    }  # fmt: skip
    query = "?type=1&state=replied&session_id=s&team_code=T" if verb == "GET" else ""
    if route.name == "count_consults":
        query = "?by=type"
    if route.name in {"put_user", "update_topic"}:
        body = {}
    reply = world.ask(verb, _sample(path) + query, json=None if verb == "GET" else body)
    assert reply.status in route.outcome.statuses, reply.raw
    name, _, request = world.calls[-1]
    assert name == route.name
    for parameter in parameters_of(path):
        got = getattr(request, parameter)
        assert got == (("u1",) if parameter == "participant_ids" else f"a-{parameter}")


LITERALS = {
    "/sessions/topics/sticky": {"GET", "PUT", "POST"},
    "/sessions/topics": {"GET", "POST"},
    "/sessions/topics/session": {"GET", "PUT", "POST"},
    "/sessions/topics/status": {"GET", "PUT", "POST"},
    "/sessions/topics/read": {"GET", "PUT", "POST"},
    "/sessions/topics/messages": {"GET", "PUT", "POST"},
    "/sessions/topics/count/reply": {"GET"},
    "/sessions/recent": {"GET"},
    "/sessions/isExist": {"GET"},
    "/sessions/sessionListByType": {"GET"},
    "/sessions/sessionCountByType": {"GET"},
    "/sessions/unread_message_count": {"GET"},
    "/sessions/healthTopics": {"GET"},
    "/sessions/healthTeamTopics": {"GET"},
    "/sessions/topicListByType": {"GET"},
    "/sessions/topicListCountByType": {"GET"},
    "/sessions/topic/t1/messages": {"GET"},
    "/sessions/s1/messages/unread": {"GET"},
    "/sessions/s1/participants/avatars": {"GET"},
    "/sessions/s1/participant/update": {"PUT", "POST"},
    "/sessions/s1/unread_message_count": {"GET"},
    "/sessions/s1/topics": {"GET", "POST"},
    "/users/login": {"POST"},
    "/users/logout": {"POST", "DELETE"},
    "/application/badge_no": {"GET"},
}


@pytest.mark.parametrize(("path", "verbs"), LITERALS.items(), ids=LITERALS.keys())
def test_literals_win_for_every_verb(world, path, verbs):
    allowed = sorted({*verbs, "OPTIONS", *({"HEAD"} if "GET" in verbs else ())})
    for verb in {"GET", "PUT", "POST", "DELETE", "PATCH", "TRACE"} - verbs:
        reply = world.ask(verb, path)
        reply.problem(405, "method_not_allowed")
        assert reply.one("allow") == ", ".join(allowed)
    assert world.calls == []


@pytest.mark.parametrize(
    "path",
    [
        "/sessions/recent/messages", "/sessions/topics/topics/t/ended", "/sessions/isExist/session",
        "/sessions/topic/session", "/users/login/status", "/users/avatars",
        "/sessions/topics/count", "/sessions/s1/topics/count/ended", "/sessions/s1/messages/..",
        "/sessions/healthTopics/messages/m1",
    ],
)  # fmt: skip
def test_reserved_words_are_no_ids(world, path):
    line = world.connect()
    line.get(f"/api/v2{path}".encode()).problem(422, "reserved_id")
    assert world.calls == []


def test_current_is_a_topic_only_where_it_may_be(world):
    assert world.ask("GET", "/sessions/s1/topics/current/ended").status == 200
    world.ask("GET", "/sessions/topics/current").problem(422, "reserved_id")
    world.ask("GET", "/sessions/s1/topics/current/messages").problem(422, "reserved_id")


def test_a_comma_list_stays_one_parameter(world):
    world.ask("GET", "/sessions/s1/participants/a,b,%E5%8C%BB")
    assert world.last().participant_ids == ("a", "b", "医")


def test_the_two_paths_of_a_topic(world):
    for path in ("/sessions/topics/t1", "/sessions/t1/topics"):
        world.ask("GET", path)
        assert world.calls[-1][0] == "get_topic"
        assert world.last().topic_id == "t1"


@pytest.mark.parametrize(
    "target",
    [
        b"/nothing", b"/api/v2/sessions/", b"/api/v2/sessions/s1/session/", b"/api/v2", b"/api/v2/",
        b"//", b"//api/v2/sessions", b"/api//v2/sessions", b"/api/v2/sessions//session",
        b"/api/v2/sessions/a%2Fsticky", b"/api/v2/sessions/a%2fb/session", b"/healthz/", b"/ws",
        b"/api/v2/sessions/topics/a/b/c/d", b"/index.html", b"/%2e%2e/etc/passwd",
    ],
)  # fmt: skip
def test_unknown_paths_are_404_to_anyone(world, target):
    for headers in (b"", b"Authorization: Bearer wrong\r\n", b"Authorization: Bearer key-read\r\n"):
        world.connect().get(target, headers).problem(404, "not_found")


@pytest.mark.parametrize("target", [b"/api/v2/sessions/%ff/session", b"/%ed%a0%80"])
def test_bad_utf8_in_a_path_is_400(world, target):
    world.connect().get(target).problem(400, "bad_request")


@pytest.mark.parametrize("host", [b"a..b", b"a" * 99 + b".b", b"xn--a\xc3\xa4.b"])
def test_a_strange_host_is_no_crash(world, host):
    """The hardened channel refuses more of them before they come here."""
    line = world.connect()
    line.send(b"GET /api/v2/sessions HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")
    assert line.reply().status in {400, 401}
    assert line.reply().json["code"]


def test_nothing_is_ever_redirected(world):
    for route in ROUTES:
        for tail in ("/", "//", "/."):
            reply = world.connect().get(f"/api/v2{_sample(route.path)}{tail}".encode())
            assert reply.status not in range(300, 400)
            assert reply.one("location") is None
