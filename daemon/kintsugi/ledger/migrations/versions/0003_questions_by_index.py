"""
Partial indexes for frequent queries: each holds the open rows, and a query begins at one of them.

Indexes that no query used, or that grew with closed rows, are dropped. SQLite uses a partial index only for a query
that has the index's condition in the same words, hence `sent = 0` there and `NOT sent` on PostgreSQL. And a signal can
say that its end was concluded from silence.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

MOMENT = sa.Text().with_variant(sa.TIMESTAMP(timezone=True), "postgresql")

_GONE = (
    ("ix_signals_unjudged", "signals"),
    ("ix_signals_until", "signals"),
    ("ix_signals_incident", "signals"),
    ("ix_signals_ended", "signals"),
    ("ix_runs_service_started", "runs"),
    ("ix_steps_changes_started", "steps"),
    ("ix_pauses_lifted", "pauses"),
    ("ix_notices_due", "notices"),
)

_WHOLE = (
    ("ix_signals_received", "signals", ["received", "id"]),
    ("ix_runs_service_kind_started", "runs", ["service", "kind", "started", "id"]),
    ("ix_good_revisions_last_good", "good_revisions", ["last_good"]),
)

_LASTED = "incident IS NOT NULL AND ended IS NOT NULL AND kind <> 'event'"

_PARTIAL = (
    ("ix_signals_unjudged", "signals", ["received", "id"], "verdict IS NULL", None),
    ("ix_signals_provisional", "signals", ["until"], "until IS NOT NULL AND ended IS NULL", None),
    ("ix_signals_firing", "signals", ["incident", "kind", "id"], "incident IS NOT NULL AND ended IS NULL", None),
    ("ix_signals_lasting", "signals", ["incident", "ended"], _LASTED, None),
    ("ix_signals_incident", "signals", ["incident", "received", "id"], "incident IS NOT NULL", None),
    ("ix_signals_stray", "signals", ["ended"], "incident IS NULL AND ended IS NOT NULL", None),
    ("ix_steps_changes", "steps", ["started"], "changes = 1", "changes"),
    ("ix_pauses_lifted", "pauses", ["lifted"], "lifted IS NOT NULL", None),
    ("ix_pauses_holding", "pauses", ["until"], "lifted IS NULL", None),
    ("ix_notices_due", "notices", ["due", "id"], "sent = 0", "NOT sent"),
)
"""Name, table, columns, the condition on SQLite, and the one on PostgreSQL where it is another."""


def upgrade() -> None:
    """Replace the indexes, and let a signal say that it ended by silence."""
    op.add_column("signals", sa.Column("stale", MOMENT, nullable=True))
    for name, table in _GONE:
        op.drop_index(name, table)
    for name, table, columns in _WHOLE:
        op.create_index(name, table, columns)
    for name, table, columns, sqlite, postgres in _PARTIAL:
        op.create_index(
            name, table, columns, sqlite_where=sa.text(sqlite), postgresql_where=sa.text(postgres or sqlite)
        )
