"""Fixtures of the rest room."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import pytest
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher

from tests.rest.world import World


@pytest.fixture
def world() -> World:
    """A REST side over fake actions, without origins or proxies."""
    return World()


@pytest.fixture
def logged() -> Iterator[list[LogEvent]]:
    """Every log event of the test."""
    events: list[LogEvent] = []
    observe = cast("ILogObserver", events.append)
    globalLogPublisher.addObserver(observe)
    yield events
    globalLogPublisher.removeObserver(observe)
