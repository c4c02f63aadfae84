"""
With which verb the command of a step begins, in a column of its own.

Steps of open runs of an earlier version are filled in by whoever takes the lead: see `kintsugi.ledger.earlier_runs`.
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
