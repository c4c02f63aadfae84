"""Diagnoses, kept with their incidents."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.Text().with_variant(sa.TIMESTAMP(timezone=True), "postgresql")


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "diagnoses",
        sa.Column("number", NUMBER, autoincrement=True, nullable=False),
        sa.Column("incident", sa.Text(), nullable=False),
        sa.Column("occasion", sa.Text(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("diagnosis", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["incident"], ["incidents.id"], name="fk_diagnoses_incident"),
        sa.PrimaryKeyConstraint("number", name="pk_diagnoses"),
        sa.UniqueConstraint("incident", "occasion", "at", name="uq_diagnoses_incident_occasion_at"),
    )
