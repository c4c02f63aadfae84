"""The commits of a leader, counted for each connection: a database that has fewer than were answered has lost some."""

import sqlalchemy as sa
from alembic import op

revision = "2"
down_revision = "1"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "commit_counts",
        sa.Column("epoch", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("connection", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("commits", sa.BigInteger(), nullable=False),
    )
