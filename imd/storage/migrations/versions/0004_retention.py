"""Retention: legal holds, and what has to be remembered of what was deleted."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TABLES = (
    """
    CREATE TABLE retention_holds (
        kind text NOT NULL,
        id text NOT NULL,
        reason text NOT NULL,
        time bigint NOT NULL,
        PRIMARY KEY (kind, id)
    )
    """,
    # Where the numbers of a deleted session stood: made again under its id it goes on from there,
    # so that no seq names two messages and no roster two sets of members.
    """
    CREATE TABLE retention_sessions (
        session_id text PRIMARY KEY,
        last_seq bigint NOT NULL,
        counted bigint NOT NULL,
        last_timestamp bigint NOT NULL,
        roster bigint NOT NULL
    )
    """,
    # Consults that imd has deleted, so that the platform's rows of them are not called missing.
    "CREATE TABLE retention_topics (topic_id text PRIMARY KEY)",
    # How many deletions there were. Whoever deletes or holds locks this row first.
    "INSERT INTO store (name, value) VALUES ('retention', '0')",
)


def upgrade() -> None:
    """Make the tables."""
    for statement in TABLES:
        op.execute(statement)


def downgrade() -> None:
    """Refused: what is held would be held no more."""
    raise RuntimeError("Going back would lift every legal hold.")
