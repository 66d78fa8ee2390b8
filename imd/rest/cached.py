"""A file in memory, as browsers and caches want it: an ETag, 304, and compressed where that helps.

``pages`` makes one for each file that it serves; what is computed here is computed once, at start.
It knows neither paths nor who may read.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from typing import NamedTuple

from imd.rest.errors import Headers
from imd.rest.replies import Reply
from imd.wire.fields import Request

_TAGS = re.compile(r'"[^"]*"')
_ACCEPTED = re.compile(r"\s*(?:gzip|\*)\s*(?:;\s*q=([0-9.]+)\s*)?", re.IGNORECASE)


class CacheRequest(Request, frozen=True):
    """What a browser says of the copy that it has, and of what it can unpack."""

    from_headers = {"If-None-Match": "if_none_match", "Accept-Encoding": "accept_encoding"}
    if_none_match: str | None = None
    accept_encoding: str | None = None


class _Form(NamedTuple):
    body: bytes
    tag: str
    headers: Headers


class Cached:
    """One file in its plain and, where that is smaller, its compressed form.

    A strong ETag names bytes, so each form has its own.
    """

    def __init__(self, body: bytes, kind: bytes, headers: Headers) -> None:
        self._kind = kind
        digest = hashlib.sha256(body + kind).hexdigest()[:32]
        shared = (*headers, (b"Vary", b"Accept-Encoding"))
        self._plain = _form(body, f'"{digest}"', shared)
        packed = gzip.compress(body, 9, mtime=0)
        self._packed = self._plain
        if len(packed) < len(body):
            more = (*shared, (b"Content-Encoding", b"gzip"))
            self._packed = _form(packed, f'"{digest}-gzip"', more)

    def reply(self, request: CacheRequest) -> Reply:
        """The file, or 304 where the caller has this very form already."""
        form = self._packed if _takes_gzip(request.accept_encoding) else self._plain
        if _has(request.if_none_match, form.tag):
            headers = tuple(h for h in form.headers if h[0] != b"Content-Encoding")
            return Reply(304, b"", headers, self._kind)
        return Reply(200, form.body, form.headers, self._kind)


def _form(body: bytes, tag: str, headers: Headers) -> _Form:
    return _Form(body, tag, (*headers, (b"ETag", tag.encode())))


def _takes_gzip(accepted: str | None) -> bool:
    for part in (accepted or "").split(","):
        found = _ACCEPTED.fullmatch(part)
        if found:
            return (found[1] or "1").strip("0.") != ""
    return False


def _has(given: str | None, tag: str) -> bool:
    """Whether If-None-Match names the tag; a weak mark does not matter here (RFC 9110, 13.1.2)."""
    return given is not None and (given.strip() == "*" or tag in _TAGS.findall(given))
