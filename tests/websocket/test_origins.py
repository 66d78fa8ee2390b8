"""Page 3.1: which pages may open a socket, on exact strings."""

from __future__ import annotations

import pytest

from imd.websocket.origins import origin_allowed

LISTED = frozenset({"https://portal.example", "http://localhost:8080"})


@pytest.mark.parametrize(
    ("origins", "hosts", "scheme", "allowed", "verdict"),
    [
        ([], ["im.test"], "http", LISTED, True),
        (["http://im.test"], ["im.test"], "http", LISTED, True),
        (["http://im.test:3000"], ["im.test:3000"], "http", LISTED, True),
        (["http://im.test"], ["IM.test"], "http", LISTED, True),
        (["https://im.test"], ["im.test"], "https", LISTED, True),
        (["https://portal.example"], ["im.test"], "http", LISTED, True),
        (["http://localhost:8080"], ["im.test"], "http", LISTED, True),
        (["http://im.test"], ["im.test"], "https", LISTED, False),
        (["http://im.test:3001"], ["im.test:3000"], "http", LISTED, False),
        (["http://portal.example"], ["im.test"], "http", LISTED, False),
        (["https://portal.example.evil"], ["im.test"], "http", LISTED, False),
        (["https://evil.portal.example"], ["im.test"], "http", LISTED, False),
        (["null"], ["im.test"], "http", LISTED, False),
        (["null"], ["im.test"], "http", frozenset({"null"}), True),
        (["null"], ["im.test"], "http", frozenset({"*"}), False),
        (["http://evil"], ["im.test"], "http", frozenset({"*"}), True),
        (["http://im.test", "http://im.test"], ["im.test"], "http", LISTED, False),
        (["http://im.test"], ["im.test", "evil"], "http", LISTED, False),
        ([""], ["im.test"], "http", LISTED, False),
        (["http://im.test/"], ["im.test"], "http", LISTED, False),
        (["garbage"], ["im.test"], "http", LISTED, False),
    ],
)
def test_origin(
    origins: list[str], hosts: list[str], scheme: str, allowed: frozenset[str], verdict: bool
) -> None:
    assert origin_allowed(origins, hosts, scheme, allowed) is verdict
