"""Topics that wait for an answer, side by side; statistics by day, and what of them is old."""

from __future__ import annotations

from alembic import context, op

from imd.storage.migrations import waiting_triggers

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TABLES = (
    # Live topics without an answer, and no others: overdue ones are a range, however many topics
    # there ever were. told: webhooks know that it is overdue. Triggers keep it.
    """
    CREATE TABLE topics_waiting (
        topic_id text PRIMARY KEY,
        session_type integer NOT NULL,
        create_time bigint NOT NULL,
        told smallint NOT NULL DEFAULT 0
    )
    """,
    """
    CREATE INDEX topics_waiting_time ON topics_waiting (session_type, create_time, topic_id)
    """,
    """
    CREATE INDEX topics_waiting_untold ON topics_waiting (session_type, create_time)
    WHERE told = 0
    """,
    # topics_overdue is read no more. The version before may still run beside this one, so it stays.
    #
    # The figures of whole days, so that statistics need not go over every topic: how many consults
    # of a team, doctor and type are in each state, and all times to the first reply (ms, ascending,
    # joined by spaces). A day is named by its number since 1970-01-01 in China's time.
    """
    CREATE TABLE consult_days (
        day bigint NOT NULL,
        team_code text,
        doctor text,
        type integer,
        replied integer NOT NULL,
        unreplied integer NOT NULL,
        ongoing integer NOT NULL,
        expired integer NOT NULL,
        waits text NOT NULL
    )
    """,
    "CREATE INDEX consult_days_day ON consult_days (day)",
    # Before which day all are summed up; one with a change since then counts from its topics.
    "INSERT INTO store (name, value) VALUES ('consult_days', '0')",
)
#: Those that wait now, once the triggers have waited for whoever changes topics meanwhile: the
#: version before may serve on, and what it had not committed would be missed.
_PRESENT = """
    INSERT INTO topics_waiting (topic_id, session_type, create_time, told)
    SELECT t.id, t.session_type, t.create_time, CASE WHEN o.topic_id IS NULL THEN 0 ELSE 1 END
    FROM topics t LEFT JOIN topics_overdue o ON o.topic_id = t.id
    WHERE t.status = 0 AND t.reply = 0
    """
#: A row for each change of a topic that figures show, in the transaction of the change. Rows are
#: only added here, so that no two senders ever wait for each other.
_CHANGES = "CREATE TABLE consult_changes (n {serial}, create_time bigint NOT NULL)"


def upgrade() -> None:
    """Make the tables and triggers, then put the topics in that wait now."""
    sqlite = context.get_context().dialect.name == "sqlite"
    serial = "integer PRIMARY KEY AUTOINCREMENT" if sqlite else "bigserial PRIMARY KEY"
    triggers = waiting_triggers.SQLITE if sqlite else waiting_triggers.POSTGRES
    for statement in (*TABLES, _CHANGES.format(serial=serial), *triggers, _PRESENT):
        op.execute(statement)


def downgrade() -> None:
    """Refused: who was told of what would be forgotten."""
    raise RuntimeError("Going back would tell webhooks of overdue topics a second time.")
