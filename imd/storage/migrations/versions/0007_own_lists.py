"""A user's sessions in the order of their last message, and what the user has of topics."""

from __future__ import annotations

from alembic import context, op

from imd.storage.migrations import list_triggers

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

COLUMNS = (
    # list_period: the hour of the session's last message, for a user of many sessions. A page of
    # them looks at those of the latest hours only; the first message of an hour moves the row.
    # list_type: the session's type, so that the session need not be looked at for it.
    f"""
    ALTER TABLE participants ADD COLUMN list_period bigint NOT NULL DEFAULT {list_triggers.ALWAYS}
    """,
    "ALTER TABLE participants ADD COLUMN list_type integer",
    "DROP INDEX participants_user",
)
#: What topic_tallies says of the sessions of one user, side by side, so that what the user has of
#: topics is summed up from one place. Triggers keep it; a message writes no row of it.
_TALLIES = f"""
    CREATE TABLE participant_tallies (
        participant_id text NOT NULL,
        session_id text NOT NULL,
        team_code text NOT NULL,
        session_type integer NOT NULL,
        {", ".join(f"{state} integer NOT NULL" for state in list_triggers.STATES)},
        PRIMARY KEY ({list_triggers.KEY}){{covering}}
    )
    """
#: Those that there are, once the triggers have waited for whoever changes sessions and members.
_PRESENT = (
    """
    UPDATE participants SET list_type = (SELECT s.type FROM sessions s
        WHERE s.id = participants.session_id)
    """,
    f"""
    UPDATE participants SET list_period = (SELECT {list_triggers.period("s")} FROM sessions s
        WHERE s.id = participants.session_id)
    WHERE participant_id IN (SELECT q.participant_id FROM participants q
        GROUP BY q.participant_id HAVING count(*) > {list_triggers.FEW})
    AND session_id NOT IN (SELECT q.session_id FROM participants q
        GROUP BY q.session_id HAVING count(*) > {list_triggers.MOST})
    """,
    f"""
    INSERT INTO participant_tallies ({list_triggers.KEY}, {", ".join(list_triggers.STATES)})
    SELECT p.participant_id, y.session_id, y.team_code, y.session_type,
        {", ".join(f"y.{state}" for state in list_triggers.STATES)}
    FROM topic_tallies y JOIN participants p ON p.session_id = y.session_id
    """,
)


def upgrade() -> None:
    """Make the columns, the table and the triggers, then fill them."""
    sqlite = context.get_context().dialect.name == "sqlite"
    triggers = list_triggers.SQLITE if sqlite else list_triggers.POSTGRES
    # Answered from the key alone, where the database can.
    covering = "" if sqlite else f" INCLUDE ({', '.join(list_triggers.STATES)})"
    tallies = _TALLIES.format(covering=covering)
    for statement in (*COLUMNS, tallies, *triggers, *_PRESENT):
        op.execute(statement)


def downgrade() -> None:
    """Refused, as all are; the version before runs on these tables as they are."""
    raise RuntimeError("There is no way back; the version before runs on these tables.")
