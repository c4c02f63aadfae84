"""Whether a good revision was adopted: its pods had been ready for long enough when the daemon saw them first."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("good_revisions", sa.Column("adopted", sa.Boolean(), nullable=False, server_default=sa.false()))
