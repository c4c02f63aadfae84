"""Workers' Jobs on the embedded cluster; `tests/cluster/test_restore_jobs.py` tells the same stories on a real one."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kintsugi.kube.client import KubeClient
from kintsugi.settings import KubeSettings
from kubesim import EmbeddedCluster, Image
from kubesim.apiserver.rights import Rule
from kubesim.images import Program
from tests.harness.daemon import rights
from tests.harness.worker_stories import IMAGE, STORIES, Story, StoryNamespace, script

pytestmark = pytest.mark.long

NAMESPACE = "production"


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[StoryNamespace]:
    """An embedded cluster that knows the stand-in, and grants what the documentation says and no more."""
    (tmp_path / "python").write_text(script())
    program = Program(entrypoint=("python",), programs={"python": ("/bin/sh", str(tmp_path / "python"))})
    async with EmbeddedCluster.start(speed=20, images={IMAGE: Image(program=program)}) as cluster:
        cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        cluster.apply(
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": "database", "namespace": NAMESPACE},
                "spec": {"selector": {"app": "database"}, "ports": [{"port": 5432}]},
            }
        )
        cluster.apply(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": "database-credentials", "namespace": NAMESPACE},
                "stringData": {"password": "x"},
            }
        )
        may = [
            Rule(verbs=tuple(each["verbs"]), resources=tuple(each["resources"]), groups=tuple(each["apiGroups"]))
            for each in rights()
        ]
        settings = KubeSettings(kubeconfig=cluster.kubeconfig(tmp_path / "kubeconfig", "kintsugi", may))
        async with KubeClient.connect(settings) as kube:
            yield StoryNamespace(kube=kube, namespace=NAMESPACE)


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
async def test_on_the_embedded_cluster(place: StoryNamespace, story: Story) -> None:
    await story(place)
