"""
The tables of the ledger, as SQLAlchemy Core sees them. `schema` makes them; a changed table needs a migration.

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

from kintsugi.ledger.store.columns import Choice, Json, Labels, Moment, Packed, RedactedText, TextColumn
from kintsugi.model.outages import Outage, Superseded
from kintsugi.model.questions import Answer, Approvers, GivenAnswer, QuestionKind
from kintsugi.model.records import (
    IncidentState,
    Occasion,
    PauseScope,
    Phase,
    Reason,
    RunKind,
    SeenWorkload,
    SignalSource,
    StepState,
    Target,
    UndoRecord,
    VerdictKind,
)
from kintsugi.model.rules import Mode, RuleSource
from kubediagnosis.causes import Diagnosis

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


def _partial(name: str, *columns: str, where: str, on_sqlite: str = "", unique: bool = False) -> Index:
    """Return the index of the rows for which a condition holds, the same on both databases."""
    return Index(name, *columns, unique=unique, sqlite_where=text(on_sqlite or where), postgresql_where=text(where))


leadership = Table(
    "leadership",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("epoch", BigInteger, nullable=False),
    Column("holder", TextColumn, nullable=False),
    Column("since", Moment),
)

commit_counts = Table(
    "commit_counts",
    metadata,
    Column("epoch", BigInteger, primary_key=True, autoincrement=False),
    Column("connection", Integer, primary_key=True, autoincrement=False),
    Column("commits", BigInteger, nullable=False),
)

incidents = Table(
    "incidents",
    metadata,
    Column("id", TextColumn, primary_key=True),
    Column("service", TextColumn, nullable=False),
    Column("rule", TextColumn, nullable=False),
    Column("runbook", TextColumn, nullable=False),
    Column("mode", Choice(Mode), nullable=False),
    Column("state", Choice(IncidentState), nullable=False),
    Column("reason", RedactedText, nullable=False),
    Column("opened", Moment, nullable=False),
    Column("closed", Moment),
    Column("kind", Choice(RunKind), nullable=False),
    Index("ix_incidents_opened", "opened"),
    Index("ix_incidents_service_opened", "service", "opened"),
    Index("ix_incidents_closed", "closed"),
    _partial("uq_incidents_open_service", "service", "kind", unique=True, where="closed IS NULL"),
)

_LASTED = "incident IS NOT NULL AND ended IS NOT NULL AND kind <> 'event'"

signals = Table(
    "signals",
    metadata,
    Column("id", TextColumn, primary_key=True),
    Column("source", Choice(SignalSource), nullable=False),
    Column("kind", Choice(RuleSource), nullable=False),
    Column("key", TextColumn, nullable=False),
    Column("rule", TextColumn, nullable=False),
    Column("labels", Labels, nullable=False),
    Column("annotations", Labels, nullable=False),
    Column("target", Packed(Target)),
    Column("began", Moment, nullable=False),
    Column("ended", Moment),
    Column("horizon", Moment),  # the latest end that was ever reported for this episode
    Column("seen", Json(list)),  # [[began, [ended, …]], …] where it is more than (began, ended): see episodes.py
    Column("refired", Moment),  # when a delivery said that it fires although it has ended: provisional, see episodes.py
    Column("continues", TextColumn),  # the ended signal that fired again, where this one was opened for that
    Column("received", Moment, nullable=False),
    Column("last_seen", Moment, nullable=False),
    Column("verdict", Choice(VerdictKind)),
    Column("reason", Choice(Reason)),
    Column("text", RedactedText),
    Column("until", Moment),
    Column("judged", Moment),
    Column("judged_rule", TextColumn),
    Column("incident", TextColumn, ForeignKey("incidents.id")),
    Column("stale", Moment),  # equal to `ended` where that was concluded from silence
    Index("uq_signals_key_began", "key", "began", unique=True),
    _partial("uq_signals_open_key", "key", unique=True, where="ended IS NULL"),
    _partial("ix_signals_unjudged", "received", "id", where="verdict IS NULL"),
    _partial("ix_signals_provisional", "until", where="until IS NOT NULL AND ended IS NULL"),
    _partial("ix_signals_firing", "incident", "kind", "id", where="incident IS NOT NULL AND ended IS NULL"),
    _partial("ix_signals_lasting", "incident", "ended", where=_LASTED),
    _partial("ix_signals_incident", "incident", "received", "id", where="incident IS NOT NULL"),
    _partial("ix_signals_stray", "ended", where="incident IS NULL AND ended IS NOT NULL"),
    _partial("ix_signals_refired", "refired", where="refired IS NOT NULL"),
    Index("ix_signals_received", "received", "id"),
    _partial("ix_signals_verdict_received", "verdict", "received", "id", where="verdict IS NOT NULL"),
    _partial("ix_signals_reason_received", "reason", "received", "id", where="reason IS NOT NULL"),
)

conditions = Table(
    "conditions",
    metadata,
    Column("rule", TextColumn, primary_key=True),
    Column("uid", TextColumn, primary_key=True),
    Column("target", Packed(Target), nullable=False),
    Column("since", Moment, nullable=False),
    Column("signalled", Boolean, nullable=False),
)

runs = Table(
    "runs",
    metadata,
    Column("id", TextColumn, primary_key=True),
    Column("incident", TextColumn, ForeignKey("incidents.id"), nullable=False),
    Column("service", TextColumn, nullable=False),
    Column("namespace", TextColumn, nullable=False),
    Column("rule", TextColumn, nullable=False),
    Column("runbook", TextColumn, nullable=False),
    Column("catalog", TextColumn, nullable=False),
    Column("parameters", Json(dict), nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("state", Choice(IncidentState), nullable=False),
    Column("reason", RedactedText, nullable=False),
    Column("started", Moment, nullable=False),
    Column("deadline", Moment, nullable=False),
    Column("walked", Moment, key="steps_finished_at"),
    Column("finished", Moment),
    Column("changed", Boolean, nullable=False),
    Column("kind", Choice(RunKind), nullable=False),
    Column("parent", TextColumn, nullable=False),
    Column("parent_step", TextColumn, nullable=False),
    Column("stopped_at", TextColumn),
    Column("rollback_requested_by", TextColumn, nullable=False),
    Column("awaits_person", Boolean, nullable=False),
    Column("taken_up", Moment),
    Column("workload_found", Packed(SeenWorkload)),
    Column("workload_left", Packed(SeenWorkload)),
    Column("workload_decided", Packed(SeenWorkload)),
    Column("superseded", Choice(Superseded)),
    Index("ix_runs_incident", "incident"),
    _partial("uq_runs_parent_step", "parent", "parent_step", unique=True, where="parent != ''"),
    Index("ix_runs_service_kind_started", "service", "kind", "started", "id"),
    Index("ix_runs_service_runbook_state", "service", "runbook", "state", "finished"),
    Index("ix_runs_finished", "finished"),
    Index("ix_runs_catalog", "catalog"),
    _partial("uq_runs_open_service", "service", "kind", unique=True, where="finished IS NULL"),
)

steps = Table(
    "steps",
    metadata,
    Column("number", _NUMBER, primary_key=True, autoincrement=True),
    Column("run", TextColumn, ForeignKey("runs.id"), nullable=False),
    Column("phase", Choice(Phase), nullable=False),
    Column("path", TextColumn, nullable=False),
    Column("name", TextColumn, nullable=False),
    Column("state", Choice(StepState), nullable=False),
    Column("changes", Boolean, nullable=False),
    Column("command", Json(dict)),
    Column("verb", TextColumn, nullable=False),
    Column("text", TextColumn, nullable=False),
    Column("why", TextColumn, nullable=False),
    Column("namespace", TextColumn, nullable=False),
    Column("facts", Json(dict), nullable=False),
    Column("undo", Packed(UndoRecord)),
    Column("deadline", Moment),
    Column("started", Moment),
    Column("finished", Moment),
    Column("result", Json(dict)),
    Column("met", Boolean),
    Column("error", TextColumn, nullable=False),
    UniqueConstraint("run", "phase", "path"),
    _partial("ix_steps_changes", "started", where="changes", on_sqlite="changes = 1"),
    _partial("ix_steps_namespace_started", "namespace", "started", where="changes", on_sqlite="changes = 1"),
)

locks = Table(
    "locks",
    metadata,
    Column("name", TextColumn, primary_key=True),
    Column("run", TextColumn, ForeignKey("runs.id"), nullable=False),
    Column("path", TextColumn, nullable=False),  # of the child that took it, "" for the run's own
    Column("since", Moment, nullable=False),
    Index("ix_locks_run", "run"),
)

evidence = Table(
    "evidence",
    metadata,
    Column("number", _NUMBER, primary_key=True, autoincrement=True),
    Column("run", TextColumn, ForeignKey("runs.id"), nullable=False),
    Column("path", TextColumn, nullable=False),
    Column("kind", TextColumn, nullable=False),
    Column("digest", TextColumn, nullable=False),
    Column("text", TextColumn, nullable=False),
    Column("taken", Moment, nullable=False),
    UniqueConstraint("run", "path", "kind", "digest"),
)

diagnoses = Table(
    "diagnoses",
    metadata,
    Column("number", _NUMBER, primary_key=True, autoincrement=True),
    Column("incident", TextColumn, ForeignKey("incidents.id"), nullable=False),
    Column("occasion", Choice(Occasion), nullable=False),
    Column("at", Moment, nullable=False),
    Column("diagnosis", Packed(Diagnosis), nullable=False),
    UniqueConstraint("incident", "occasion", "at"),
)

pauses = Table(
    "pauses",
    metadata,
    Column("id", TextColumn, primary_key=True),
    Column("scope", Choice(PauseScope), nullable=False),
    Column("name", TextColumn, nullable=False),
    Column("who", TextColumn, nullable=False),
    Column("why", RedactedText, nullable=False),
    Column("freeze", Boolean, nullable=False),
    Column("since", Moment, nullable=False),
    Column("until", Moment),
    Column("lifted", Moment),
    Column("lifted_by", TextColumn),
    Column("lifted_why", RedactedText),
    _partial("ix_pauses_lifted", "lifted", where="lifted IS NOT NULL"),
    _partial("ix_pauses_holding", "until", where="lifted IS NULL"),
)

questions = Table(
    "questions",
    metadata,
    Column("number", _NUMBER, primary_key=True, autoincrement=True),
    Column("incident", TextColumn, ForeignKey("incidents.id"), nullable=False),
    Column("path", TextColumn, nullable=False),
    Column("kind", Choice(QuestionKind), nullable=False),
    Column("text", RedactedText, nullable=False),
    Column("command", RedactedText, nullable=False),
    Column("plan", TextColumn, nullable=False),
    Column("asked", Moment, nullable=False),
    Column("expires", Moment, nullable=False),
    Column("approvers", Packed(Approvers), nullable=False),
    Column("given", Packed(tuple[GivenAnswer, ...]), nullable=False),
    Column("answer", Choice(Answer)),
    Column("answered", Moment),
    Column("preview", RedactedText, nullable=False),
    UniqueConstraint("incident", "path", "plan", "asked"),
    _partial("ix_questions_rejected", "answered", where="answer = 'no'"),
)

aborts = Table(
    "aborts",
    metadata,
    Column("incident", TextColumn, ForeignKey("incidents.id"), primary_key=True),
    Column("who", TextColumn, nullable=False),
    Column("why", RedactedText, nullable=False),
    Column("requested", Moment, nullable=False),
    Index("ix_aborts_requested", "requested"),
)

catalogs = Table(
    "catalogs",
    metadata,
    Column("number", _NUMBER, primary_key=True, autoincrement=True),
    Column("digest", TextColumn, nullable=False),
    Column("file", TextColumn, nullable=False),
    Column("text", TextColumn, nullable=False),
    UniqueConstraint("digest", "file"),
)

notices = Table(
    "notices",
    metadata,
    Column("id", TextColumn, primary_key=True),
    Column("incident", TextColumn, ForeignKey("incidents.id")),  # NULL: about the daemon itself, or only observed
    Column("kind", Choice(IncidentState), nullable=False),
    Column("text", RedactedText, nullable=False),
    Column("created", Moment, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due", Moment, nullable=False),
    Column("reached", Packed(tuple[str, ...]), nullable=False),
    Column("sent", Boolean, nullable=False),
    Index("ix_notices_incident", "incident"),
    _partial("ix_notices_created", "created", where="incident IS NULL"),
    _partial("ix_notices_due", "due", "id", where="NOT sent", on_sqlite="sent = 0"),
)

incident_messages = Table(
    "incident_messages",
    metadata,
    Column("route", TextColumn, primary_key=True),
    Column("incident", TextColumn, ForeignKey("incidents.id"), primary_key=True),
    Column("channel", TextColumn, nullable=False),
    Column("message", TextColumn, nullable=False),
    Column("digest", TextColumn, nullable=False),
    Column("posted", Moment, nullable=False),
    Column("final", Boolean, nullable=False),
    Index("ix_incident_messages_incident", "incident"),
    _partial("ix_incident_messages_posted", "posted", where="NOT final", on_sqlite="final = 0"),
)

open_pages = Table(
    "open_pages",
    metadata,
    Column("destination", TextColumn, primary_key=True),
    Column("incident", TextColumn, ForeignKey("incidents.id"), primary_key=True),
    Column("opened", Moment, nullable=False),
    Index("ix_open_pages_incident", "incident"),
)

drills = Table(
    "drills",
    metadata,
    Column("service", TextColumn, primary_key=True),
    Column("schedule", TextColumn, nullable=False),
    Column("slot", Moment),
    Column("passed", Moment),
)

dead_letters = Table(
    "dead_letters",
    metadata,
    Column("id", TextColumn, primary_key=True),
    Column("source", Choice(SignalSource), nullable=False),
    Column("received", Moment, nullable=False),
    Column("reason", RedactedText, nullable=False),
    Column("excerpt", RedactedText, nullable=False),
    Column("payload", LargeBinary),  # what can be sent in again; NULL where it was not kept whole
    Index("ix_dead_letters_received", "received"),
)

good_revisions = Table(
    "good_revisions",
    metadata,
    Column("workload", TextColumn, primary_key=True),
    Column("template", TextColumn, primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("first_good", Moment, nullable=False),
    Column("last_good", Moment, nullable=False),
    Column("adopted", Boolean, nullable=False),
    Index("ix_good_revisions_last_good", "last_good"),
)

good_templates = Table(
    "good_templates",
    metadata,
    Column("kind", TextColumn, primary_key=True),
    Column("namespace", TextColumn, primary_key=True),
    Column("name", TextColumn, primary_key=True),
    Column("workload", TextColumn, nullable=False),
    Column("template", TextColumn, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("seen", Moment, nullable=False),
    Column("document", TextColumn, nullable=False),
    Column("withheld", TextColumn, nullable=False),
    Column("fingerprint", TextColumn, nullable=False),
    Column("remainder", TextColumn, nullable=False),
    Index("ix_good_templates_seen", "seen"),
)

seen_replicas = Table(
    "seen_replicas",
    metadata,
    Column("workload", TextColumn, primary_key=True),
    Column("replicas", BigInteger, nullable=False),
    Column("since", Moment, nullable=False),
    Column("until", Moment),
    Index("ix_seen_replicas_since", "since"),
)

good_counts = Table(
    "good_counts",
    metadata,
    Column("service", TextColumn, primary_key=True),
    Column("name", TextColumn, primary_key=True),
    Column("value", BigInteger, nullable=False),
    Column("moment", Moment, nullable=False),
)

scaled_to_zero = Table(
    "scaled_to_zero",
    metadata,
    Column("workload", TextColumn, primary_key=True),
    Column("run", TextColumn, nullable=False),
    Column("moment", Moment, nullable=False),
    Index("ix_scaled_to_zero_moment", "moment"),
)

outages = Table(
    "outages",
    metadata,
    Column("service", TextColumn, primary_key=True),
    Column("outage", Packed(Outage), nullable=False),
)
