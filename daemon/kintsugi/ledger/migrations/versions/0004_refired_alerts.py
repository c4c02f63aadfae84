"""
Alerts that fire again after their end, signals by verdict and reason, and dead letters that can be sent in again.

Existing signals have not fired again, and the whole text of existing dead letters was not kept.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

MOMENT = sa.Text().with_variant(sa.TIMESTAMP(timezone=True), "postgresql")


def upgrade() -> None:
    """Add the columns, and the indexes by which the new questions are asked."""
    op.add_column("signals", sa.Column("refired", MOMENT, nullable=True))
    op.add_column("signals", sa.Column("continues", sa.Text(), nullable=True))
    op.add_column("dead_letters", sa.Column("payload", sa.LargeBinary(), nullable=True))
    for index, columns in (
        ("ix_signals_refired", ["refired"]),
        ("ix_signals_verdict_received", ["verdict", "received", "id"]),
        ("ix_signals_reason_received", ["reason", "received", "id"]),
    ):
        set_only = sa.text(f"{columns[0]} IS NOT NULL")
        op.create_index(index, "signals", columns, unique=False, sqlite_where=set_only, postgresql_where=set_only)
