"""
Long-lived facts of services: the replicas that a workload last had, the run that scaled it to 0, and the counts of
checks while the service was well.
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

MOMENT = sa.Text().with_variant(sa.TIMESTAMP(timezone=True), "postgresql")


def upgrade() -> None:
    """Add a table for each, with a row a workload or a count."""
    op.create_table(
        "seen_replicas",
        sa.Column("workload", sa.Text(), nullable=False),
        sa.Column("replicas", sa.BigInteger(), nullable=False),
        sa.Column("since", MOMENT, nullable=False),
        sa.Column("until", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("workload", name="pk_seen_replicas"),
    )
    op.create_index("ix_seen_replicas_since", "seen_replicas", ["since"])
    op.create_table(
        "scaled_to_zero",
        sa.Column("workload", sa.Text(), nullable=False),
        sa.Column("run", sa.Text(), nullable=False),
        sa.Column("moment", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("workload", name="pk_scaled_to_zero"),
    )
    op.create_index("ix_scaled_to_zero_moment", "scaled_to_zero", ["moment"])
    op.create_table(
        "good_counts",
        sa.Column("service", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.Column("moment", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("service", "name", name="pk_good_counts"),
    )
