"""Services that are down, with the fault and whether a person was notified of it."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "outages",
        sa.Column("service", sa.Text(), nullable=False),
        sa.Column("outage", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("service", name="pk_outages"),
    )
