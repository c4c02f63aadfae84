"""The incidents that a person has aborted, with the reason."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

MOMENT = sa.Text().with_variant(sa.TIMESTAMP(timezone=True), "postgresql")


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "aborts",
        sa.Column("incident", sa.Text(), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("requested", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["incident"], ["incidents.id"], name="fk_aborts_incident"),
        sa.PrimaryKeyConstraint("incident", name="pk_aborts"),
    )
    op.create_index("ix_aborts_requested", "aborts", ["requested"])
