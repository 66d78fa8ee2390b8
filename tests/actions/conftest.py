"""Fixtures of the actions room: the verbs over a real store, with recording stand-ins around it."""

from __future__ import annotations

import pytest_twisted

from tests.actions.household import Household
from tests.actions.topic_world import Town
from tests.storage.ground import (
    Ground,
    HandClock,
    ground,
    migrated_postgres,
    migrated_sqlite,
    migrated_url,
    postgres_copy,
    sqlite_copy,
)

__all__ = [
    "ground",
    "migrated_postgres",
    "migrated_sqlite",
    "migrated_url",
    "postgres_copy",
    "sqlite_copy",
]


@pytest_twisted.async_yield_fixture
async def home(migrated_url):
    """A whole house on each kind of database in turn."""
    opened = await Ground(migrated_url, HandClock()).open()
    yield Household(opened)
    await opened.close()


@pytest_twisted.async_yield_fixture
async def town(migrated_url):
    """The verbs on topics, on each kind of database in turn."""
    opened = await Ground(migrated_url, HandClock()).open()
    yield Town(opened)
    await opened.close()
