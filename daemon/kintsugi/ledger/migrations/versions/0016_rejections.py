"""
The rejection of a question, with its reason.

A rejection has a column of its own: for an earlier version, a question that was `answered` is approved.
"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

MOMENT = sa.Text().with_variant(sa.TIMESTAMP(timezone=True), "postgresql")


def upgrade() -> None:
    """Add the columns, and the index of rejections."""
    op.add_column("approvals", sa.Column("rejected", MOMENT, nullable=True))
    op.add_column("approvals", sa.Column("why", sa.Text(), nullable=False, server_default=""))
    rejected = sa.text("rejected IS NOT NULL")
    op.create_index(
        "ix_approvals_rejected", "approvals", ["rejected"], sqlite_where=rejected, postgresql_where=rejected
    )
