"""
The first schema.

The tables are written out, since `kintsugi.ledger.tables` goes on to change; constraints are named by its naming convention.
The identifiers `0001` to `0019` and `1` to `3` are of ledgers that cannot be read. So a revision is named `v` and its number.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "v1"
down_revision = None
branch_labels = None
depends_on = None

TEXT = sa.Text()
MOMENT = TEXT.with_variant(sa.TIMESTAMP(timezone=True), "postgresql")
NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

Type = sa.types.TypeEngine[Any]


def upgrade() -> None:
    """Make all tables."""
    _incidents()
    _signals()
    _runs()
    _services()
    _daemon()


def _incidents() -> None:
    op.create_table(
        "incidents",
        *_key("id"),
        *_required(TEXT, "service", "rule", "runbook", "mode", "state", "reason", "kind"),
        *_required(MOMENT, "opened"),
        *_optional(MOMENT, "closed"),
        sa.Index("ix_incidents_opened", "opened"),
        sa.Index("ix_incidents_service_opened", "service", "opened"),
        sa.Index("ix_incidents_closed", "closed"),
        _partial("uq_incidents_open_service", "service", "kind", unique=True, where="closed IS NULL"),
    )
    op.create_table(
        "approvals",
        *_numbered(),
        *_required(TEXT, "incident", "path", "question", "plan", "who", "why", "preview"),
        *_required(MOMENT, "asked", "expires"),
        *_optional(MOMENT, "answered", "rejected"),
        sa.ForeignKeyConstraint(["incident"], ["incidents.id"]),
        sa.UniqueConstraint("incident", "path", "plan", "asked"),
        _partial("ix_approvals_rejected", "rejected", where="rejected IS NOT NULL"),
    )
    op.create_table(
        "aborts",
        *_key("incident"),
        *_required(TEXT, "who", "why"),
        *_required(MOMENT, "requested"),
        sa.ForeignKeyConstraint(["incident"], ["incidents.id"]),
        sa.Index("ix_aborts_requested", "requested"),
    )
    op.create_table(
        "diagnoses",
        *_numbered(),
        *_required(TEXT, "incident", "occasion", "diagnosis"),
        *_required(MOMENT, "at"),
        sa.ForeignKeyConstraint(["incident"], ["incidents.id"]),
        sa.UniqueConstraint("incident", "occasion", "at"),
    )
    op.create_table(
        "notices",
        *_key("id"),
        *_optional(TEXT, "incident"),
        *_required(TEXT, "kind", "text"),
        *_required(MOMENT, "created", "due"),
        *_required(sa.Integer(), "attempts"),
        *_required(sa.Boolean(), "sent"),
        sa.ForeignKeyConstraint(["incident"], ["incidents.id"]),
        sa.Index("ix_notices_incident", "incident"),
        _partial("ix_notices_created", "created", where="incident IS NULL"),
        _partial("ix_notices_due", "due", "id", where="NOT sent", on_sqlite="sent = 0"),
    )


def _signals() -> None:
    op.create_table(
        "signals",
        *_key("id"),
        *_required(TEXT, "source", "kind", "key", "rule", "labels", "annotations"),
        *_required(MOMENT, "began", "received", "last_seen"),
        *_optional(MOMENT, "ended", "horizon", "refired", "until", "judged", "stale"),
        *_optional(TEXT, "target", "seen", "continues", "verdict", "reason", "text", "judged_rule", "incident"),
        sa.ForeignKeyConstraint(["incident"], ["incidents.id"]),
        sa.Index("ix_signals_received", "received", "id"),
        sa.Index("uq_signals_key_began", "key", "began", unique=True),
        _partial("uq_signals_open_key", "key", unique=True, where="ended IS NULL"),
        _partial("ix_signals_unjudged", "received", "id", where="verdict IS NULL"),
        _partial("ix_signals_provisional", "until", where="until IS NOT NULL AND ended IS NULL"),
        _partial("ix_signals_firing", "incident", "kind", "id", where="incident IS NOT NULL AND ended IS NULL"),
        _partial(
            "ix_signals_lasting",
            "incident",
            "ended",
            where="incident IS NOT NULL AND ended IS NOT NULL AND kind <> 'event'",
        ),
        _partial("ix_signals_incident", "incident", "received", "id", where="incident IS NOT NULL"),
        _partial("ix_signals_stray", "ended", where="incident IS NULL AND ended IS NOT NULL"),
        _partial("ix_signals_refired", "refired", where="refired IS NOT NULL"),
        _partial("ix_signals_verdict_received", "verdict", "received", "id", where="verdict IS NOT NULL"),
        _partial("ix_signals_reason_received", "reason", "received", "id", where="reason IS NOT NULL"),
    )
    op.create_table(
        "conditions",
        *_key("rule", "uid"),
        *_required(TEXT, "target"),
        *_required(MOMENT, "since"),
        *_required(sa.Boolean(), "signalled"),
    )
    op.create_table(
        "dead_letters",
        *_key("id"),
        *_required(TEXT, "source", "reason", "excerpt"),
        *_required(MOMENT, "received"),
        *_optional(sa.LargeBinary(), "payload"),
        sa.Index("ix_dead_letters_received", "received"),
    )


def _runs() -> None:
    op.create_table(
        "runs",
        *_key("id"),
        *_required(TEXT, "incident", "service", "namespace", "rule", "runbook", "catalog", "parameters"),
        *_required(TEXT, "state", "reason", "kind", "parent", "parent_step", "rollback_requested_by"),
        *_optional(TEXT, "stopped_at", "workload_found", "workload_left", "workload_decided", "superseded"),
        *_required(sa.BigInteger(), "epoch"),
        *_required(MOMENT, "started", "deadline"),
        *_optional(MOMENT, "walked", "finished", "taken_up"),
        *_required(sa.Boolean(), "changed", "awaits_person"),
        sa.ForeignKeyConstraint(["incident"], ["incidents.id"]),
        sa.Index("ix_runs_incident", "incident"),
        sa.Index("ix_runs_service_kind_started", "service", "kind", "started", "id"),
        sa.Index("ix_runs_service_runbook_state", "service", "runbook", "state", "finished"),
        sa.Index("ix_runs_finished", "finished"),
        sa.Index("ix_runs_catalog", "catalog"),
        _partial("uq_runs_open_service", "service", "kind", unique=True, where="finished IS NULL"),
        _partial("uq_runs_parent_step", "parent", "parent_step", unique=True, where="parent != ''"),
    )
    op.create_table(
        "steps",
        *_numbered(),
        *_required(TEXT, "run", "phase", "path", "name", "state", "text", "why", "facts", "error"),
        *_required(TEXT, "verb", "namespace"),
        *_optional(TEXT, "command", "undo", "result"),
        *_required(sa.Boolean(), "changes"),
        *_optional(sa.Boolean(), "met"),
        *_optional(MOMENT, "deadline", "started", "finished"),
        sa.ForeignKeyConstraint(["run"], ["runs.id"]),
        sa.UniqueConstraint("run", "phase", "path"),
        _partial("ix_steps_changes", "started", where="changes", on_sqlite="changes = 1"),
        _partial("ix_steps_namespace_started", "namespace", "started", where="changes", on_sqlite="changes = 1"),
    )
    op.create_table(
        "locks",
        *_key("name"),
        *_required(TEXT, "run", "path"),
        *_required(MOMENT, "since"),
        sa.ForeignKeyConstraint(["run"], ["runs.id"]),
        sa.Index("ix_locks_run", "run"),
    )
    op.create_table(
        "evidence",
        *_numbered(),
        *_required(TEXT, "run", "path", "kind", "digest", "text"),
        *_required(MOMENT, "taken"),
        sa.ForeignKeyConstraint(["run"], ["runs.id"]),
        sa.UniqueConstraint("run", "path", "kind", "digest"),
    )


def _services() -> None:
    op.create_table(
        "good_revisions",
        *_key("workload", "template"),
        *_required(sa.BigInteger(), "number"),
        *_required(MOMENT, "first_good", "last_good"),
        *_required(sa.Boolean(), "adopted"),
        sa.Index("ix_good_revisions_last_good", "last_good"),
    )
    op.create_table(
        "good_templates",
        *_key("kind", "namespace", "name"),
        *_required(TEXT, "workload", "template", "document", "withheld", "fingerprint", "remainder"),
        *_required(sa.BigInteger(), "number"),
        *_required(MOMENT, "seen"),
        sa.Index("ix_good_templates_seen", "seen"),
    )
    op.create_table(
        "seen_replicas",
        *_key("workload"),
        *_required(sa.BigInteger(), "replicas"),
        *_required(MOMENT, "since"),
        *_optional(MOMENT, "until"),
        sa.Index("ix_seen_replicas_since", "since"),
    )
    op.create_table(
        "scaled_to_zero",
        *_key("workload"),
        *_required(TEXT, "run"),
        *_required(MOMENT, "moment"),
        sa.Index("ix_scaled_to_zero_moment", "moment"),
    )
    op.create_table(
        "good_counts",
        *_key("service", "name"),
        *_required(sa.BigInteger(), "value"),
        *_required(MOMENT, "moment"),
    )
    op.create_table("drills", *_key("service"), *_required(TEXT, "schedule"), *_optional(MOMENT, "slot", "passed"))
    op.create_table("outages", *_key("service"), *_required(TEXT, "outage"))


def _daemon() -> None:
    op.create_table(
        "leadership",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=False),
        *_required(sa.BigInteger(), "epoch"),
        *_required(TEXT, "holder"),
        *_optional(MOMENT, "since"),
    )
    op.create_table(
        "commit_counts",
        sa.Column("epoch", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("connection", sa.Integer(), primary_key=True, autoincrement=False),
        *_required(sa.BigInteger(), "commits"),
    )
    op.create_table(
        "pauses",
        *_key("id"),
        *_required(TEXT, "scope", "name", "who", "why"),
        *_required(sa.Boolean(), "freeze"),
        *_required(MOMENT, "since"),
        *_optional(MOMENT, "until", "lifted"),
        *_optional(TEXT, "lifted_by", "lifted_why"),
        _partial("ix_pauses_lifted", "lifted", where="lifted IS NOT NULL"),
        _partial("ix_pauses_holding", "until", where="lifted IS NULL"),
    )
    op.create_table(
        "catalogs", *_numbered(), *_required(TEXT, "digest", "file", "text"), sa.UniqueConstraint("digest", "file")
    )


def _key(*names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, TEXT, primary_key=True) for name in names]


def _numbered() -> list[sa.Column[Any]]:
    return [sa.Column("number", NUMBER, primary_key=True, autoincrement=True)]


def _required(kind: Type, *names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, kind, nullable=False) for name in names]


def _optional(kind: Type, *names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, kind) for name in names]


def _partial(name: str, *columns: str, where: str, on_sqlite: str = "", unique: bool = False) -> sa.Index:
    """Return an index of the rows with a condition. SQLite uses it only for a query that has the condition in the same words."""
    sqlite, postgresql = sa.text(on_sqlite or where), sa.text(where)
    return sa.Index(name, *columns, unique=unique, sqlite_where=sqlite, postgresql_where=postgresql)
