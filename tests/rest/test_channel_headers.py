"""Fields of a request and its answer are as twisted.web has them, only quicker (page 2.1)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.web.http_headers import Headers, _NameEncoder
from twisted.web.server import Request

from imd.rest.channel import HardenedRequest, Limits
from imd.rest.channel_headers import KNOWN, KnownHeaders
from imd.rest.framing import _SPELLED, read_head
from tests.rest.test_channel import GET, Peer, Slow

SPELLINGS = [
    *sorted(KNOWN), *_NameEncoder._caseMappings, *_NameEncoder._caseMappings.values(),
    b"x-api-key", b"X-API-KEY", b"a--b", b"-", b"!x",
]  # fmt: skip


def test_names_are_spelled_as_twisted_does():
    assert _NameEncoder._caseMappings == _SPELLED
    framing = {b"Host", b"Content-Length", b"Transfer-Encoding"}
    for name in set(SPELLINGS) - framing:
        head = b"GET / HTTP/1.1\r\nHost: a\r\n" + name + b": v\r\n" + name.upper() + b":\tw "
        theirs = Headers({b"Host": [b"a"], name: [b"v", b"w"]})
        assert KnownHeaders.of(read_head(head, Limits()).fields) == theirs, name


def test_what_is_known_is_spelled_right():
    assert all(_NameEncoder().encode(name) == name for name in KNOWN)


@given(st.sampled_from(SPELLINGS), st.lists(st.binary(max_size=8), max_size=3))
def test_set_and_read_as_twisted_does(name: bytes, values: list[bytes]):
    ours, theirs = KnownHeaders(), Headers()
    for headers in (ours, theirs):
        headers.setRawHeaders(name, values)
    assert ours == theirs
    for asked in (name, name.lower(), name.decode("ascii").upper() if not values else name):
        assert ours.getRawHeaders(asked) == theirs.getRawHeaders(asked)
        assert ours.getRawHeaders(asked, [b"else"]) == theirs.getRawHeaders(asked, [b"else"])


@pytest.mark.parametrize("value", [b"a\r\nSet-Cookie: x", b"a\nb", b"a\rb"])
def test_a_value_cannot_begin_a_line(value: bytes):
    headers = KnownHeaders()
    headers.setRawHeaders(b"Content-Type", [value])
    (kept,) = headers.getRawHeaders(b"Content-Type")
    assert b"\r" not in kept and b"\n" not in kept


def test_a_request_has_all_that_twisteds_has():
    slow = Slow()
    peer = Peer(resource=slow).send(GET)
    (ours,) = slow.waiting
    theirs = Request(ours.channel)
    assert isinstance(ours, HardenedRequest)
    assert vars(theirs).keys() - vars(ours).keys() == set()
    peer.hang_up()
