"""Fixtures of the rest room."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from twisted.logger import LogEvent, globalLogPublisher

from tests.rest.world import World


@pytest.fixture
def world() -> World:
    """A REST side over fake actions, without origins or proxies."""
    return World()


@pytest.fixture
def logged() -> Iterator[list[LogEvent]]:
    """Every log event of the test."""
    events: list[LogEvent] = []

    def observe(event: LogEvent) -> None:
        events.append(event)

    globalLogPublisher.addObserver(observe)
    yield events
    globalLogPublisher.removeObserver(observe)
