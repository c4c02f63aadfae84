"""The rest of a workload beside its good template: what `kubectl apply` needs to make it again."""

import sqlalchemy as sa
from alembic import op

revision = "3"
down_revision = "2"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; a workload that was kept before has none until its template is kept again."""
    op.add_column("good_templates", sa.Column("manifest", sa.Text(), nullable=False, server_default=""))
