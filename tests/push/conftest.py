"""Fixtures of the push room."""

from __future__ import annotations

import pytest_twisted

from tests.push.world import World
from tests.storage.ground import (
    migrated_postgres,
    migrated_sqlite,
    migrated_url,
    postgres_copy,
    sqlite_copy,
)

__all__ = ["migrated_postgres", "migrated_sqlite", "migrated_url", "postgres_copy", "sqlite_copy"]


@pytest_twisted.async_yield_fixture
async def world(migrated_url):
    """On each kind of database in turn."""
    opened = await World(migrated_url).open()
    yield opened
    await opened.close()


@pytest_twisted.async_yield_fixture
async def quick(sqlite_copy):
    """On SQLite only, for what does not concern the database."""
    opened = await World(sqlite_copy).open()
    yield opened
    await opened.close()
