"""What the tests of watched conditions share: a ledger that notes what it is told."""

from collections.abc import AsyncIterator

import pytest

from tests.unit.sources.watched_ledger import WatchedLedger, watched_ledger


@pytest.fixture
async def watched() -> AsyncIterator[WatchedLedger]:
    """Return the in-memory ledger, and what it is told."""
    async with watched_ledger() as made:
        yield made
