"""Page 3: what is plainly in order is taken as it was read; the rest is Autobahn's to refuse."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from twisted.web.http_headers import Headers

from imd.websocket.handshake import Offer, offer_of

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
PLAIN = {
    "Host": ["im.example:3000"],
    "Upgrade": ["websocket"],
    "Connection": ["Upgrade"],
    "Sec-WebSocket-Key": [KEY],
    "Sec-WebSocket-Version": ["13"],
}


def asked(changes: dict[str, list[str]] | None = None, **more: Any) -> Any:
    headers = Headers(
        {name: values for name, values in (PLAIN | (changes or {})).items() if values}
    )
    plain = {"method": b"GET", "clientproto": b"HTTP/1.1", "uri": b"/ws"}
    channel = SimpleNamespace(transport=object())
    return SimpleNamespace(requestHeaders=headers, **{**plain, "channel": channel, **more})


def test_a_plain_request_is_an_offer() -> None:
    assert offer_of(asked()) == Offer(KEY, [], "")


def test_what_a_browser_says_more_is_part_of_the_offer() -> None:
    said = {
        "Connection": ["keep-alive, Upgrade"],
        "Upgrade": ["WebSocket"],
        "Sec-WebSocket-Protocol": ["imd.v2, other", "third"],
        "Sec-WebSocket-Extensions": ["permessage-deflate; client_max_window_bits"],
    }
    expected = Offer(
        KEY, ["imd.v2", "other", "third"], "permessage-deflate; client_max_window_bits"
    )
    assert offer_of(asked(said)) == expected


@pytest.mark.parametrize("host", ["im.example", "127.0.0.1:80", "[::1]", "[fe80::1]:3000"])
def test_any_host_with_or_without_a_port_is_in_order(host: str) -> None:
    assert offer_of(asked({"Host": [host]})) is not None


@pytest.mark.parametrize(
    "changes",
    [
        {"Host": []},
        {"Host": ["a", "b"]},
        {"Host": ["a:port"]},
        {"Upgrade": []},
        {"Upgrade": ["h2c"]},
        {"Connection": []},
        {"Connection": ["keep-alive"]},
        {"Sec-WebSocket-Key": []},
        {"Sec-WebSocket-Key": [KEY, KEY]},
        {"Sec-WebSocket-Key": [KEY[:-1]]},
        {"Sec-WebSocket-Key": ["d*" + KEY[2:]]},
        {"Sec-WebSocket-Version": []},
        {"Sec-WebSocket-Version": ["8"]},
        {"Sec-WebSocket-Version": ["13", "13"]},
        {"Sec-WebSocket-Protocol": ["imd.v2, imd.v2"]},
        {"Content-Length": ["3"]},
        {"Transfer-Encoding": ["chunked"]},
    ],
)
def test_what_is_not_plainly_in_order_is_none(changes: dict[str, list[str]]) -> None:
    assert offer_of(asked(changes)) is None


@pytest.mark.parametrize(
    "more",
    [
        {"method": b"POST"},
        {"clientproto": b"HTTP/1.0"},
        {"uri": b"/ws#part"},
        {"channel": SimpleNamespace(transport=None)},
    ],
)
def test_a_request_of_another_kind_is_none(more: dict[str, Any]) -> None:
    assert offer_of(asked(**more)) is None
