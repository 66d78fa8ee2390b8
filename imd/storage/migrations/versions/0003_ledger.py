"""What moving over from the original needs: progress, rejects, marks of imported members."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TABLES = (
    # In the original a member may have spoken beyond its own read mark. The last such message is
    # kept here, so that a mark before it still leaves one's own messages out of the unread count.
    "ALTER TABLE participants ADD COLUMN own_beyond bigint NOT NULL DEFAULT 0",
    # A window of time over all consults is a range here, for reconciling and statistics.
    "CREATE INDEX topics_time ON topics (create_time, id)",
    # after: the session up to which a run that goes on has come; report: its figures so far.
    """
    CREATE TABLE legacy_runs (
        source text PRIMARY KEY,
        running smallint NOT NULL,
        after text,
        report text NOT NULL
    )
    """,
    # Where the original's log of a session ended, which seqs are its messages, and their digest.
    """
    CREATE TABLE legacy_sessions (
        session_id text PRIMARY KEY,
        last_time bigint NOT NULL,
        last_id text NOT NULL,
        spans text NOT NULL,
        messages bigint NOT NULL,
        checksum text NOT NULL
    )
    """,
    """
    CREATE TABLE legacy_rejects (
        n bigint PRIMARY KEY,
        table_name text NOT NULL,
        key text,
        session_id text,
        reason text NOT NULL
    )
    """,
    # When the ledgers were last compared by the clock, for all processes, and what differed then.
    """
    CREATE TABLE ledger_turns (
        name text PRIMARY KEY,
        begun bigint NOT NULL,
        found text NOT NULL
    )
    """,
)


def upgrade() -> None:
    """Make the tables and the column."""
    for statement in TABLES:
        op.execute(statement)


def downgrade() -> None:
    """Refused: what was moved over would lose its marks."""
    raise RuntimeError("The marks of imported members cannot be taken away.")
