"""
The tables of the ledger, as SQLAlchemy Core sees them. `migrations/` makes them; a test holds the two together.

A column that belongs to a field of `model.records` has the field's name and gives the field's type, so that a row is
a record. Partial unique indexes hold what must never be true twice: one open episode a key, one open incident and one
unfinished run of a kind a service (P2). The other partial indexes hold what is open and little else, so that what the
daemon asks again and again costs what is open, not what has been; their conditions are written as the questions are,
since SQLite uses a partial index only for a question that says its condition.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    UniqueConstraint,
    text,
)

from kintsugi.ledger.columns import Choice, Json, Labels, Moment, Packed, Prose, Words
from kintsugi.model.documents import Mode, RuleSource
from kintsugi.model.records import (
    IncidentState,
    PauseScope,
    Phase,
    Reason,
    RunKind,
    SignalSource,
    StepState,
    Target,
    UndoRecord,
    VerdictKind,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_NUMBER = BigInteger().with_variant(Integer, "sqlite")
"""A row's number in order of arrival; SQLite numbers only a plain INTEGER PRIMARY KEY."""

leadership = Table(
    "leadership",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("epoch", BigInteger, nullable=False),
    Column("holder", Words, nullable=False),
    Column("since", Moment),
)

incidents = Table(
    "incidents",
    metadata,
    Column("id", Words, primary_key=True),
    Column("service", Words, nullable=False),
    Column("rule", Words, nullable=False),
    Column("runbook", Words, nullable=False),
    Column("mode", Choice(Mode), nullable=False),
    Column("state", Choice(IncidentState), nullable=False),
    Column("reason", Prose, nullable=False),
    Column("opened", Moment, nullable=False),
    Column("closed", Moment),
    Column("kind", Choice(RunKind), nullable=False, server_default=RunKind.RECOVERY),
    Index("ix_incidents_opened", "opened"),
    Index("ix_incidents_service_opened", "service", "opened"),
    Index("ix_incidents_closed", "closed"),
    Index(
        "uq_incidents_open_service",
        "service",
        "kind",
        unique=True,
        sqlite_where=text("closed IS NULL"),
        postgresql_where=text("closed IS NULL"),
    ),
)

_PROVISIONAL = "until IS NOT NULL AND ended IS NULL"
_FIRING = "incident IS NOT NULL AND ended IS NULL"
_LASTED = "incident IS NOT NULL AND ended IS NOT NULL AND kind <> 'event'"
_STRAY = "incident IS NULL AND ended IS NOT NULL"

signals = Table(
    "signals",
    metadata,
    Column("id", Words, primary_key=True),
    Column("source", Choice(SignalSource), nullable=False),
    Column("kind", Choice(RuleSource), nullable=False),
    Column("key", Words, nullable=False),
    Column("rule", Words, nullable=False),
    Column("labels", Labels, nullable=False),
    Column("annotations", Labels, nullable=False),
    Column("target", Packed(Target)),
    Column("began", Moment, nullable=False),
    Column("ended", Moment),
    Column("horizon", Moment),  # the latest end that was ever reported for this episode
    Column("seen", Json(list)),  # [[began, [ended, …]], …] where it is more than (began, ended): see episodes.py
    Column("refired", Moment),  # when a delivery said that it fires although it has ended: provisional, see episodes.py
    Column("continues", Words),  # the ended signal that fired again, where this one was opened for that
    Column("received", Moment, nullable=False),
    Column("last_seen", Moment, nullable=False),
    Column("verdict", Choice(VerdictKind)),
    Column("reason", Choice(Reason)),
    Column("text", Prose),
    Column("until", Moment),
    Column("judged", Moment),
    Column("judged_rule", Words),
    Column("incident", Words, ForeignKey("incidents.id")),
    Column("stale", Moment),  # equal to `ended` where that was concluded from silence
    Index("uq_signals_key_began", "key", "began", unique=True),
    Index(
        "uq_signals_open_key",
        "key",
        unique=True,
        sqlite_where=text("ended IS NULL"),
        postgresql_where=text("ended IS NULL"),
    ),
    Index(
        "ix_signals_unjudged",
        "received",
        "id",
        sqlite_where=text("verdict IS NULL"),
        postgresql_where=text("verdict IS NULL"),
    ),
    Index("ix_signals_provisional", "until", sqlite_where=text(_PROVISIONAL), postgresql_where=text(_PROVISIONAL)),
    Index(
        "ix_signals_firing",
        "incident",
        "kind",
        "id",
        sqlite_where=text(_FIRING),
        postgresql_where=text(_FIRING),
    ),
    Index("ix_signals_lasting", "incident", "ended", sqlite_where=text(_LASTED), postgresql_where=text(_LASTED)),
    Index(
        "ix_signals_incident",
        "incident",
        "received",
        "id",
        sqlite_where=text("incident IS NOT NULL"),
        postgresql_where=text("incident IS NOT NULL"),
    ),
    Index("ix_signals_stray", "ended", sqlite_where=text(_STRAY), postgresql_where=text(_STRAY)),
    Index(
        "ix_signals_refired",
        "refired",
        sqlite_where=text("refired IS NOT NULL"),
        postgresql_where=text("refired IS NOT NULL"),
    ),
    Index("ix_signals_received", "received", "id"),
    Index(
        "ix_signals_verdict_received",
        "verdict",
        "received",
        "id",
        sqlite_where=text("verdict IS NOT NULL"),
        postgresql_where=text("verdict IS NOT NULL"),
    ),
    Index(
        "ix_signals_reason_received",
        "reason",
        "received",
        "id",
        sqlite_where=text("reason IS NOT NULL"),
        postgresql_where=text("reason IS NOT NULL"),
    ),
)

