"""Every error of the domain has a status, and a refusal says what page 2.1 promises."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from imd.domain import errors
from imd.domain.errors import FieldError, ImError
from imd.rest.errors import MethodNotAllowed, problem, status_of


def _family(kind: type[ImError]) -> Iterator[type[ImError]]:
    for child in kind.__subclasses__():
        yield child
        yield from _family(child)


FAMILY = sorted(
    {kind for kind in _family(ImError) if kind.__module__.startswith("imd.")},
    key=lambda kind: kind.__name__,
)

#: page 2.1 and the narrower codes of 2.3 to 2.7
CONTRACT = {
    "bad_json": 400, "unauthenticated": 401, "forbidden": 403, "forbidden_user": 403,
    "not_a_member": 403, "server_only_type": 403, "not_found": 404, "session_not_found": 404,
    "topic_not_found": 404, "message_not_found": 404, "user_not_found": 404,
    "method_not_allowed": 405, "session_type_conflict": 409, "topic_active": 409,
    "no_live_topic": 409, "topic_ended": 409, "topics_not_allowed": 409, "topic_id_taken": 409,
    "idempotency_conflict": 409, "not_editable": 409, "version_conflict": 409,
    "recall_window_passed": 409, "no_device": 409, "too_large": 413,
    "unsupported_media_type": 415, "invalid": 422, "reserved_id": 422,
    "session_type_retired": 422, "rate_limited": 429, "internal": 500, "unavailable": 503,
}  # fmt: skip


@pytest.mark.parametrize("kind", FAMILY, ids=lambda kind: kind.__name__)
def test_each_class_has_a_status(kind):
    assert 400 <= status_of(kind) <= 503
    assert re.fullmatch(r"[a-z][a-z_]*", kind.code)


def test_the_contracts_codes_have_their_statuses():
    found = {kind.code: status_of(kind) for kind in FAMILY}
    assert {code: found[code] for code in CONTRACT} == CONTRACT


def test_the_root_itself_is_nobodys_answer():
    with pytest.raises(LookupError):
        status_of(ImError)


def test_a_refusal_has_the_shape_of_rfc_9457():
    status, body, headers = problem(errors.TopicActive(topic_id="t1"))
    assert (status, headers) == (409, ())
    assert json.loads(body) == {
        "type": "about:blank",
        "title": "Conflict",
        "status": 409,
        "detail": "Another topic is live in this session.",
        "code": "topic_active",
        "topic_id": "t1",
    }


def test_further_members_never_hide_the_standard_ones():
    assert json.loads(problem(errors.Conflict(code="x", status=1))[1])["status"] == 409


def test_field_errors_are_listed():
    error = errors.InvalidInput(FieldError("a", "is required"), FieldError("b", "医"))
    body = json.loads(problem(error)[1])
    assert body["errors"] == [
        {"field": "a", "message": "is required"},
        {"field": "b", "message": "医"},
    ]


@pytest.mark.parametrize(("seconds", "said"), [(0.01, b"1"), (1.0, b"1"), (1.2, b"2"), (12, b"12")])
def test_retry_after_is_whole_seconds(seconds, said):
    assert problem(errors.RateLimited(seconds))[2] == ((b"Retry-After", said),)
    assert problem(errors.Unavailable(retry_after=seconds))[2] == ((b"Retry-After", said),)


def test_headers_that_belong_to_a_refusal():
    assert problem(errors.Unauthenticated())[2] == ((b"WWW-Authenticate", b"Bearer"),)
    assert problem(MethodNotAllowed(b"GET, HEAD"))[2] == ((b"Allow", b"GET, HEAD"),)
