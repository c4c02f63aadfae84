"""Workers' Jobs on the embedded cluster; `tests/cluster/test_restore_jobs.py` tells the same stories on a real one."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kintsugi.kube.client import KubeClient
from kintsugi.settings import KubeSettings
from kintsugi_demo.shop import NAMESPACE, secret, service
from kubesim import EmbeddedCluster, Image
from kubesim.images import Program
from tests.harness.worker_stories import IMAGE, STORIES, Story, StoryNamespace, script
from tests.integration.process_stage import documented

pytestmark = pytest.mark.long


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[StoryNamespace]:
    """An embedded cluster that knows the stand-in, and grants what the documentation says and no more."""
    (tmp_path / "python").write_text(script())
    program = Program(entrypoint=("python",), programs={"python": ("/bin/sh", str(tmp_path / "python"))})
    async with EmbeddedCluster.start(speed=20, images={IMAGE: Image(program=program)}) as cluster:
        cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        cluster.apply(service("database", 5432))
        cluster.apply(secret("database-credentials", password="x"))
        settings = KubeSettings(kubeconfig=cluster.kubeconfig(tmp_path / "kubeconfig", "kintsugi", documented()))
        async with KubeClient.connect(settings) as kube:
            yield StoryNamespace(kube=kube, namespace=NAMESPACE)


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
async def test_on_the_embedded_cluster(place: StoryNamespace, story: Story) -> None:
    await story(place)
