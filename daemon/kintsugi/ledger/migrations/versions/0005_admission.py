"""
Admission: a step has the namespace of its object, and a lock the child run that took it.

Existing steps changed objects of their run's own namespace, and existing locks are the runs' own.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns, and the index by which a namespace's budget is counted."""
    op.add_column("steps", sa.Column("namespace", sa.Text(), nullable=False, server_default=""))
    op.execute("UPDATE steps SET namespace = (SELECT runs.namespace FROM runs WHERE runs.id = steps.run) WHERE changes")
    op.create_index(
        "ix_steps_namespace_started",
        "steps",
        ["namespace", "started"],
        sqlite_where=sa.text("changes = 1"),
        postgresql_where=sa.text("changes"),
    )
    op.add_column("locks", sa.Column("path", sa.Text(), nullable=False, server_default=""))
