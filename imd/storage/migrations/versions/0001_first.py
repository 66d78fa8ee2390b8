"""The tables of the first version: directory, sessions, log, topics, credentials."""

from __future__ import annotations

import uuid

from alembic import context, op

from imd.storage.migrations import first_triggers

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Every time is an integer of milliseconds; flags are 0 or 1 on both databases.
TABLES = (
    """
    CREATE TABLE store (
        name text PRIMARY KEY,
        value text NOT NULL
    )
    """,
    """
    CREATE TABLE users (
        id text PRIMARY KEY,
        kind text,
        name text,
        sex smallint,
        birthdate text,
        avatar text,
        openid text,
        team_code text,
        title text,
        create_time bigint NOT NULL,
        last_active_time bigint
    )
    """,
    """
    CREATE TABLE devices (
        user_id text NOT NULL,
        client_id text NOT NULL,
        platform smallint,
        token text,
        app_state text NOT NULL,
        login_time bigint NOT NULL,
        PRIMARY KEY (user_id, client_id)
    )
    """,
    "CREATE INDEX devices_client ON devices (client_id)",
    # counted: how many counted messages the log ever had; with a member's read_counted it
    # gives the exact unread count without looking at a message. roster: how often it changed who
    # is a member; triggers raise it, so that delivery sees by it whom it must look at again.
    """
    CREATE TABLE sessions (
        id text PRIMARY KEY,
        name text,
        type integer NOT NULL,
        business_type smallint NOT NULL,
        status smallint NOT NULL DEFAULT 0,
        create_time bigint NOT NULL,
        last_seq bigint NOT NULL DEFAULT 0,
        counted bigint NOT NULL DEFAULT 0,
        last_timestamp bigint NOT NULL DEFAULT 0,
        last_message_seq bigint,
        last_message_time bigint,
        current_topic_id text,
        first_message_id text,
        roster bigint NOT NULL DEFAULT 0
    )
    """,
    """
    CREATE TABLE participants (
        session_id text NOT NULL REFERENCES sessions (id),
        participant_id text NOT NULL,
        role text NOT NULL,
        sticky smallint NOT NULL DEFAULT 0,
        create_time bigint NOT NULL,
        last_fetch_time bigint NOT NULL,
        read_seq bigint NOT NULL DEFAULT 0,
        delivered_seq bigint NOT NULL DEFAULT 0,
        read_counted bigint NOT NULL DEFAULT 0,
        active_time bigint,
        reply_time bigint,
        PRIMARY KEY (session_id, participant_id)
    )
    """,
    # content is the text itself, or the JSON text of a card when structured is 1.
    # counted is the session's running total up to and including the row.
    """
    CREATE TABLE messages (
        id text NOT NULL,
        session_id text NOT NULL,
        seq bigint NOT NULL,
        channel text NOT NULL,
        topic_id text,
        sender_id text NOT NULL,
        sender_name text,
        type integer NOT NULL,
        content text,
        structured smallint NOT NULL DEFAULT 0,
        timestamp bigint NOT NULL,
        client_msg_id text,
        fingerprint text,
        business_type smallint NOT NULL,
        version integer NOT NULL DEFAULT 1,
        recalled smallint NOT NULL DEFAULT 0,
        counted bigint NOT NULL,
        PRIMARY KEY (session_id, seq)
    )
    """,
    "CREATE UNIQUE INDEX messages_id ON messages (id)",
    """
    CREATE UNIQUE INDEX messages_key ON messages (session_id, sender_id, client_msg_id)
    WHERE client_msg_id IS NOT NULL
    """,
    "CREATE INDEX messages_topic ON messages (topic_id, seq) WHERE topic_id IS NOT NULL",
    # A second entry within a minute is looked for here, not among all that was said since.
    """
    CREATE INDEX messages_entries ON messages (topic_id, sender_id, seq) WHERE type = 14
    """,
    # What a recalled message said, kept apart from everything that is served.
    """
    CREATE TABLE recalls (
        message_id text PRIMARY KEY,
        session_id text NOT NULL,
        content text,
        structured smallint NOT NULL,
        recalled_by text,
        recall_time bigint NOT NULL
    )
    """,
    """
    CREATE TABLE topics (
        id text PRIMARY KEY,
        session_id text NOT NULL REFERENCES sessions (id),
        session_type integer NOT NULL,
        name text,
        description text,
        type integer,
        status smallint NOT NULL,
        reply smallint NOT NULL DEFAULT 0,
        team_code text,
        create_time bigint NOT NULL,
        start_by text NOT NULL,
        start_message_id text,
        start_seq bigint,
        reply_by text,
        reply_time bigint,
        reply_message_id text,
        end_by text,
        end_time bigint,
        end_message_id text,
        end_seq bigint
    )
    """,
    # At most one live topic in a session, whatever the code does.
    "CREATE UNIQUE INDEX topics_live ON topics (session_id) WHERE status = 0",
    "CREATE INDEX topics_session ON topics (session_id, create_time, id)",
    """
    CREATE INDEX topics_state ON topics (session_id, status, reply, create_time, id, reply_time)
    """,
    # Statistics of a team are answered from this index alone.
    """
    CREATE INDEX topics_team ON topics
    (team_code, create_time, id, session_type, status, reply, reply_time)
    """,
    # A team's page of one state, however seldom that state is.
    """
    CREATE INDEX topics_team_state ON topics
    (team_code, status, reply, create_time, id, session_type)
    """,
    # How many topics are in each state, a row for each session, team and type. Triggers keep it,
    # so it stays true when an operator repairs topics by hand.
    """
    CREATE TABLE topic_tallies (
        session_id text NOT NULL,
        team_code text NOT NULL,
        session_type integer NOT NULL,
        unreplied integer NOT NULL DEFAULT 0,
        ongoing integer NOT NULL DEFAULT 0,
        replied integer NOT NULL DEFAULT 0,
        expired integer NOT NULL DEFAULT 0,
        PRIMARY KEY (session_id, team_code, session_type)
    )
    """,
    # A user's topics stand side by side here, a row for each member of a topic's session: a page
    # of them is a range of an index, however many sessions and topics there are. Triggers keep it.
    """
    CREATE TABLE participant_topics (
        participant_id text NOT NULL,
        create_time bigint NOT NULL,
        topic_id text NOT NULL,
        session_type integer NOT NULL,
        status smallint NOT NULL,
        reply smallint NOT NULL,
        PRIMARY KEY (participant_id, create_time, topic_id)
    )
    """,
    """
    CREATE INDEX participant_topics_state ON participant_topics
    (participant_id, session_type, status, reply, create_time, topic_id)
    """,
    """
    CREATE TABLE service_keys (
        name text PRIMARY KEY,
        digest text NOT NULL UNIQUE,
        scopes text NOT NULL,
        create_time bigint NOT NULL,
        revoke_time bigint
    )
    """,
    """
    CREATE TABLE revoked_tokens (
        fingerprint text PRIMARY KEY,
        expire_time bigint NOT NULL
    )
    """,
    # Who did what to what, chained by hashes; the end of the chain is the row that is locked.
    """
    CREATE TABLE audit (
        seq bigint PRIMARY KEY,
        time bigint NOT NULL,
        actor text NOT NULL,
        action text NOT NULL,
        object text NOT NULL,
        detail text NOT NULL,
        hash text NOT NULL
    )
    """,
    "CREATE TABLE audit_end (seq bigint NOT NULL, hash text NOT NULL)",
    f"INSERT INTO audit_end (seq, hash) VALUES (0, '{'0' * 64}')",
    *(
        f"CREATE VIEW {channel}_messages AS SELECT * FROM messages WHERE channel = '{channel}'"
        for channel in ("system", "p2p", "group", "muc")
    ),
    "CREATE VIEW doctors AS SELECT * FROM users WHERE kind = 'doctor'",
    "CREATE VIEW patients AS SELECT * FROM users WHERE kind = 'patient'",
)


def upgrade() -> None:
    """Make every table, index, view and trigger, and the store's epoch."""
    sqlite = context.get_context().dialect.name == "sqlite"
    for statement in TABLES + (first_triggers.SQLITE if sqlite else first_triggers.POSTGRES):
        op.execute(statement)
    # The epoch names this life of the store (page 3.2). Printed SQL cannot hold a fixed one.
    if context.is_offline_mode():
        sqlite = context.get_context().dialect.name == "sqlite"
        made = "lower(hex(randomblob(16)))" if sqlite else "md5(random()::text)"
        op.execute(f"INSERT INTO store (name, value) VALUES ('epoch', {made})")
    else:
        op.execute(f"INSERT INTO store (name, value) VALUES ('epoch', '{uuid.uuid4().hex}')")


def downgrade() -> None:
    """Refused: there is no earlier schema."""
    raise RuntimeError("The first version has nothing before it.")
