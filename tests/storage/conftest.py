"""Fixtures of the storage room."""

from __future__ import annotations

from tests.storage.ground import (
    ground,
    migrated_postgres,
    migrated_sqlite,
    migrated_url,
    postgres_copy,
    postgres_ground,
    sqlite_copy,
)

__all__ = [
    "ground",
    "migrated_postgres",
    "migrated_sqlite",
    "migrated_url",
    "postgres_copy",
    "postgres_ground",
    "sqlite_copy",
]
