"""
The same ledger on both databases: every contract test runs on an SQLite file and on a real PostgreSQL.

Those that need nothing but a ledger run on the in-memory one as well, which unit tests work with.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from kintsugi.ledger import Ledger
from tests.contract.ledger.build import leading
from tests.harness import ledgers
from tests.harness.postgres import Postgres

ON = ("sqlite", "postgres")


@pytest.fixture(params=ON)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of a database with nothing in it."""
    if request.param == "sqlite":
        return ledgers.url_of(tmp_path / "ledger.db")
    dsn: str = request.getfixturevalue("postgres")
    return dsn


@pytest.fixture(params=(*ON, "memory"))
def made(request: pytest.FixtureRequest) -> Iterator[str]:
    """Return the URL of a ledger that was opened before and has no rows yet: a copy of one that was made once."""
    if request.param == "sqlite":
        file: Path = request.getfixturevalue("tmp_path") / "ledger.db"
        file.write_bytes(ledgers.content())
        yield ledgers.url_of(file)
        return
    if request.param == "memory":
        with ledgers.memory() as url:
            yield url
        return
    server: Postgres = request.getfixturevalue("postgres_server")
    dsn = server.create_database(like=request.getfixturevalue("made_database"))
    yield dsn
    server.drop_database(dsn)


@pytest.fixture(scope="session")
def made_database(postgres_server: Postgres) -> str:
    """Return the URL of a PostgreSQL database with the tables of a ledger."""
    dsn = postgres_server.create_database("made")
    asyncio.run(ledgers.make(dsn))
    return dsn


@pytest.fixture
async def ledger(made: str) -> AsyncIterator[Ledger]:
    """Return an open ledger that this process leads."""
    async with leading(made) as opened:
        yield opened
