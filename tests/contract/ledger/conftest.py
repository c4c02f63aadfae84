"""The same ledger on both databases: every contract test runs on an SQLite file and on a real PostgreSQL."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kintsugi.ledger import Ledger
from tests.contract.ledger.build import NOW


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of an empty ledger."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/ledger.db"
    dsn: str = request.getfixturevalue("postgres")
    return dsn


@pytest.fixture
async def ledger(url: str) -> AsyncIterator[Ledger]:
    """Return an open ledger that this process leads."""
    async with Ledger.open(url, holder="kintsugi-0") as opened:
        await opened.lead(NOW)
        yield opened
