"""The tables of facts that are kept longer than incidents: a row a workload, a revision, or a count."""

from sqlalchemy import BigInteger, Boolean, Column, Index, Table

from kintsugi.ledger.columns import Moment, Packed, TextColumn
from kintsugi.ledger.tables import metadata
from kintsugi.model.outages import Outage

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
