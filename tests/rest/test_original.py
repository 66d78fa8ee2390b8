"""The original's own list of routes, walked: each of its paths answers as page 2 says.

ROUTES is the table of the original's public README, name by name. CALLS is what page 2 says of
each: verbs, a request that a client would make, the status, and members of the answer.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import pytest

from tests.asking import API, Asking
from tests.e2e.server import NO_LIMITS, Imd, running

ROUTES: Final = {
    "application": {
        "BadgeNo": "/badge_no",
    },
    "users": {
        "Login": "/login",
        "Logout": "/logout",
        "User": "/:user_id",
        "UserStatus": "/:user_id/status",
        "UserConsultTime": "/:user_id/consult/time",
    },
    "sessions": {
        "Base": "",
        "Session": "/:session_id/session",
        "SessionListByType": "/sessionListByType",
        "SessionCountByType": "/sessionCountByType",
        "SessionSticky": "/:session_id/sticky",
        "SessionStatus": "/:session_id/status",
        "SessionName": "/:session_id/name",
        "RecentSessions": "/recent",
        "IsExist": "/isExist",
        "Topics": "/:topic_id/topics",
        "Topic": "/topics/:topic_id",
        "TopicEnded": "/:session_id/topics/:topic_id/ended",
        "TopicInto": "/:session_id/topics/:topic_id/into",
        "TopicList": "/topics",
        "HealthTopicList": "/healthTopics",
        "TopicListByType": "/topicListByType",
        "TopicListCountByType": "/topicListCountByType",
        "HealthTeamTopicList": "/healthTeamTopics",
        "TopicReplyCount": "/topics/count/reply",
        "TopicMessages": "/topic/:topic_id/messages",
        "Messages": "/:session_id/messages",
        "MessagesByTopic": "/:session_id/topics/:topic_id/messages",
        "Message": "/:session_id/messages/:message_id",
        "SessionsUnreadMessageCount": "/unread_message_count",
        "SessionUnreadMessageCount": "/:session_id/unread_message_count",
        "SessionUnreadMessages": "/:session_id/messages/unread",
        "ParticipantUpdate": "/:session_id/participant/update",
        "Participants": "/:session_id/participants",
        "ParticipantsAvatar": "/:session_id/participants/avatars",
        "Participant": "/:session_id/participants/:participant_id",
        "ParticipantAvatar": "/:session_id/participants/:participant_id/avatars",
    },
}


class Call(NamedTuple):
    """One verb of a route: what is sent, and what comes back."""

    verbs: str
    fields: dict[str, Any]
    status: int = 200
    members: str = ""


_P: Final = {"user_id": "p"}
_PAGE: Final = "items next"
_SEATS: Final = ["p:patient", "d:doctor"]

CALLS: Final[dict[str, list[Call]]] = {
    "BadgeNo": [Call("GET", _P, 200, "user_id badge_no")],
    "Login": [Call("POST", {"user_id": "p", "client_id": "phone", "role": "patient"}, 200,
                   "user_id kind access_token expires_at server_time")],
    "Logout": [Call("POST DELETE", {"user_id": "q"}, 204)],
    "User": [Call("PUT", {"kind": "patient", "name": "王小明"}, 200, "id kind name"),
             Call("GET", {}, 200, "id kind name sex birthdate avatar openid team_code title")],
    "UserStatus": [Call("GET", {}, 200, "user_id online clients app_state last_active_time"),
                   Call("PUT POST", {"app_state": "background"}, 200, "user_id app_state")],
    "UserConsultTime": [Call("GET", {}, 200, "last_active_time last_consult_time last_reply_time")],
    "Base": [Call("POST", {"session_id": ":session_id", "session_name": "n", "session_type": 9,
                           "participants": _SEATS}, 200, "id name type business_type status"),
             Call("POST", {"session_name": "A、B", "session_type": 4, "session_id": "",
                           "participants": _SEATS}, 201, "id"),
             Call("GET", _P, 200, _PAGE)],
    "Session": [Call("GET", {}, 200, "id last_seq last_message current_topic_id"),
                Call("GET", _P, 200, "id role sticky unread last_fetch_time read_seq")],
    "SessionListByType": [Call("GET", {**_P, "type": "9,13"}, 200, _PAGE)],
    "SessionCountByType": [Call("GET", {**_P, "type": "9"}, 200, "count by_type")],
    "SessionSticky": [Call("PUT DELETE", _P, 200, "session_id sticky")],
    "SessionStatus": [Call("PUT POST", {"status": 1}, 200, "id status")],
    "SessionName": [Call("POST PUT", {"name": "新的会话名称"}, 200, "id name")],
    "RecentSessions": [Call("GET", {**_P, "kind": "patient"}, 200, _PAGE)],
    "IsExist": [Call("GET", {"session_id": ":session_id"}, 200, "session_id exists")],
    "Topics": [Call("GET", {}, 200, "id session_id status reply"),
               # The same shape of path starts a topic in the session that stands there.
               Call("POST", {"topic_id": ":topic_id", "start_by": "p"}, 200, "id session_id")],
    "Topic": [Call("GET", {}, 200, "id session_id status reply"),
              Call("PUT POST", {"name": "头痛"}, 200, "id name")],
    "TopicEnded": [Call("GET", {}, 200, "topic_id session_id ended status reply"),
                   Call("PUT POST", _P, 200, "topic_id ended status")],
    "TopicInto": [Call("PUT POST", _P, 201, "id seq type")],
    "TopicList": [Call("GET", _P, 200, _PAGE),
                  Call("POST", {"topic_id": ":topic_id", "start_by": "p",
                                "session_id": ":session_id"}, 200, "id")],
    "HealthTopicList": [Call("GET", _P, 200, _PAGE)],
    "TopicListByType": [Call("GET", {**_P, "state": "unreplied"}, 200, _PAGE)],
    "TopicListCountByType": [Call("GET", _P, 200, "count unreplied ongoing replied expired")],
    "HealthTeamTopicList": [Call("GET", {**_P, "team_code": "T9"}, 200, "teams next")],
    "TopicReplyCount": [Call("GET", _P, 200, "total reply_rate median_reply_ms")],
    "TopicMessages": [Call("GET", {}, 200, _PAGE)],
    "Messages": [Call("POST", {"sender_id": "d", "type": 1, "content": "您好"}, 201,
                      "id session_id seq topic_id sender_id type content timestamp"),
                 Call("GET", _P, 200, _PAGE)],
    "MessagesByTopic": [Call("GET", {}, 200, _PAGE)],
    "Message": [Call("GET", {}, 200, "id content version recalled"),
                Call("PUT", {"content": {"n": 2}}, 200, "id content version"),
                Call("DELETE", {}, 200, "id recalled")],
    "SessionsUnreadMessageCount": [Call("GET", _P, 200, "user_id count sessions")],
    "SessionUnreadMessageCount": [Call("GET", _P, 200, "session_id user_id count")],
    "SessionUnreadMessages": [Call("GET", _P, 200, _PAGE)],
    "ParticipantUpdate": [Call("POST PUT", {"old_participant_id": "x", "new_participant_id": "y"},
                               200, "items")],
    "Participants": [Call("GET", {}, 200, "items")],
    "ParticipantsAvatar": [Call("GET", {}, 200, "items")],
    "Participant": [Call("GET", {}, 200, "items"), Call("PUT POST", {"role": "r"}, 200, "items"),
                    Call("DELETE", {}, 200, "items")],
    "ParticipantAvatar": [Call("GET", {}, 200, "participant_id name avatar")],
}  # fmt: skip

_ALL: Final = [
    (base, name, path) for base, routes in ROUTES.items() for name, path in routes.items()
]
_VERBS: Final = ("GET", "POST", "PUT", "DELETE")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Imd]:
    with running(tmp_path_factory.mktemp("original"), IM_PROFILE="dev", **NO_LIMITS) as imd:
        yield imd


_numbers = itertools.count(1)


async def _scene(rest: Asking) -> dict[str, str]:
    """What a call needs, made for it: a session with a live topic and a card; their names."""
    number = next(_numbers)
    session, topic = f"s{number}", f"t{number}"
    seats = [*_SEATS, "x"]
    opening = {"session_id": session, "session_name": "n", "session_type": 9, "participants": seats}
    (await rest.ask("POST", "/sessions", opening)).must(201)
    for user, kind in (("p", "patient"), ("d", "doctor")):
        (await rest.ask("PUT", f"/users/{user}", {"kind": kind})).must(200, 201)
        (await rest.ask("POST", "/users/login", {"user_id": user, "client_id": user})).must(200)
    start = {"topic_id": topic, "start_by": "p"}
    (await rest.ask("POST", f"/sessions/{session}/topics", start)).must(201)
    card = {"sender_id": "d", "type": 15, "content": {"n": 1}}
    sent = (await rest.ask("POST", f"/sessions/{session}/messages", card)).must(201)
    return {
        ":session_id": session,
        ":topic_id": topic,
        ":message_id": sent["id"],
        ":user_id": "p",
        ":participant_id": "x",
    }


def _path(base: str, path: str, names: dict[str, str]) -> str:
    return f"/{base}" + "/".join(names.get(word, word) for word in path.split("/"))


def test_every_route_of_the_original_has_its_calls() -> None:
    assert [name for _, name, _ in _ALL] == list(CALLS)
    assert len(_ALL) == 37


@pytest.mark.parametrize(("base", "name", "path"), _ALL, ids=[name for _, name, _ in _ALL])
def test_it_answers_as_the_contract_says(server: Imd, base: str, name: str, path: str) -> None:
    async def walk() -> None:
        async with Asking(server.port) as rest:
            for call in CALLS[name]:
                for verb in call.verbs.split():
                    names = await _scene(rest)
                    fields = {k: names.get(str(v), v) for k, v in call.fields.items()}
                    if (name, verb) == ("Topics", "POST"):
                        names[":topic_id"] = names[":session_id"]
                    answer = await rest.ask(verb, _path(base, path, names), fields)
                    body = answer.must(call.status)
                    assert set(call.members.split()) <= set(body or {}), (verb, body)
                    if answer.raw:
                        kind = answer.headers["content-type"]
                        assert kind == "application/json; charset=utf-8"

    asyncio.run(walk())


@pytest.mark.parametrize(("base", "name", "path"), _ALL, ids=[name for _, name, _ in _ALL])
def test_a_verb_that_it_does_not_have_is_refused(
    server: Imd, base: str, name: str, path: str
) -> None:
    async def walk() -> None:
        async with Asking(server.port) as rest:
            where = _path(base, path, await _scene(rest))
            own = {verb for call in CALLS[name] for verb in call.verbs.split()}
            for verb in (*_VERBS, "PATCH"):
                answer = await rest.ask(verb, where)
                allowed = set(answer.headers.get("allow", "").split(", "))
                assert (answer.status == 405) is (verb not in own), (verb, answer)
                if answer.status == 405:
                    assert answer.json["code"] == "method_not_allowed"
                    assert allowed - {"HEAD", "OPTIONS"} == own, f"{verb} {API}{where}"

    asyncio.run(walk())
