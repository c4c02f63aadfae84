"""A ledger has exactly the tables that the code speaks of, and versions are told apart."""

import hashlib
import re
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, select, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateIndex, CreateTable, DDLElement

from kintsugi.errors import LedgerError, LedgerUnavailable
from kintsugi.ledger import Ledger
from kintsugi.ledger.store import schema
from kintsugi.ledger.store.tables import metadata
from tests.contract.ledger.build import begin, leading, not_opened
from tests.harness.ledger_rows import beside
from tests.harness.postgres import Postgres

TABLES = {"v1": "4353828d40952e293900663575c287eb846dab1d35c8d4d9b65dccf2e7db52c9"}
"""By version, a digest of the statements that make its tables on both databases."""


def test_a_change_of_the_tables_has_a_version_of_its_own() -> None:
    """
    C16: an earlier ledger is not used as it is.

    A changed digest asks for a migration, for a line of its version here, and for a test that brings a ledger of the version
    before to the same tables.
    """
    made = hashlib.sha256()
    for dialect in (postgresql.dialect(), sqlite.dialect()):  # type: ignore[no-untyped-call]  # they have no types
        for table in metadata.sorted_tables:
            indexes = sorted(table.indexes, key=lambda index: str(index.name))
            statements: list[DDLElement] = [CreateTable(table), *map(CreateIndex, indexes)]
            for statement in statements:
                made.update(" ".join(str(statement.compile(dialect=dialect)).split()).encode())
    assert made.hexdigest() == TABLES[schema.VERSIONS[-1]]


def test_the_versions_that_the_code_knows_are_those_of_the_migrations() -> None:
    """C16: a ledger that is up to date is told without alembic."""
    revisions = ScriptDirectory(str(schema._MIGRATIONS)).walk_revisions()
    assert [each.revision for each in revisions] == [*reversed(schema.VERSIONS)]


async def test_the_version_is_kept_as_alembic_keeps_it(ledger: Ledger) -> None:
    """C16: alembic finds the version of a new ledger, and the next one brings it up to date."""

    def kept(connection: Connection) -> None:
        made, expected = (
            str(CreateTable(each).compile(connection))
            for each in (schema._VERSION, MigrationContext.configure(connection)._version)
        )
        assert made == expected
        schema._upgrade(connection)
        assert connection.execute(select(schema._VERSION)).all() == [(schema.VERSIONS[-1],)]

    await beside(ledger, kept)


async def test_a_new_ledger_has_the_tables_that_the_code_speaks_of(ledger: Ledger) -> None:
    """C16."""

    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"compare_type": False})
        assert context.get_current_revision() == schema.VERSIONS[-1]
        return list(compare_metadata(context, metadata))

    assert await beside(ledger, differences) == []


async def test_opening_again_migrates_nothing_and_loses_nothing(url: str) -> None:
    """C16."""
    async with leading(url) as ledger:
        run = await begin(ledger)
    async with Ledger.open(url, holder="kintsugi-0") as ledger:
        assert await ledger.incidents.open_runs() == (run,)


@pytest.mark.parametrize("schema", ["3", "v9999"], ids=["earlier", "later"])
async def test_a_ledger_with_another_schema_is_refused(url: str, schema: str) -> None:
    """C16: after a rollback of the daemon's image, and with the ledger of a version from before the first release."""
    async with Ledger.open(url, holder="kintsugi-0") as ledger:
        newer = text(f"UPDATE alembic_version SET version_num = '{schema}'")
        await beside(ledger, lambda connection: connection.execute(newer))
    refused = re.escape(f"the ledger {url} has the schema {schema}") + ".*upgrade.*or set --ledger .ledger.url."
    for opening in (Ledger.open(url, holder="kintsugi-0"), Ledger.read(url)):
        await not_opened(opening, LedgerError, refused)


async def test_a_reader_does_not_make_a_ledger(tmp_path: Path, postgres: str) -> None:
    """`kintsugi incidents` with a wrong path says so."""
    file = tmp_path / "ledger.db"
    await not_opened(Ledger.read(f"sqlite:///{file}"), LedgerUnavailable, "no ledger at")
    assert not file.exists()
    await not_opened(Ledger.read(postgres), LedgerError, "no ledger yet")


async def test_sqlite_keeps_what_a_power_cut_must_not_take(tmp_path: Path) -> None:
    """D8: WAL with synchronous=FULL, foreign keys on, on the very connection that writes."""
    async with Ledger.open(f"sqlite:///{tmp_path}/ledger.db", holder="kintsugi-0") as ledger:
        names = ("journal_mode", "synchronous", "foreign_keys")
        found = [await _ask(ledger, f"PRAGMA {name}") for name in names]
    assert found == ["wal", 2, 1]


@pytest.mark.parametrize(("server", "session"), [("off", "on"), ("remote_apply", "remote_apply")])
async def test_postgres_commits_durably_whatever_the_server_says(
    postgres: str, postgres_server: Postgres, server: str, session: str
) -> None:
    """D3: a commit that was answered is on disk; a server that promises more keeps its promise."""
    postgres_server.psql(f'ALTER DATABASE "{postgres.rpartition("/")[2]}" SET synchronous_commit = {server}')
    async with Ledger.open(postgres, holder="kintsugi-0") as ledger:
        assert await _ask(ledger, "SHOW synchronous_commit") == session


async def _ask(ledger: Ledger, question: str) -> object:
    return await beside(ledger, lambda connection: connection.scalar(text(question)))
