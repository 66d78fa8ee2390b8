"""Raw requests and the one verdict each must get, whole and byte by byte.

Each refused vector is followed by a canary request which must never be executed; after each
accepted one the canary must be.  A vector which leaves that open would be a smuggled request.
"""

from __future__ import annotations

import pytest

from imd.rest.channel import Limits
from tests.rest.test_channel import CANARY, HOST, Peer, assert_refused

P = b"POST / HTTP/1.1\r\n" + HOST
G = b"GET / HTTP/1.1\r\n"
CHUNKED = P + b"Transfer-Encoding: chunked\r\n\r\n"

BAD = {
    # Content-Length.
    "cl-twice-equal": P + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    "cl-twice-different": P + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "cl-twice-zero": P + b"Content-Length: 0\r\nContent-Length: 0\r\n\r\n",
    "cl-list": P + b"Content-Length: 5, 5\r\n\r\nhello",
    "cl-plus": P + b"Content-Length: +3\r\n\r\nabc",
    "cl-minus": P + b"Content-Length: -1\r\n\r\n",
    "cl-underscore": P + b"Content-Length: 1_0\r\n\r\n0123456789",
    "cl-hex": P + b"Content-Length: 0x5\r\n\r\nhello",
    "cl-word": P + b"Content-Length: five\r\n\r\nhello",
    "cl-float": P + b"Content-Length: 5.0\r\n\r\nhello",
    "cl-empty": P + b"Content-Length:\r\n\r\n",
    "cl-inner-space": P + b"Content-Length: 1 0\r\n\r\n",
    "cl-quoted": P + b'Content-Length: "5"\r\n\r\nhello',
    "cl-unicode-digit": P + b"Content-Length: \xd9\xa5\r\n\r\nhello",
    "cl-vertical-tab": P + b"Content-Length: \x0b5\r\n\r\nhello",
    "cl-space-before-colon": P + b"Content-Length : 5\r\n\r\nhello",
    "cl-folded": P + b"Content-Length:\r\n 5\r\n\r\nhello",
    "cl-and-te": P + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "te-and-cl": P + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "cl-and-te-identity": P + b"Content-Length: 5\r\nTransfer-Encoding: identity\r\n\r\nhello",
    # Transfer-Encoding.
    "te-xchunked": P + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "te-identity": P + b"Transfer-Encoding: identity\r\n\r\n",
    "te-empty": P + b"Transfer-Encoding:\r\n\r\n",
    "te-gzip-chunked": P + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "te-chunked-chunked": P + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "te-trailing-comma": P + b"Transfer-Encoding: chunked,\r\n\r\n0\r\n\r\n",
    "te-parameter": P + b"Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n",
    "te-quoted": P + b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n',
    "te-twice": P + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "te-chunked-identity": (
        P + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n"
    ),
    "te-space-before-colon": P + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "te-tab-before-colon": P + b"Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n",
    "te-leading-space": P + b" Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "te-vertical-tab": P + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "te-nul": P + b"Transfer-Encoding: chunked\0\r\n\r\n0\r\n\r\n",
    "te-folded": P + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "te-after-bare-lf": P + b"X: y\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "te-after-bare-cr": P + b"X: y\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "te-in-http-1.0": b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    # Chunks.
    "chunk-0x": CHUNKED + b"0x3\r\nabc\r\n0\r\n\r\n",
    "chunk-plus": CHUNKED + b"+3\r\nabc\r\n0\r\n\r\n",
    "chunk-minus": CHUNKED + b"-3\r\nabc\r\n0\r\n\r\n",
    "chunk-underscore": CHUNKED + b"1_0\r\n0123456789abcdef\r\n0\r\n\r\n",
    "chunk-empty-size": CHUNKED + b"\r\nabc\r\n0\r\n\r\n",
    "chunk-space-before": CHUNKED + b" 3\r\nabc\r\n0\r\n\r\n",
    "chunk-space-after": CHUNKED + b"3 \r\nabc\r\n0\r\n\r\n",
    "chunk-too-many-digits": CHUNKED + b"00000000000000003\r\nabc\r\n0\r\n\r\n",
    "chunk-not-hex": CHUNKED + b"g\r\nabc\r\n0\r\n\r\n",
    "chunk-bare-lf": CHUNKED + b"3\nabc\r\n0\r\n\r\n",
    "chunk-bare-lf-in-extension": CHUNKED + b"3;a\nb\r\nabc\r\n0\r\n\r\n",
    "chunk-bare-cr-in-extension": CHUNKED + b"3;a\rb\r\nabc\r\n0\r\n\r\n",
    "chunk-nul-in-extension": CHUNKED + b"3;a\0\r\nabc\r\n0\r\n\r\n",
    "chunk-too-long": CHUNKED + b"3\r\nabcd\r\n0\r\n\r\n",
    "chunk-too-short": CHUNKED + b"3\r\nab\r\n0\r\n\r\n",
    "chunk-end-bare-lf": CHUNKED + b"3\r\nabc\n0\r\n\r\n",
    "chunk-end-two-other-bytes": CHUNKED + b"3\r\nabcXX0\r\n\r\n",
    "chunk-line-too-long": CHUNKED + b"3;" + b"x" * 300 + b"\r\nabc\r\n0\r\n\r\n",
    "trailer-no-field": CHUNKED + b"0\r\nnonsense\r\n\r\n",
    "trailer-folded": CHUNKED + b"0\r\nA: b\r\n c\r\n\r\n",
    "trailer-bare-lf": CHUNKED + b"0\r\nA: b\n\r\n\r\n",
    "trailer-request": CHUNKED + b"0\r\nGET /canary HTTP/1.1\r\nHost: im.example\r\n\r\n",
    # Host.
    "host-missing": G + b"\r\n",
    "host-twice": G + HOST + HOST + b"\r\n",
    "host-twice-http-1.0": b"GET / HTTP/1.0\r\n" + HOST + HOST + b"\r\n",
    "host-empty": G + b"Host:\r\n\r\n",
    "host-list": G + b"Host: a, b\r\n\r\n",
    "host-space": G + b"Host: a b\r\n\r\n",
    "host-path": G + b"Host: a/b\r\n\r\n",
    "host-userinfo": G + b"Host: a@b\r\n\r\n",
    "host-empty-label": G + b"Host: a..b\r\n\r\n",
    "host-long-label": G + b"Host: " + b"a" * 64 + b"\r\n\r\n",
    "host-long": G + b"Host: " + b"a." * 200 + b"\r\n\r\n",
    "host-bad-port": G + b"Host: a:80x\r\n\r\n",
    "host-markup": G + b"Host: <script>\r\n\r\n",
    "host-utf8": G + "Host: \u533b\u9662\r\n\r\n".encode(),
    # Fields.
    "folded": G + HOST + b"X: a\r\n b\r\n\r\n",
    "folded-tab": G + HOST + b"X: a\r\n\tb\r\n\r\n",
    "folded-first": G + b" X: a\r\n" + HOST + b"\r\n",
    "no-colon": G + HOST + b"nonsense\r\n\r\n",
    "no-name": G + HOST + b": x\r\n\r\n",
    "name-space": G + HOST + b"X Y: 1\r\n\r\n",
    "name-space-before-colon": G + HOST + b"X : 1\r\n\r\n",
    "name-parenthesis": G + HOST + b"X(: 1\r\n\r\n",
    "name-high-byte": G + HOST + b"X\xff: 1\r\n\r\n",
    "name-nul": G + HOST + b"X\0: 1\r\n\r\n",
    "value-nul": G + HOST + b"X: a\0b\r\n\r\n",
    "value-bare-cr": G + HOST + b"X: a\rb\r\n\r\n",
    "value-bare-cr-at-end": G + HOST + b"X: a\r\r\n\r\n",
    "value-bare-lf": G + HOST + b"X: a\nb\r\n\r\n",
    "value-escape": G + HOST + b"X: \x1b[2J\r\n\r\n",
    "value-delete": G + HOST + b"X: \x7f\r\n\r\n",
    "bare-lf-throughout": b"GET / HTTP/1.1\nHost: im.example\n\n",
    "bare-lf-after-request-line": b"GET / HTTP/1.1\n" + HOST + b"\r\n",
    "bare-lf-empty-line": G + HOST + b"\n",
    "lf-cr": b"GET / HTTP/1.1\n\rHost: im.example\n\r\n\r",
    # Request line.
    "two-blank-lines": b"\r\n\r\n" + G + HOST + b"\r\n",
    "http-0.9": b"GET /\r\n\r\n",
    "no-target": b"GET HTTP/1.1\r\n" + HOST + b"\r\n",
    "double-space": b"GET  / HTTP/1.1\r\n" + HOST + b"\r\n",
    "space-in-target": b"GET /a b HTTP/1.1\r\n" + HOST + b"\r\n",
    "tab-separated": b"GET\t/\tHTTP/1.1\r\n" + HOST + b"\r\n",
    "leading-space": b" GET / HTTP/1.1\r\n" + HOST + b"\r\n",
    "trailing-space": b"GET / HTTP/1.1 \r\n" + HOST + b"\r\n",
    "method-not-token": b"G@T / HTTP/1.1\r\n" + HOST + b"\r\n",
    "method-nul": b"G\0T / HTTP/1.1\r\n" + HOST + b"\r\n",
    "target-high-byte": b"GET /\xff HTTP/1.1\r\n" + HOST + b"\r\n",
    "target-utf8": "GET /\u533b HTTP/1.1\r\n".encode() + HOST + b"\r\n",
    "target-nul": b"GET /\0 HTTP/1.1\r\n" + HOST + b"\r\n",
    "target-fragment": b"GET /a#b HTTP/1.1\r\n" + HOST + b"\r\n",
    "target-relative": b"GET canary HTTP/1.1\r\n" + HOST + b"\r\n",
    "target-star": b"GET * HTTP/1.1\r\n" + HOST + b"\r\n",
    "target-other-host": b"GET http://evil.example/ HTTP/1.1\r\n" + HOST + b"\r\n",
    "target-userinfo": b"GET http://im.example@evil/ HTTP/1.1\r\n" + HOST + b"\r\n",
    "target-other-scheme": b"GET file:///etc/passwd HTTP/1.1\r\n" + HOST + b"\r\n",
    "connect": b"CONNECT im.example:443 HTTP/1.1\r\n" + HOST + b"\r\n",
    "version-lower-case": b"GET / http/1.1\r\n" + HOST + b"\r\n",
    "version-long": b"GET / HTTP/1.10\r\n" + HOST + b"\r\n",
    "version-word": b"GET / HTCPCP/1.0\r\n" + HOST + b"\r\n",
    "version-comma": b"GET / HTTP/1,1\r\n" + HOST + b"\r\n",
    "tls-hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
}

