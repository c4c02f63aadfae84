"""Child runs: the parent run and its step that started a run; one child for each step."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add what names the parent, and the index by which a child is found."""
    op.add_column("runs", sa.Column("parent", sa.Text(), nullable=False, server_default=""))
    op.add_column("runs", sa.Column("parent_step", sa.Text(), nullable=False, server_default=""))
    has_one = sa.text("parent != ''")
    columns = ["parent", "parent_step"]
    op.create_index("uq_runs_parent_step", "runs", columns, unique=True, sqlite_where=has_one, postgresql_where=has_one)
