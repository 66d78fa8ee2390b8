"""Retention: when the patients of a deleted session were last there."""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

# A medical record's time runs from the patient's last visit, also where the session of that visit
# was of a class that goes sooner. time is in ms.
TABLE = "CREATE TABLE retention_visits (user_id text PRIMARY KEY, time bigint NOT NULL)"


def upgrade() -> None:
    """Make the table."""
    op.execute(TABLE)


def downgrade() -> None:
    """Refused: medical records would go before their time."""
    raise RuntimeError("Going back would forget visits from which medical records are kept.")
