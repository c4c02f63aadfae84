"""
The schema's version: brought up to date when the daemon opens its ledger, and checked by all other programs.

A new ledger is made from `tables` as they are, and has the newest version at once; a migration brings an earlier ledger to
the same tables. Migrations only ever add (expand, then contract a release later), so that two versions of the daemon can share
a ledger during a rollout; an unknown schema, of a newer version or from before the first release, is refused (C16).
"""

from pathlib import Path

from sqlalchemy import Column, Connection, MetaData, PrimaryKeyConstraint, String, Table, insert, inspect, select

from kintsugi.errors import LedgerError
from kintsugi.ledger.store.engines import shown_url
from kintsugi.ledger.store.tables import metadata

VERSIONS = ("v1",)
"""The revisions of the migrations, oldest first."""

_MIGRATIONS = Path(__file__).with_name("migrations")

_VERSION = Table(
    "alembic_version",
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)
"""Alembic's own table, with one row: a ledger that is new or up to date does not load alembic, which takes 38 MiB."""


def migrate(connection: Connection) -> None:
    """Bring the schema to this version, in the caller's transaction. Raises `LedgerError` for an unknown one."""
    version = _version(connection)
    if version is None:
        metadata.create_all(connection, checkfirst=False)
        _VERSION.create(connection, checkfirst=True)
        connection.execute(insert(_VERSION).values(version_num=VERSIONS[-1]))
    elif version != VERSIONS[-1]:
        _upgrade(connection)


def check(connection: Connection) -> None:
    """Raise `LedgerError` unless the schema is exactly this version's, for those who only read."""
    version = _version(connection)
    if version is None:
        raise LedgerError("there is no ledger yet: the daemon makes it when it starts")
    if version != VERSIONS[-1]:
        raise LedgerError("the ledger is of an earlier version: start the daemon once, it brings the ledger up to date")


def _version(connection: Connection) -> str | None:
    version = None
    if inspect(connection).has_table(_VERSION.name):
        version = connection.execute(select(_VERSION.c.version_num)).scalar_one_or_none()
    if version not in (None, *VERSIONS):
        raise LedgerError(
            f"the ledger {shown_url(connection.engine)} has the schema {version}, which this Kintsugi does not know: "
            "upgrade Kintsugi if a newer one wrote it, or set --ledger (ledger.url) to a new ledger"
        )
    return version


def _upgrade(connection: Connection) -> None:
    """Run the migrations that the ledger has not had."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
