"""
The schema's version: brought up to date when the daemon opens its ledger, and checked by all other programs.

Migrations only ever add (expand, then contract a release later), so that two versions of the daemon can share a
ledger during a rollout; a schema of an unknown, hence newer, version is refused (C16).
"""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from kintsugi.errors import LedgerError

_MIGRATIONS = Path(__file__).with_name("migrations")


def migrate(connection: Connection) -> None:
    """Bring the schema to this version, in the caller's transaction. Raises `LedgerError` for a newer one."""
    config = _config()
    _version(connection, config)
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def check(connection: Connection) -> None:
    """Raise `LedgerError` unless the schema is exactly this version's, for those who only read."""
    config = _config()
    version = _version(connection, config)
    if version is None:
        raise LedgerError("there is no ledger yet: the daemon makes it when it starts")
    if version != ScriptDirectory.from_config(config).get_current_head():
        raise LedgerError("the ledger is of an earlier version: start the daemon once, it brings the ledger up to date")


def _version(connection: Connection, config: Config) -> str | None:
    version = MigrationContext.configure(connection).get_current_revision()
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if version is not None and version not in known:
        raise LedgerError(f"the ledger was written by a newer Kintsugi (schema {version}): upgrade this one")
    return version


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