OTHER = {
    "declared-10^15": (P + b"Content-Length: 1000000000000000\r\n\r\n", 413, "too_large"),
    "declared-2^63": (P + b"Content-Length: 9223372036854775808\r\n\r\n", 413, "too_large"),
    "declared-5000-digits": (P + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n", 413, "too_large"),
    "declared-limit-and-1": (P + b"Content-Length: 262145\r\n\r\n", 413, "too_large"),
    "chunk-limit-and-1": (CHUNKED + b"40001\r\n", 413, "too_large"),
    "chunk-2^64-less-1": (CHUNKED + b"FFFFFFFFFFFFFFFF\r\n", 413, "too_large"),
    "chunks-over-limit": (CHUNKED + b"100\r\n" + b"x" * 256 + b"\r\n3ff01\r\n", 413, "too_large"),
    "header-20k": (G + HOST + b"X: " + b"a" * 20_000 + b"\r\n\r\n", 431, "headers_too_large"),
    "name-20k": (G + HOST + b"a" * 20_000 + b": 1\r\n\r\n", 431, "headers_too_large"),
    "fields-101": (G + HOST + b"X: 1\r\n" * 100 + b"\r\n", 431, "headers_too_large"),
    "uri-9k": (b"GET /" + b"a" * 9_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414, "uri_too_long"),
    "method-9k": (b"A" * 9_000 + b" / HTTP/1.1\r\n" + HOST + b"\r\n", 414, "uri_too_long"),
    "http-2-preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "version_not_supported"),
    "http-1.2": (b"GET / HTTP/1.2\r\n" + HOST + b"\r\n", 400, "version_not_supported"),
    "http-3.0": (b"GET / HTTP/3.0\r\n" + HOST + b"\r\n", 400, "version_not_supported"),
    "http-0.9-named": (b"GET / HTTP/0.9\r\n" + HOST + b"\r\n", 400, "version_not_supported"),
}

GOOD = {
    "plain": (G + HOST + b"\r\n", b"GET", b"/", b""),
    "blank-line-before": (b"\r\n" + G + HOST + b"\r\n", b"GET", b"/", b""),
    "names-any-case": (G + b"hOsT: im.example\r\nx-a:b\r\n\r\n", b"GET", b"/", b""),
    "value-padding": (G + b"Host:\t im.example \t\r\n\r\n", b"GET", b"/", b""),
    "value-empty": (G + HOST + b"X:\r\n\r\n", b"GET", b"/", b""),
    "value-tab-and-high-bytes": (G + HOST + b"X: a\tb \xe5\x8c\xbb\r\n\r\n", b"GET", b"/", b""),
    "value-colons": (G + HOST + b"X: a:b::c\r\n\r\n", b"GET", b"/", b""),
    "fields-100": (G + HOST + b"X: 1\r\n" * 99 + b"\r\n", b"GET", b"/", b""),
    "host-port": (G + b"Host: im.example:3000\r\n\r\n", b"GET", b"/", b""),
    "host-ipv4": (G + b"Host: 127.0.0.1:3000\r\n\r\n", b"GET", b"/", b""),
    "host-ipv6": (G + b"Host: [::1]:3000\r\n\r\n", b"GET", b"/", b""),
    "host-final-dot": (G + b"Host: im.example.\r\n\r\n", b"GET", b"/", b""),
    "method-unknown": (b"BREW / HTTP/1.1\r\n" + HOST + b"\r\n", b"BREW", b"/", b""),
    "method-lower-case": (b"get / HTTP/1.1\r\n" + HOST + b"\r\n", b"get", b"/", b""),
    "target-query": (
        b'GET /a%20b?q=%E5&[]=|{}\\^`"<> HTTP/1.1\r\n' + HOST + b"\r\n",
        b"GET",
        b'/a%20b?q=%E5&[]=|{}\\^`"<>',
        b"",
    ),
    "target-double-slash": (b"GET //x HTTP/1.1\r\n" + HOST + b"\r\n", b"GET", b"//x", b""),
    "target-absolute": (
        b"GET http://IM.example/a HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET",
        b"/a",
        b"",
    ),
    "target-absolute-bare": (
        b"GET http://im.example?q HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET",
        b"/?q",
        b"",
    ),
    "uri-limit": (
        b"GET /" + b"a" * 8_178 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET",
        b"/" + b"a" * 8_178,
        b"",
    ),
    "cl-0": (P + b"Content-Length: 0\r\n\r\n", b"POST", b"/", b""),
    "cl-5": (P + b"Content-Length: 5\r\n\r\nhello", b"POST", b"/", b"hello"),
    "cl-leading-zeros": (P + b"Content-Length: 0005\r\n\r\nhello", b"POST", b"/", b"hello"),
    "cl-body-is-a-request": (
        P + b"Content-Length: 24\r\n\r\nGET /smuggled HTTP/1.1\r\n",
        b"POST",
        b"/",
        b"GET /smuggled HTTP/1.1\r\n",
    ),
    "get-with-body": (G + HOST + b"Content-Length: 5\r\n\r\nhello", b"GET", b"/", b"hello"),
    "no-length-no-body": (P + b"\r\n", b"POST", b"/", b""),
    "chunked": (CHUNKED + b"5\r\nhello\r\n0\r\n\r\n", b"POST", b"/", b"hello"),
    "chunked-upper-case": (
        P + b"Transfer-Encoding: CHUNKED\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"POST",
        b"/",
        b"hello",
    ),
    "chunked-empty": (CHUNKED + b"0\r\n\r\n", b"POST", b"/", b""),
    "chunked-zeros": (CHUNKED + b"0005\r\nhello\r\n000\r\n\r\n", b"POST", b"/", b"hello"),
    "chunked-hex": (CHUNKED + b"aB\r\n" + b"x" * 171 + b"\r\n0\r\n\r\n", b"POST", b"/", b"x" * 171),
    "chunked-extension": (
        CHUNKED + b'3;a=b;c="d e"\r\nabc\r\n2;x\r\nde\r\n0;last\r\n\r\n',
        b"POST",
        b"/",
        b"abcde",
    ),
    "chunked-trailer": (
        CHUNKED + b"3\r\nabc\r\n0\r\nX: 1\r\nContent-Length: 9\r\n\r\n",
        b"POST",
        b"/",
        b"abc",
    ),
    "chunked-body-is-chunks": (
        CHUNKED + b"5\r\n0\r\n\r\n\r\n0\r\n\r\n",
        b"POST",
        b"/",
        b"0\r\n\r\n",
    ),
    "body-limit": (
        P + b"Content-Length: 262144\r\n\r\n" + b"x" * 262_144,
        b"POST",
        b"/",
        b"x" * 262_144,
    ),
    "te-header-is-not-te": (G + HOST + b"TE: trailers\r\n\r\n", b"GET", b"/", b""),
}


@pytest.mark.parametrize("piece", [0, 1, 7])
@pytest.mark.parametrize("name", BAD)
def test_ambiguous_or_malformed_is_refused(name: str, piece: int) -> None:
    assert_refused(Peer().send(BAD[name] + CANARY, piece), 400, "bad_request")


@pytest.mark.parametrize("piece", [0, 997])
@pytest.mark.parametrize("name", OTHER)
def test_excess_or_foreign_is_refused(name: str, piece: int) -> None:
    raw, status, code = OTHER[name]
    assert_refused(Peer().send(raw + CANARY, piece), status, code)


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("name", GOOD)
def test_sound_requests_are_read_to_their_last_byte(name: str, whole: bool) -> None:
    raw, method, uri, body = GOOD[name]
    piece = 0 if whole else 1 if len(raw) < 2_000 else 1_013
    peer = Peer().send(raw + CANARY, piece)
    assert peer.seen() == [(method, uri, body), (b"GET", b"/canary", b"")]
    assert [answer.status for answer in peer.answers()] == [200, 200]
    assert not peer.closed


def test_options_star_is_answered_without_a_resource() -> None:
    peer = Peer().send(b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n" + CANARY)
    assert [answer.status for answer in peer.answers()] == [200, 200]
    assert len(peer.seen()) == 1


@pytest.mark.parametrize(
    "raw",
    [
        b"GET / HTTP/1.0\r\n\r\n",
        b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n" + HOST + b"\r\n",
        G + HOST + b"Connection: close\r\n\r\n",
        G + HOST + b"Connection: keep-alive\r\nConnection: Upgrade ,CLOSE\r\n\r\n",
    ],
)
def test_last_requests_of_a_connection(raw: bytes) -> None:
    peer = Peer().send(raw + CANARY)
    assert [uri for _, uri, _ in peer.seen()] == [b"/"]
    assert [answer.status for answer in peer.answers()] == [200]
    assert peer.closed


@pytest.mark.parametrize("size", [16_384, 16_385])
def test_head_limit_is_exact(size: int) -> None:
    start = G + HOST + b"X: "
    peer = Peer().send(start + b"a" * (size - len(start)) + b"\r\n\r\n")
    assert [answer.status for answer in peer.answers()] == [200 if size == 16_384 else 431]


def test_limits_are_those_of_the_site() -> None:
    limits = Limits(header_bytes=200, header_count=2, request_line=50, body=4)
    for raw, status in [
        (G + HOST + b"A: " + b"a" * 200 + b"\r\n\r\n", 431),
        (G + HOST + b"A: 1\r\nB: 2\r\n\r\n", 431),
        (b"GET /" + b"a" * 50 + b" HTTP/1.1\r\n\r\n", 414),
        (P + b"Content-Length: 5\r\n\r\n", 413),
        (P + b"Content-Length: 4\r\n\r\nabcd", 200),
    ]:
        assert Peer(limits).send(raw).answers()[0].status == status


@pytest.mark.parametrize("name", ["http-0.9", "cl-and-te", "chunk-0x", "host-missing"])
def test_refusals_do_not_repeat_what_was_sent(name: str) -> None:
    mark = b"nonesuch"
    peer = Peer().send(BAD[name].replace(b"/ HTTP", b"/" + mark + b" HTTP"))
    assert mark not in peer.wire.value()
