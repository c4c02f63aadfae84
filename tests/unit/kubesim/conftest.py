"""An embedded cluster for each test, ten times as fast as a real one, and a client that knows nothing but HTTP."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from kubesim import EmbeddedCluster
from tests.contract.kube.talk import ApiUser


@pytest.fixture
async def embedded() -> AsyncIterator[EmbeddedCluster]:
    """Run an embedded cluster."""
    async with EmbeddedCluster.start(speed=20) as started:
        yield started


@pytest.fixture
async def client(embedded: EmbeddedCluster) -> AsyncIterator[ApiUser]:
    """Speak to the cluster as its administrator."""
    async with aiohttp.ClientSession() as session:
        yield ApiUser(session=session, server=embedded.url, namespace="default", token=embedded.admin_token)
