"""
Drills: incidents and runs get a kind, and a service's drills are remembered.

Existing rows are recoveries.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

MOMENT = sa.Text().with_variant(sa.TIMESTAMP(timezone=True), "postgresql")


def upgrade() -> None:
    """Add the columns and the table; one incident and one run of each kind may be open a service."""
    for table, index, ended in (
        ("incidents", "uq_incidents_open_service", "closed IS NULL"),
        ("runs", "uq_runs_open_service", "finished IS NULL"),
    ):
        op.add_column(table, sa.Column("kind", sa.Text(), nullable=False, server_default="recovery"))
        op.drop_index(index, table)
        op.create_index(
            index,
            table,
            ["service", "kind"],
            unique=True,
            sqlite_where=sa.text(ended),
            postgresql_where=sa.text(ended),
        )
    op.create_table(
        "drills",
        sa.Column("service", sa.Text(), nullable=False),
        sa.Column("schedule", sa.Text(), nullable=False),
        sa.Column("slot", MOMENT, nullable=True),
        sa.Column("passed", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("service", name="pk_drills"),
    )
