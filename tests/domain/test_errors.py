"""Page 2.1: every error has a stable word, a sentence, and nothing that should not leave."""

from __future__ import annotations

import re

from imd.domain import errors
from imd.domain.errors import FieldError, ImError, InvalidInput, RateLimited, Unavailable

CODES = {
    "bad_json", "bad_request", "conflict", "forbidden", "forbidden_user", "idempotency_conflict",
    "internal", "invalid", "message_not_found", "missing_scope", "no_device", "no_live_topic",
    "not_a_member", "not_editable", "not_found", "not_the_sender",
    "rate_limited", "recall_window_passed", "reserved_id", "server_only_type", "session_not_found",
    "session_type_conflict", "session_type_retired", "too_large", "topic_active", "topic_ended",
    "topic_id_taken", "topic_not_found", "topics_not_allowed", "unauthenticated", "unavailable",
    "unsupported_media_type", "user_not_found", "version_conflict",
}  # fmt: skip
FAMILY = [
    kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, ImError)
]


def test_the_words_are_stable_and_each_has_one_class() -> None:
    words = [kind.code for kind in FAMILY]
    assert set(words) == CODES
    assert len(words) == len(set(words))
    assert all(re.fullmatch(r"[a-z_]+", word) for word in words)
    assert all(kind.sentence.endswith(".") for kind in FAMILY)


def test_invalid_input_names_its_fields() -> None:
    error = InvalidInput(FieldError("a", "bad"), FieldError("b", "worse"))
    assert [field for field, _ in error.errors] == ["a", "b"]
    assert error.detail == "a: bad; b: worse"


def test_who_must_wait_is_told_how_long() -> None:
    assert RateLimited(0.5).retry_after == 0.5
    assert Unavailable().retry_after == 1.0
    assert ImError().retry_after is None