conditions = Table(
    "conditions",
    metadata,
    Column("rule", Words, primary_key=True),
    Column("uid", Words, primary_key=True),
    Column("target", Packed(Target), nullable=False),
    Column("since", Moment, nullable=False),
    Column("signalled", Boolean, nullable=False),
)

runs = Table(
    "runs",
    metadata,
    Column("id", Words, primary_key=True),
    Column("incident", Words, ForeignKey("incidents.id"), nullable=False),
    Column("service", Words, nullable=False),
    Column("namespace", Words, nullable=False),
    Column("rule", Words, nullable=False),
    Column("runbook", Words, nullable=False),
    Column("catalog", Words, nullable=False),
    Column("parameters", Json(dict), nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("state", Choice(IncidentState), nullable=False),
    Column("reason", Prose, nullable=False),
    Column("started", Moment, nullable=False),
    Column("deadline", Moment, nullable=False),
    Column("walked", Moment),
    Column("finished", Moment),
    Column("changed", Boolean, nullable=False),
    Column("kind", Choice(RunKind), nullable=False, server_default=RunKind.RECOVERY),
    Index("ix_runs_incident", "incident"),
    Index("ix_runs_service_kind_started", "service", "kind", "started", "id"),
    Index("ix_runs_service_runbook_state", "service", "runbook", "state", "finished"),
    Index("ix_runs_finished", "finished"),
    Index("ix_runs_catalog", "catalog"),
    Index(
        "uq_runs_open_service",
        "service",
        "kind",
        unique=True,
        sqlite_where=text("finished IS NULL"),
        postgresql_where=text("finished IS NULL"),
    ),
)

steps = Table(
    "steps",
    metadata,
    Column("number", _NUMBER, primary_key=True, autoincrement=True),
    Column("run", Words, ForeignKey("runs.id"), nullable=False),
    Column("phase", Choice(Phase), nullable=False),
    Column("path", Words, nullable=False),
    Column("name", Words, nullable=False),
    Column("state", Choice(StepState), nullable=False),
    Column("changes", Boolean, nullable=False),
    Column("command", Json(dict)),
    Column("text", Words, nullable=False),
    Column("why", Words, nullable=False),
    Column("namespace", Words, nullable=False, server_default=""),
    Column("facts", Json(dict), nullable=False),
    Column("undo", Packed(UndoRecord)),
    Column("deadline", Moment),
    Column("started", Moment),
    Column("finished", Moment),
    Column("result", Json(dict)),
    Column("met", Boolean),
    Column("error", Words, nullable=False),
    UniqueConstraint("run", "phase", "path"),
    Index("ix_steps_changes", "started", sqlite_where=text("changes = 1"), postgresql_where=text("changes")),
    Index(
        "ix_steps_namespace_started",
        "namespace",
        "started",
        sqlite_where=text("changes = 1"),
        postgresql_where=text("changes"),
    ),
)

locks = Table(
    "locks",
    metadata,
    Column("name", Words, primary_key=True),
    Column("run", Words, ForeignKey("runs.id"), nullable=False),
    Column("path", Words, nullable=False, server_default=""),  # of the child that took it, "" for the run's own
    Column("since", Moment, nullable=False),
    Index("ix_locks_run", "run"),
)

evidence = Table(
    "evidence",
    metadata,
    Column("number", _NUMBER, primary_key=True, autoincrement=True),
    Column("run", Words, ForeignKey("runs.id"), nullable=False),
    Column("path", Words, nullable=False),
    Column("kind", Words, nullable=False),
    Column("digest", Words, nullable=False),
    Column("text", Words, nullable=False),
    Column("taken", Moment, nullable=False),
    UniqueConstraint("run", "path", "kind", "digest"),
)

pauses = Table(
    "pauses",
    metadata,
    Column("id", Words, primary_key=True),
    Column("scope", Choice(PauseScope), nullable=False),
    Column("name", Words, nullable=False),
    Column("who", Words, nullable=False),
    Column("why", Prose, nullable=False),
    Column("freeze", Boolean, nullable=False),
    Column("since", Moment, nullable=False),
    Column("until", Moment),
    Column("lifted", Moment),
    Column("lifted_by", Words),
    Column("lifted_why", Prose),
    Index(
        "ix_pauses_lifted",
        "lifted",
        sqlite_where=text("lifted IS NOT NULL"),
        postgresql_where=text("lifted IS NOT NULL"),
    ),
    Index("ix_pauses_holding", "until", sqlite_where=text("lifted IS NULL"), postgresql_where=text("lifted IS NULL")),
)

approvals = Table(
    "approvals",
    metadata,
    Column("number", _NUMBER, primary_key=True, autoincrement=True),
    Column("incident", Words, ForeignKey("incidents.id"), nullable=False),
    Column("path", Words, nullable=False),
    Column("question", Prose, nullable=False),
    Column("plan", Words, nullable=False),
    Column("asked", Moment, nullable=False),
    Column("expires", Moment, nullable=False),
    Column("who", Words, nullable=False),
    Column("answered", Moment),
    UniqueConstraint("incident", "path", "plan", "asked"),
)

good_revisions = Table(
    "good_revisions",
    metadata,
    Column("workload", Words, primary_key=True),
    Column("template", Words, primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("first_good", Moment, nullable=False),
    Column("last_good", Moment, nullable=False),
    Index("ix_good_revisions_last_good", "last_good"),
)

catalogs = Table(
    "catalogs",
    metadata,
    Column("number", _NUMBER, primary_key=True, autoincrement=True),
    Column("digest", Words, nullable=False),
    Column("file", Words, nullable=False),
    Column("text", Words, nullable=False),
    UniqueConstraint("digest", "file"),
)

notices = Table(
    "notices",
    metadata,
    Column("id", Words, primary_key=True),
    Column("incident", Words, ForeignKey("incidents.id")),  # NULL: about the daemon itself
    Column("kind", Choice(IncidentState), nullable=False),
    Column("text", Prose, nullable=False),
    Column("created", Moment, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due", Moment, nullable=False),
    Column("sent", Boolean, nullable=False),
    Index("ix_notices_incident", "incident"),
    Index(
        "ix_notices_created",
        "created",
        sqlite_where=text("incident IS NULL"),
        postgresql_where=text("incident IS NULL"),
    ),
    Index("ix_notices_due", "due", "id", sqlite_where=text("sent = 0"), postgresql_where=text("NOT sent")),
)

drills = Table(
    "drills",
    metadata,
    Column("service", Words, primary_key=True),
    Column("schedule", Words, nullable=False),
    Column("slot", Moment),
    Column("passed", Moment),
)

dead_letters = Table(
    "dead_letters",
    metadata,
    Column("id", Words, primary_key=True),
    Column("source", Choice(SignalSource), nullable=False),
    Column("received", Moment, nullable=False),
    Column("reason", Prose, nullable=False),
    Column("excerpt", Prose, nullable=False),
    Column("payload", LargeBinary),  # what can be sent in again; NULL where it was not kept whole
    Index("ix_dead_letters_received", "received"),
)
