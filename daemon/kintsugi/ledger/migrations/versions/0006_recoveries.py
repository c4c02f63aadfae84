"""Indexes of recoveries: a run request reads the past of a service and runbook as fast with many runs as with few."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the index that finds the newest recoveries of a service by one runbook."""
    op.create_index("ix_runs_service_runbook_state", "runs", ["service", "runbook", "state", "finished"])
