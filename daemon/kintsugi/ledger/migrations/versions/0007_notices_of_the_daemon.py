"""Notices of the daemon itself, which belong to no incident."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Let a notice be without an incident, and find such by their age. SQLite makes the table anew, so its indexes too."""
    op.drop_index("ix_notices_due", "notices")
    op.drop_index("ix_notices_incident", "notices")
    with op.batch_alter_table("notices") as table:
        table.alter_column("incident", existing_type=sa.Text(), nullable=True)
    _index_where("ix_notices_due", ["due", "id"], sa.text("sent = 0"), sa.text("NOT sent"))
    op.create_index("ix_notices_incident", "notices", ["incident"])
    of_daemon = sa.text("incident IS NULL")
    _index_where("ix_notices_created", ["created"], of_daemon, of_daemon)


def _index_where(name: str, columns: list[str], sqlite: sa.TextClause, postgresql: sa.TextClause) -> None:
    op.create_index(name, "notices", columns, sqlite_where=sqlite, postgresql_where=postgresql)
