"""Which HTTP status each error of the domain has, and how it looks on the wire (page 2.1).

The dispatch calls it; errors themselves know no status. It refuses to know routes and requests.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from imd.domain.errors import (
    BadRequest,
    Conflict,
    Forbidden,
    ImError,
    InvalidInput,
    NotFound,
    RateLimited,
    TooLarge,
    Unauthenticated,
    Unavailable,
    UnsupportedMediaType,
)
from imd.wire.codec import encode


class PathNotFound(NotFound):
    """No route has this path; told to anyone."""

    sentence = "There is no such path."


class MethodNotAllowed(ImError):
    """The path exists and this verb is not one of its own; ``allow`` is the header's text."""

    code = "method_not_allowed"
    sentence = "The path does not have this method."

    def __init__(self, allow: bytes) -> None:
        super().__init__()
        self.allow = allow


class UriTooLong(ImError):
    """The request line is longer than the channel reads."""

    code = "uri_too_long"
    sentence = "The request line is too long."


class Internal(ImError):
    """Something nobody foresaw; the log has the rest under the request's id."""

    code = "internal"
    sentence = "The server failed to carry out the request."


#: error class -> status; a class that is not named here has its nearest ancestor's
STATUSES: Mapping[type[ImError], int] = {
    BadRequest: 400,
    Unauthenticated: 401,
    Forbidden: 403,
    NotFound: 404,
    MethodNotAllowed: 405,
    Conflict: 409,
    TooLarge: 413,
    UriTooLong: 414,
    UnsupportedMediaType: 415,
    InvalidInput: 422,
    RateLimited: 429,
    Internal: 500,
    Unavailable: 503,
}


def status_of(kind: type[ImError]) -> int:
    """The status of an error class; LookupError when the table has no ancestor of it."""
    for ancestor in kind.__mro__:
        if ancestor in STATUSES:
            return STATUSES[ancestor]
    raise LookupError(f"no HTTP status for {kind.__name__}")


TITLES = {status: HTTPStatus(status).phrase for status in STATUSES.values()}
TITLES[413], TITLES[414] = "Content Too Large", "URI Too Long"
TITLES[422] = "Unprocessable Content"

Headers = tuple[tuple[bytes, bytes], ...]


def problem(error: ImError) -> tuple[int, bytes, Headers]:
    """The status, RFC 9457 body and further headers of a refusal."""
    status = status_of(type(error))
    body: dict[str, Any] = {
        **error.extra,
        "type": "about:blank",
        "title": TITLES[status],
        "status": status,
        "detail": error.detail,
        "code": error.code,
    }
    if error.errors:
        body["errors"] = [{"field": e.field, "message": e.message} for e in error.errors]
    return status, encode(body), _headers_of(error)


def _headers_of(error: ImError) -> Headers:
    if isinstance(error, MethodNotAllowed):
        return ((b"Allow", error.allow),)
    if isinstance(error, Unauthenticated):
        return ((b"WWW-Authenticate", b"Bearer"),)
    if error.retry_after is not None:
        return ((b"Retry-After", b"%d" % max(1, math.ceil(error.retry_after))),)
    return ()
