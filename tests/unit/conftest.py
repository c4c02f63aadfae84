"""What the tests of decisions share: the pace of virtual time, and a ledger in memory."""

from collections.abc import AsyncIterator

import pytest

from kintsugi.ledger import Ledger
from tests.harness import ledgers
from tests.unit import virtual
from tests.unit.factories import NOW


def pytest_itemcollected(item: pytest.Item) -> None:
    """Let each test in virtual time move its clock as ours do."""
    if item.get_closest_marker("looptime"):
        item.add_marker(pytest.mark.looptime(noop_cycles=virtual.ROUNDS))


@pytest.fixture
async def ledger() -> AsyncIterator[Ledger]:
    """Return the in-memory ledger, led and without rows."""
    async with ledgers.in_memory(NOW) as led:
        yield led
