"""
The schema's version: brought up to date when the daemon opens its ledger, and checked by all other programs.

A new ledger is made from `tables` as they are, and has the newest version at once; a migration brings an earlier ledger to
the same tables. Migrations only ever add (expand, then contract a release later), so that two versions of the daemon can share
a ledger during a rollout; an unknown schema, of a newer version or from before the first release, is refused (C16).
"""

from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from kintsugi.errors import LedgerError
from kintsugi.ledger.engines import shown_url
from kintsugi.ledger.tables import metadata

_MIGRATIONS = Path(__file__).with_name("migrations")


def migrate(connection: Connection) -> None:
    """Bring the schema to this version, in the caller's transaction. Raises `LedgerError` for an unknown one."""
    version = _version(connection)
    if version is None:
        metadata.create_all(connection, checkfirst=False)
        MigrationContext.configure(connection).stamp(_scripts(), "head")
    if version in (None, _scripts().get_current_head()):
        return
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def check(connection: Connection) -> None:
    """Raise `LedgerError` unless the schema is exactly this version's, for those who only read."""
    version = _version(connection)
    if version is None:
        raise LedgerError("there is no ledger yet: the daemon makes it when it starts")
    if version != _scripts().get_current_head():
        raise LedgerError("the ledger is of an earlier version: start the daemon once, it brings the ledger up to date")


def _version(connection: Connection) -> str | None:
    version = MigrationContext.configure(connection).get_current_revision()
    known = {script.revision for script in _scripts().walk_revisions()}
    if version is not None and version not in known:
        raise LedgerError(
            f"the ledger {shown_url(connection.engine)} has the schema {version}, which this Kintsugi does not know: "
            "upgrade Kintsugi if a newer one wrote it, or set --ledger (ledger.url) to a new ledger"
        )
    return version


@cache
def _scripts() -> ScriptDirectory:
    """Return the migrations, which are read once: reading them takes longer than a ledger that is up to date does."""
    return ScriptDirectory.from_config(_config())


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
