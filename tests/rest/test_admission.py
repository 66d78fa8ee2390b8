"""Who may call: credentials, scopes, rates, and addresses behind proxies (pages 2.1 and 2.7)."""

from __future__ import annotations

import pytest

from imd.domain.caller import TRUSTED
from tests.rest.world import KEY, USER, World

WRONG = {"Authorization": "Bearer wrong"}


def test_nobody_is_401_and_told_how(world):
    reply = world.ask("GET", "/sessions", headers={})
    reply.problem(401, "unauthenticated")
    assert reply.one("www-authenticate") == "Bearer"
    assert world.calls == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer key-read"},
        {"Authorization": "bearer   key-read "},
        {"X-Api-Key": "key-read"},
        {"X-Api-Key": "key-read", "Authorization": "Basic eDp5"},
    ],
    ids=str,
)
def test_a_service_key_is_taken_from_either_header(world, headers):
    assert world.ask("GET", "/sessions", headers=headers).status == 200
    assert world.calls[-1][1].name == "read"


@pytest.mark.parametrize(
    "headers",
    [
        WRONG,
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": ""},
        {"Authorization": "Basic eDp5"},
        {"Authorization": "key-read"},
        {"Authorization": "Bearer wrong", "X-Api-Key": "key-read"},
        {"X-Api-Key": ""},
        {"Authorization": "Bearer kéy"},
    ],
    ids=str,
)
def test_a_bad_credential_is_401_also_on_a_trusted_server(world, headers):
    for trusted in (False, True):
        world.door.trusted = trusted
        world.ask("GET", "/sessions", headers=headers).problem(401, "unauthenticated")
    assert world.calls == []


def test_two_credentials_of_one_kind_are_refused(world):
    twice = b"Authorization: Bearer key-read\r\nAuthorization: Bearer user-D1\r\n"
    world.connect().get(b"/api/v2/sessions", twice).problem(401, "unauthenticated")
    twice = b"X-Api-Key: key-read\r\nX-Api-Key: key-read\r\n"
    world.connect().get(b"/api/v2/sessions", twice).problem(401, "unauthenticated")


def test_a_trusted_server_takes_nobody_for_a_service(world):
    world.door.trusted = True
    assert world.ask("GET", "/sessions", headers={}).status == 200
    assert world.calls[-1][1] is TRUSTED


def test_a_foreign_page_changes_nothing_on_a_trusted_server():
    world = World(allowed_origins=["https://app.example"])
    world.door.trusted = True
    foreign = {"Origin": "https://evil.example"}
    world.ask("PUT", "/sessions/s/read", headers=foreign, form="user_id=D1").problem(
        403, "forbidden"
    )
    assert world.calls == []
    for origin in ("https://app.example", "http://127.0.0.1:3000"):
        assert world.ask("PUT", "/sessions/s/read", headers={"Origin": origin}).status == 200
    assert world.ask("PUT", "/sessions/s/read", headers={**KEY, **foreign}).status == 200
    assert world.ask("GET", "/sessions", headers=foreign).status == 200


@pytest.mark.parametrize(
    ("method", "path", "least"),
    [
        ("GET", "/sessions", "read"),
        ("HEAD", "/sessions", "read"),
        ("PUT", "/sessions/s/read", "write"),
        ("DELETE", "/sessions/s/sticky", "write"),
        ("PUT", "/users/u1", "admin"),
    ],
)
def test_scopes(world, method, path, least):
    scopes = ["read", "write", "admin"]
    for scope in scopes:
        reply = world.ask(method, path, headers={"X-Api-Key": f"key-{scope}"})
        if scopes.index(scope) >= scopes.index(least):
            assert reply.status in {200, 201}
        else:
            reply.problem(403, "missing_scope")


def test_users_are_not_judged_by_scope(world):
    assert world.ask("PUT", "/sessions/s1/read", headers=USER).status == 200
    assert world.calls[-1][1].user_id == "D1"


def test_a_users_requests_are_limited_and_a_services_are_not(world):
    for _ in range(60):
        assert world.ask("GET", "/sessions", headers=USER).status == 200
    reply = world.ask("GET", "/sessions", headers=USER)
    reply.problem(429, "rate_limited")
    assert reply.one("retry-after") == "1"
    assert world.ask("GET", "/sessions", headers={"Authorization": "Bearer user-D2"}).status == 200
    world.clock.advance(1)
    assert world.ask("GET", "/sessions", headers=USER).status == 200
    for _ in range(70):
        assert world.ask("GET", "/sessions", headers=KEY).status == 200


def test_refused_credentials_are_limited_and_good_ones_pass(world):
    for _ in range(5):
        world.ask("GET", "/sessions", headers=WRONG).problem(401, "unauthenticated")
    reply = world.ask("GET", "/sessions", headers=WRONG)
    reply.problem(429, "rate_limited")
    assert 1 <= int(reply.one("retry-after")) <= 12
    assert world.ask("GET", "/sessions", headers=USER).status == 200
    world.ask("GET", "/sessions", headers={}).problem(401, "unauthenticated")
    world.clock.advance(12)
    world.ask("GET", "/sessions", headers=WRONG).problem(401, "unauthenticated")


def _fails(world, forwarded):
    return world.ask("GET", "/sessions", headers={**WRONG, "X-Forwarded-For": forwarded}).status


def test_a_strangers_forwarded_for_does_not_count():
    world = World()
    assert [_fails(world, f"10.0.0.{n}") for n in range(6)] == [401] * 5 + [429]


def test_behind_a_proxy_the_rightmost_untrusted_address_counts():
    world = World(trusted_proxies=["127.0.0.1", "10.0.0.0/8"])
    spoofed = [_fails(world, f"1.2.3.{n}, 203.0.113.9, 10.1.1.1") for n in range(6)]
    assert spoofed == [401] * 5 + [429]
    assert _fails(world, "203.0.113.10, 10.1.1.1") == 401
    assert _fails(world, "203.0.113.9:4711") == 429
    assert _fails(world, "::ffff:203.0.113.9") == 429


def test_an_ipv6_client_is_its_network():
    world = World(trusted_proxies=["127.0.0.1"])
    got = [_fails(world, f"2001:db8:1:2::{n}") for n in range(1, 7)]
    assert got == [401] * 5 + [429]
    assert _fails(world, "[2001:db8:1:3::1]:443") == 401


@pytest.mark.parametrize("forwarded", ["", "unknown", ",,", "x, y", "\xe9"])
def test_nonsense_in_forwarded_for_is_the_proxys_own_address(forwarded):
    world = World(trusted_proxies=["127.0.0.1"])
    assert [_fails(world, forwarded) for _ in range(6)] == [401] * 5 + [429]


def test_a_proxy_that_is_no_address_is_an_error_at_start():
    with pytest.raises(ValueError, match="proxy"):
        World(trusted_proxies=["proxy"])
