"""The eye of conftest on errors that nobody handled sees them."""

from __future__ import annotations

from twisted.internet.defer import Deferred, fail
from twisted.logger import LogEvent


def test_an_unhandled_deferred_is_seen(unhandled_errors: list[LogEvent]) -> None:
    deferred: Deferred[None] | None = fail(RuntimeError("left alone"))
    assert deferred is not None
    deferred = None
    assert len(unhandled_errors) == 1
    unhandled_errors.clear()


def test_a_handled_one_is_not(unhandled_errors: list[LogEvent]) -> None:
    fail(RuntimeError("taken care of")).addErrback(lambda failure: None)
    assert unhandled_errors == []
