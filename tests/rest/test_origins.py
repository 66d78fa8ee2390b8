"""Pages of other origins: CORS by exact match (pages 2.1 and 5.6)."""

from __future__ import annotations

import pytest

from tests.rest.world import KEY, World

PAGE = "https://app.example"
ALLOWED = [PAGE, "null"]


@pytest.fixture
def world() -> World:
    return World(allowed_origins=ALLOWED, trusted_proxies=["127.0.0.1"])


def _cors(reply):
    return {name for name in reply.headers if name.startswith("access-control")}


@pytest.mark.parametrize("origin", ALLOWED)
def test_a_preflight_of_an_allowed_origin(world, origin):
    asked = {"Origin": origin, "Access-Control-Request-Method": "PUT"}
    reply = world.ask("OPTIONS", "/sessions/s1/sticky", headers=asked)
    assert (reply.status, reply.raw) == (204, b"")
    assert reply.one("allow") == "DELETE, OPTIONS, PUT"
    assert reply.one("access-control-allow-origin") == origin
    assert reply.one("access-control-allow-methods") == "DELETE, OPTIONS, PUT"
    assert set(reply.one("access-control-allow-headers").split(", ")) == {
        "Authorization", "X-Api-Key", "Content-Type", "Idempotency-Key", "X-Request-Id",
    }  # fmt: skip
    assert int(reply.one("access-control-max-age")) > 0
    assert reply.one("vary") == "Origin"
    assert reply.one("access-control-allow-credentials") is None


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "https://app.example.evil", "http://app.example", PAGE + "/",
     PAGE + ":443", "https://APP.example", "", "*", None],
)  # fmt: skip
def test_any_other_origin_is_told_the_verbs_only(world, origin):
    headers = {} if origin is None else {"Origin": origin}
    reply = world.ask("OPTIONS", "/sessions", headers=headers)
    assert (reply.status, reply.one("allow")) == (204, "GET, HEAD, OPTIONS, POST")
    assert _cors(reply) == set()
    assert _cors(world.ask("GET", "/sessions", headers={**KEY, **headers})) == set()


def test_options_of_an_unknown_path_is_404(world):
    world.ask("OPTIONS", "/nothing", headers={"Origin": PAGE}).problem(404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/sessions", 200), ("GET", "/sessions?size=0", 422), ("GET", "/nothing", 404),
     ("PATCH", "/sessions", 405)],
)  # fmt: skip
def test_every_answer_may_be_read_by_an_allowed_origin(world, method, path, status):
    reply = world.ask(method, path, headers={**KEY, "Origin": PAGE})
    assert reply.status == status
    assert reply.one("access-control-allow-origin") == PAGE
    assert reply.one("vary") == "Origin"
    assert "X-Request-Id" in reply.one("access-control-expose-headers")
    assert world.ask("GET", "/sessions", headers={"Origin": PAGE}).one(
        "access-control-allow-origin"
    ) == PAGE  # fmt: skip


def test_the_servers_own_origin_is_allowed(world):
    own = {**KEY, "Origin": "http://127.0.0.1:3000"}
    assert _cors(world.ask("GET", "/sessions", headers=own))
    secure = {**own, "Origin": "https://127.0.0.1:3000"}
    assert not _cors(world.ask("GET", "/sessions", headers=secure))
    through = {**secure, "X-Forwarded-Proto": "https"}
    assert _cors(world.ask("GET", "/sessions", headers=through))
    assert not _cors(World().ask("GET", "/sessions", headers=through))


def test_without_allowed_origins_there_are_none():
    reply = World().ask("GET", "/sessions", headers={**KEY, "Origin": PAGE})
    assert _cors(reply) == set()
