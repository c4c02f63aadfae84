"""The server that the fuzzers of this folder ask."""

from collections.abc import AsyncIterator

import pytest

from tests.unit.answers.wire import Answering, answering


@pytest.fixture
async def server() -> AsyncIterator[Answering]:
    """A server that says what an example holds."""
    async with answering(Answering()) as made:
        yield made
