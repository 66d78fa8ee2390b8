"""What waits to be pushed and what became of it, provider tokens, events for webhooks, mutes."""

from __future__ import annotations

from alembic import context, op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TABLES = (
    # seen_seq: acknowledged on an inside socket that did not show it (page hidden), so not read.
    "ALTER TABLE participants ADD COLUMN seen_seq bigint NOT NULL DEFAULT 0",
    "ALTER TABLE participants ADD COLUMN muted smallint NOT NULL DEFAULT 0",
    # The code with which WeChat refused this user for good; a change of the entry forgets it.
    "ALTER TABLE users ADD COLUMN push_refused text",
    # What waits: one row for each recipient, session and channel, and nothing else, so that it
    # stays as small as the work ahead. A claim is a name and a due time in the future.
    """
    CREATE TABLE outbox (
        session_id text NOT NULL,
        user_id text NOT NULL,
        channel text NOT NULL,
        first_seq bigint NOT NULL,
        upto_seq bigint NOT NULL,
        due bigint NOT NULL,
        create_time bigint NOT NULL,
        attempts integer NOT NULL DEFAULT 0,
        failure text,
        code text,
        claim text,
        PRIMARY KEY (session_id, user_id, channel)
    )
    """,
    "CREATE INDEX outbox_due ON outbox (channel, due)",
    # What became of each push; forgotten after a while.
    """
    CREATE TABLE pushes (
        id text PRIMARY KEY,
        session_id text NOT NULL,
        user_id text NOT NULL,
        channel text NOT NULL,
        first_seq bigint NOT NULL,
        upto_seq bigint NOT NULL,
        state text NOT NULL,
        code text,
        attempts integer NOT NULL,
        create_time bigint NOT NULL,
        end_time bigint NOT NULL
    )
    """,
    "CREATE INDEX pushes_state ON pushes (state, end_time, id)",
    "CREATE INDEX pushes_end ON pushes (end_time)",
    "CREATE INDEX pushes_member ON pushes (session_id, user_id, upto_seq)",
    # A provider's access token, for all processes; lease is the time until which one of them
    # fetches a new one.
    """
    CREATE TABLE push_tokens (
        name text PRIMARY KEY,
        token text,
        expire_time bigint NOT NULL DEFAULT 0,
        lease bigint NOT NULL DEFAULT 0,
        force_time bigint NOT NULL DEFAULT 0
    )
    """,
    # A channel whose quota is used up sends nothing before this time, in no process.
    """
    CREATE TABLE push_parked (
        channel text PRIMARY KEY,
        until bigint NOT NULL,
        code text NOT NULL
    )
    """,
    # Topics of which webhooks were told that nobody answers.
    "CREATE TABLE topics_overdue (topic_id text PRIMARY KEY)",
    # How many subscribe messages a user still agreed to get; openid is the mini-program's.
    """
    CREATE TABLE push_credits (
        user_id text PRIMARY KEY,
        openid text NOT NULL,
        credits integer NOT NULL
    )
    """,
)
#: position orders the events of one key (a session or a user) for one endpoint
_EVENTS = """
    CREATE TABLE webhook_outbox (
        position {serial},
        endpoint text NOT NULL,
        key text NOT NULL,
        id text NOT NULL,
        type text NOT NULL,
        time bigint NOT NULL,
        data text NOT NULL,
        due bigint NOT NULL,
        attempts integer NOT NULL DEFAULT 0,
        code text,
        claim text,
        dead smallint NOT NULL DEFAULT 0
    )
    """
EVENT_INDEXES = (
    "CREATE INDEX webhook_outbox_due ON webhook_outbox (endpoint, due) WHERE dead = 0",
    "CREATE INDEX webhook_outbox_key ON webhook_outbox (endpoint, key, position) WHERE dead = 0",
    "CREATE INDEX webhook_outbox_dead ON webhook_outbox (endpoint, position) WHERE dead = 1",
    # Whether an endpoint has failed for so long that it is left alone.
    """
    CREATE TABLE webhook_endpoints (
        endpoint text PRIMARY KEY,
        failing_since bigint,
        disabled smallint NOT NULL DEFAULT 0
    )
    """,
)


def upgrade() -> None:
    """Make the tables of the push room and the columns that its rules look at."""
    sqlite = context.get_context().dialect.name == "sqlite"
    serial = "integer PRIMARY KEY AUTOINCREMENT" if sqlite else "bigserial PRIMARY KEY"
    for statement in (*TABLES, _EVENTS.format(serial=serial), *EVENT_INDEXES):
        op.execute(statement)
    if not sqlite:
        # A waiting row is raised by each further message: room for that on its own page.
        op.execute("ALTER TABLE outbox SET (fillfactor = 60)")


def downgrade() -> None:
    """Refused: what waits to be pushed would be lost."""
    raise RuntimeError("Going back would lose what waits to be pushed.")
