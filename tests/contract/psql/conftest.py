"""The run's own server, which is asked in a container and directly."""

import pytest

from tests.contract.psql.asking import WAYS, AskedServer
from tests.harness.postgres import Postgres


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    """Name the way in which a case asks."""
    return str(request.param)


@pytest.fixture
def asked(postgres_server: Postgres) -> AskedServer:
    """Return the server, for either way."""
    return AskedServer(postgres_server)
