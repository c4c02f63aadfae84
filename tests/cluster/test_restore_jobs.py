"""
Workers' Jobs on a real Kubernetes: real kubelet, real logs, quotas and pod security.

The stories are those of `tests/integration/test_restore_jobs.py`, told here under the pod security standard `restricted`
and with no more rights than the documentation grants.
"""

import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest

from kintsugi.actions.job_effect import JobStage
from kintsugi.commands import decode
from kintsugi.errors import Forbidden
from kintsugi.kube.client import KubeClient
from kintsugi.settings import KubeSettings
from tests.harness import manifests
from tests.harness.cluster import RealCluster
from tests.harness.daemon import kubeconfig
from tests.harness.images import BUSYBOX, POSTGRES
from tests.harness.images import Image as Archive
from tests.harness.worker_stories import IMAGE, SETTINGS, STORIES, Story, StoryNamespace, new_run, script

RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}


@pytest.fixture(scope="module")
def image(own_image_cluster: RealCluster, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Make the stand-in's image known to the node."""
    folder = tmp_path_factory.mktemp("stand-in")
    (folder / "python").write_text(script())
    made = Archive(
        name=IMAGE,
        command=["/bin/python"],
        files={"bin/busybox": BUSYBOX, "bin/python": folder / "python"},
        links={"bin/sh": "busybox"},
        environment={"PATH": "/bin"},
    )
    own_image_cluster.load_archive(made.write(folder / "stand-in.tar"))
    return IMAGE


@pytest.fixture(scope="module")
def own_image_cluster(cluster: RealCluster) -> RealCluster:
    """Return the run's cluster where images may be loaded."""
    if not cluster.ours:
        pytest.skip("a lent cluster does not know the stand-in's image")
    return cluster


@pytest.fixture
def restricted(cluster: RealCluster, image: str) -> Iterator[str]:
    """Return a namespace that holds pods to the strictest standard, with what the stories' service needs."""
    with cluster.namespace(labels=RESTRICTED) as namespace:
        front = manifests.front(namespace, "database", {"app": "database"}, main=(80, 8080))
        cluster.apply(manifests.secret(namespace, "database-credentials", password="x"), front)
        yield namespace


@pytest.fixture
async def place(cluster: RealCluster, restricted: str) -> AsyncIterator[StoryNamespace]:
    """Return where the stories are told; each claim finds a volume of its own."""

    def volume_for(claim: str) -> None:
        volume, _ = manifests.volume(restricted, claim=claim)
        cluster.apply(volume)

    async with KubeClient.connect(KubeSettings(kubeconfig=kubeconfig(cluster, restricted))) as kube:
        yield StoryNamespace(kube=kube, namespace=restricted, volume_for=volume_for)


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
async def test_as_on_the_embedded_cluster(place: StoryNamespace, story: Story) -> None:
    await story(place)


async def test_a_drill_s_server_runs_under_the_strictest_standard_and_ends_with_its_worker(
    own_image_cluster: RealCluster, place: StoryNamespace
) -> None:
    """E9: a real PostgreSQL without root, rights or password, as a sidecar: its Job comes to its end by itself."""
    own_image_cluster.load_images(POSTGRES)
    settings = replace(SETTINGS, drill_image=POSTGRES, drill_ephemeral_storage="256Mi", drill_memory="256Mi")
    run = new_run()
    fetched = await place.made(place.fetch("good"), place.around(run, "newest"))
    await place.until(fetched, run, lambda seen: seen.stage is JobStage.DONE)
    words = {"file": "/backups/good.dump", "user": "postgres", "database": "kintsugi_drill_x"}
    command = decode({"command": "PgRestore", "host": f"localhost.{place.namespace}", **words})
    made = await place.made(command, place.around(run, "restore"), settings)
    await place.until(made, run, lambda seen: seen.stage is JobStage.DONE)
    job = f"job/{made.facts['job']}"
    own_image_cluster.kubectl("-n", place.namespace, "wait", job, "--for=condition=Complete", "--timeout=120s")
    (pod,) = own_image_cluster.list("pod", place.namespace, selector=f"job-name={made.facts['job']}")
    ended = {each["name"]: each["state"]["terminated"] for each in pod["status"]["initContainerStatuses"]}
    assert ended["initdb"]["exitCode"] == 0
    assert ended["server"]["exitCode"] == 0, ended


async def test_a_quota_that_leaves_no_pod_is_told(cluster: RealCluster, place: StoryNamespace) -> None:
    """Its Job waits, and says why."""
    quota(cluster, place.namespace, pods="0")
    run = new_run()
    prepared = await place.made(place.fetch("good"), place.around(run, "newest"))
    standing = await place.until(prepared, run, lambda seen: "exceeded quota" in seen.why)
    assert standing.stage is JobStage.STARTING
    assert re.search(r"it has no pod; FailedCreate: .*exceeded quota: small", standing.why)


async def test_a_quota_that_leaves_no_claim_takes_the_job_away_again(
    cluster: RealCluster, place: StoryNamespace
) -> None:
    quota(cluster, place.namespace, persistentvolumeclaims="0")
    with pytest.raises(Forbidden, match="exceeded quota: small"):
        await place.made(place.fetch("good"), place.around(new_run(), "newest"))
    assert cluster.list("job", place.namespace) == []


def quota(cluster: RealCluster, namespace: str, **hard: str) -> None:
    """Leave so much room in a namespace, and wait until it counts."""
    metadata = {"name": "small", "namespace": namespace}
    cluster.apply({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": {"hard": hard}})
    cluster.kubectl("-n", namespace, "wait", "quota/small", "--for=jsonpath={.status.hard}", "--timeout=60s")
