"""
The verb of a step's command, in a column of its own.

The daemon that takes the lead fills in steps of open runs of an earlier version: see `kintsugi.ledger.earlier_runs`.
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("steps", sa.Column("verb", sa.Text(), nullable=False, server_default=""))
