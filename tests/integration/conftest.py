"""The set-ups that several files of this folder share."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from kintsugi.kube.client import KubeClient
from kintsugi.ledger import Ledger
from kintsugi.settings import KubeSettings
from kubesim import EmbeddedCluster
from tests.harness.daemon import DaemonProcess
from tests.harness.postgres import Postgres
from tests.harness.s3 import S3Server
from tests.integration import backup_stage
from tests.integration.backup_stage import Backups, BackupStage
from tests.integration.command_line import CommandLine, served_api
from tests.integration.database_stage import SHOP, DatabaseStage, postgres
from tests.integration.intake_server import ledger_in
from tests.integration.operations_double import FakeOperations
from tests.integration.restore_stage import Dumps, RestoreStage, dumps
from tests.integration.scripted_api import ScriptedApi, kubeconfig, scripted_api


@pytest.fixture
def operations() -> FakeOperations:
    """What a daemon knows and is asked, without the daemon."""
    return FakeOperations()


@pytest.fixture
def kintsugi(tmp_path: Path, operations: FakeOperations, capsys: pytest.CaptureFixture[str]) -> Iterator[CommandLine]:
    """The command line of Ana, whose daemon has these operations."""
    with served_api(tmp_path, operations) as served:
        yield CommandLine(served, capsys)


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[DaemonProcess]:
    """A daemon on an embedded cluster with nothing in it, which is not started yet."""
    async with EmbeddedCluster.start() as cluster:
        process = DaemonProcess(kubeconfig=cluster.kubeconfig(tmp_path / "kubeconfig"), folder=tmp_path / "daemon")
        try:
            yield process
        finally:
            await asyncio.to_thread(process.stop)


@pytest.fixture
async def started(daemon: DaemonProcess) -> DaemonProcess:
    """The daemon, once it takes webhooks."""
    return await asyncio.to_thread(daemon.start)


@pytest.fixture(scope="session")
def made() -> Iterator[Dumps]:
    """Dumps of databases, and what each of them was."""
    with dumps() as found:
        yield found


@pytest.fixture(scope="module")
def built(made: Dumps) -> Iterator[RestoreStage]:
    """The server that the tests of one file restore into."""
    with RestoreStage.built(made) as restored_into:
        yield restored_into


@pytest.fixture
def restoring(built: RestoreStage) -> Iterator[RestoreStage]:
    """The server as it was before the test."""
    yield built
    built.reset()


@pytest.fixture(scope="session")
def backups() -> Iterator[Backups]:
    """Backups of a shop, from several moments of its life."""
    with backup_stage.made() as found:
        yield found


@pytest.fixture(scope="session")
def live() -> Iterator[Postgres]:
    """The server with the live shop."""
    with backup_stage.live_shop() as server:
        yield server


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    """The S3 server that backups are in."""
    with backup_stage.served() as server:
        yield server


@pytest.fixture
def fetching(s3: S3Server, live: Postgres, backups: Backups) -> Iterator[BackupStage]:
    """An S3 with yesterday's backup, which is good; all that is live is the same afterwards."""
    with BackupStage.set(s3, live, backups) as bucket:
        yield bucket


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[DatabaseStage]:
    """A shop whose real database has a thousand orders, and the daemon that watches it."""
    async with DatabaseStage.set(tmp_path, database=[postgres()]) as stage:
        await stage.psql("CREATE DATABASE app")
        await stage.fill(*SHOP)
        yield stage


@pytest.fixture
async def api() -> AsyncIterator[ScriptedApi]:
    """A scripted API server."""
    async with scripted_api() as server:
        yield server


@pytest.fixture
async def kube(api: ScriptedApi, tmp_path: Path) -> AsyncIterator[KubeClient]:
    """A client of the scripted API server, with the time-outs of the settings."""
    async with KubeClient.connect(KubeSettings(kubeconfig=kubeconfig(tmp_path, api.url))) as client:
        yield client


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    """The ledger of a port that is served."""
    async with ledger_in(tmp_path) as opened:
        yield opened
