"""A restore whose worker ended without a word: a real PostgreSQL is asked what became of it (P3, E11)."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kintsugi.actions.change_context import ChangeContext
from kintsugi.actions.job_effect import JobStage, JobState
from kintsugi.actions.pods import ContainerExec
from kintsugi.kube.client import KubeClient
from kintsugi.model.services import WorkloadRef
from kintsugi.settings import KubeSettings
from kintsugi_restore import job_target
from kintsugi_restore.commands import PgRestore
from kintsugi_restore.worker_results import LOCK_CLASS
from kubeobjects.resources import STATEFULSETS
from kubesim import EmbeddedCluster
from kubesim.postgres import postgres_image
from tests.harness.waiting import eventually
from tests.integration.database_stage import (
    DATABASE,
    NAMESPACE,
    POSTGRES,
    TIMEOUT,
    is_ready,
    postgres,
    psql,
    related_objects,
)
from tests.unit.factories import NOW

pytestmark = pytest.mark.long


RESTORE = PgRestore(file="/backups/app.dump", host="database.production", user="postgres", database="app")
LOST = JobState(stage=JobStage.LOST, why="job/kintsugi-x has ended without the worker's last line")
AROUND = ChangeContext(
    incident="inc-1",
    run="run-1",
    now=NOW,
    service=DATABASE,
    namespace=NAMESPACE,
    workload=WorkloadRef(resource=STATEFULSETS, name=DATABASE),
)


@pytest.fixture
async def cluster() -> AsyncIterator[EmbeddedCluster]:
    """A cluster with a real database in it, ready."""
    async with EmbeddedCluster.start(speed=10, images={POSTGRES: postgres_image()}) as embedded:
        for manifest in (*related_objects(), postgres()):
            embedded.apply(manifest)
        await eventually(lambda: is_ready(embedded), within=TIMEOUT)
        yield embedded


@pytest.fixture
async def kube(cluster: EmbeddedCluster, tmp_path: Path) -> AsyncIterator[KubeClient]:
    """A client of it."""
    settings = KubeSettings(kubeconfig=cluster.kubeconfig(tmp_path / "kubeconfig"))
    async with KubeClient.connect(settings) as client:
        yield client


async def settled(kube: KubeClient) -> JobState:
    """Ask the database."""
    return await job_target.settle(kube, ContainerExec(kube), RESTORE, LOST, AROUND)


async def test_a_database_with_tables_is_whole_and_a_missing_one_was_not_restored(kube: KubeClient) -> None:
    """A database is hidden until it is whole."""
    missing = await settled(kube)
    assert missing.stage is JobStage.FAILED
    assert "nothing was restored into app" in missing.why

    await psql(kube, "CREATE DATABASE app")
    assert (await settled(kube)).stage is JobStage.FAILED, "an empty one was there before"

    await psql(kube, "CREATE TABLE orders AS SELECT generate_series(1, 1000) AS id", "app")
    await psql(kube, 'CREATE SCHEMA "of a shop" CREATE TABLE "it\'s" (id int)', "app")
    await psql(kube, "ANALYZE", "app")
    done = await settled(kube)
    assert done.stage is JobStage.DONE
    restored = done.names["restored"]
    assert isinstance(restored, dict)
    assert restored["tables"] == [{"name": "of a shop.it's", "rows": 0}, {"name": "public.orders", "rows": 1000}]
    assert done.names["notes"] == [job_target.ESTIMATED]


async def test_while_the_lock_of_a_worker_is_held_it_is_at_work(kube: KubeClient) -> None:
    """On a node that the API server does not hear of any more."""
    holding = asyncio.create_task(psql(kube, f"SELECT pg_advisory_lock({LOCK_CLASS}, hashtext('app')), pg_sleep(300)"))

    async def is_at_work() -> bool:
        return (await settled(kube)).stage is JobStage.RUNNING

    await eventually(is_at_work, within=TIMEOUT)
    await psql(kube, "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
    assert (await settled(kube)).stage is JobStage.FAILED
    await asyncio.gather(holding, return_exceptions=True)
