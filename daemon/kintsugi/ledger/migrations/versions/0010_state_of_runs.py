"""
The state of a run in columns of its own: the step at which it stopped, who requested a rollback, the workload as found.

The daemon that takes the lead fills in open runs of an earlier version: see `kintsugi.ledger.earlier_runs`.
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

MOMENT = sa.Text().with_variant(sa.TIMESTAMP(timezone=True), "postgresql")


def upgrade() -> None:
    """Add the columns."""
    op.add_column("runs", sa.Column("stopped_at", sa.Text(), nullable=True))
    op.add_column("runs", sa.Column("rollback_requested_by", sa.Text(), nullable=False, server_default=""))
    op.add_column("runs", sa.Column("awaits_person", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("runs", sa.Column("taken_up", MOMENT, nullable=True))
    op.add_column("runs", sa.Column("workload_found", sa.Text(), nullable=True))
    op.add_column("runs", sa.Column("workload_left", sa.Text(), nullable=True))
