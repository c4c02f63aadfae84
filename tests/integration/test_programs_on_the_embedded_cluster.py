"""`kubectl exec` and the probe of our own, over the API of the embedded cluster: the code that production runs."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from kintsugi.actions.actions import Actions
from kintsugi.actions.probe_context import ProbeContext
from kintsugi.clients.addresses import AddressRule
from kintsugi.clients.clients import Clients
from kintsugi.commands import parse
from kintsugi.errors import OutcomeUnknown, ProbeFailed, Refused
from kintsugi.kube.client import KubeClient
from kintsugi.settings import KubeSettings
from kubeobjects.resources import PODS
from kubesim import EmbeddedCluster, ExecReply, Image

SOON = timedelta(seconds=10)
LABELS = {"app": "database"}
DATABASE = Image(
    commands={
        "psql *pg_is_in_recovery*": ExecReply(stdout='[{"standby":false}]\n', needs_ready=True),
        "psql *no_such_table*": ExecReply(stderr='ERROR:  relation "no_such_table" does not exist\n', exit_code=1),
        "psql *": ExecReply(stdout='[{"state":"streaming"},{"state":"catchup"}]\n', needs_ready=True),
        "redis-cli PING": ExecReply(stdout="PONG\n"),
        "pg_isready": ExecReply(stdout="no response\n", exit_code=2),
    }
)
STATEFUL_SET = {
    "apiVersion": "apps/v1",
    "kind": "StatefulSet",
    "metadata": {"name": "database", "namespace": "production"},
    "spec": {
        "serviceName": "database",
        "replicas": 1,
        "selector": {"matchLabels": LABELS},
        "template": {
            "metadata": {"labels": LABELS},
            "spec": {"containers": [{"name": "postgres", "image": "postgres:16"}]},
        },
    },
}


@pytest.fixture
def database() -> Image:
    """What the database's container says; a test may have another."""
    return DATABASE


@pytest.fixture
async def cluster(database: Image) -> AsyncIterator[EmbeddedCluster]:
    """A cluster with one database."""
    async with EmbeddedCluster.start(speed=20, images={"postgres:16": database}) as embedded:
        embedded.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "production"}})
        embedded.apply(STATEFUL_SET)
        yield embedded


@pytest.fixture
async def kube(cluster: EmbeddedCluster, tmp_path: Path) -> AsyncIterator[KubeClient]:
    """A client of it."""
    settings = KubeSettings(kubeconfig=cluster.kubeconfig(tmp_path / "kubeconfig"))
    async with KubeClient.connect(settings) as client:
        yield client


@pytest.fixture
async def actions(kube: KubeClient) -> Actions:
    """What does commands on it, once the database is ready."""
    async with asyncio.timeout(20):
        while not await ready(kube):
            await asyncio.sleep(0.05)
    return Actions(kube, Clients.restricted_to(AddressRule(allow_loopback=True)))


async def ready(kube: KubeClient) -> bool:
    """Return whether the database's pod is ready."""
    pods = (await kube.list(PODS, "production", labels="app=database")).items
    conditions = [each for pod in pods for each in pod["status"].get("conditions", [])]  # type: ignore[attr-defined]
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


async def look(actions: Actions, line: str) -> dict[str, object]:
    """Do a command."""
    return dict(
        (await actions.read(parse(line, namespace="production"), deadline=SOON, probe_context=ProbeContext())).names
    )


async def test_a_workload_s_primary_answers_with_typed_rows(actions: Actions) -> None:
    names = await look(
        actions, "kubectl exec -it statefulset/database -- psql -U postgres -c 'TABLE pg_stat_replication'"
    )
    assert names == {"rows": [{"state": "streaming"}, {"state": "catchup"}], "value": "streaming"}


async def test_a_program_s_lines_and_exit_code_are_its_own(actions: Actions) -> None:
    said = await look(actions, "kubectl exec -it statefulset/database -- redis-cli PING")
    assert said == {"lines": ["PONG"], "text": "PONG\n", "exit_code": 0}
    failed = await look(actions, "kubectl exec database-0 -- pg_isready")
    assert (failed["lines"], failed["exit_code"]) == (["no response"], 2)


async def test_an_error_of_the_database_is_told(actions: Actions) -> None:
    with pytest.raises(ProbeFailed, match="relation 'no_such_table' does not exist"):
        await look(actions, "kubectl exec database-0 -- psql -c 'TABLE no_such_table'")


async def test_a_program_that_the_image_does_not_have_is_refused(actions: Actions) -> None:
    with pytest.raises(Refused, match="there is no pg_isready in this container"):
        await look(actions, "kubectl exec database-0 -- pg_isready -t 3")


@pytest.mark.parametrize("database", [replace(DATABASE, ready_after=timedelta(days=1))], ids=["still starting"])
async def test_a_database_that_is_not_ready_has_no_primary(kube: KubeClient) -> None:
    """P6: from its start on, until it answers for itself."""
    actions = Actions(kube, Clients.restricted_to(AddressRule(allow_loopback=True)))
    with pytest.raises((ProbeFailed, OutcomeUnknown)):
        await look(actions, "kubectl exec statefulset/database -- psql -c 'SELECT 1'")
