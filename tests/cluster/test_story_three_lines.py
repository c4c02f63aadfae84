"""An application of nobody's rules on the real cluster, with nothing but what `kintsugi init` wrote for it: what is mended, and what is a person's."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.conftest import TIME_FOR_PODS, StartDaemon
from tests.cluster.kubectl import workload
from tests.cluster.story import ClusterStory
from tests.harness import manifests
from tests.harness.cluster import RealCluster
from tests.harness.daemon import command
from tests.harness.notices import NoticeReceiver
from tests.harness.registry import Registry, served

MARKET, FRONT = "market", "front"
SERVICE = "front-deployment"
MISSING = "front:gone"


@pytest.fixture
def market(cluster: RealCluster) -> Iterator[str]:
    """Deploy a front end of two pods, a back end, a StatefulSet and a DaemonSet, ready; return their namespace."""
    with cluster.namespace(MARKET) as namespace:
        cluster.apply(*manifests.tier(namespace, FRONT, replicas=2), *manifests.tier(namespace, "back"))
        cluster.apply(
            workload("statefulset", namespace, "store", replicas=1),
            workload("daemonset", namespace, "agent", replicas=1),
        )
        for each in (f"deployment/{FRONT}-deployment", "deployment/back-deployment"):
            cluster.kubectl("rollout", "status", each, "-n", namespace, "--timeout=120s")
        yield namespace


@pytest.fixture
def story(
    cluster: RealCluster, market: str, daemon: StartDaemon, tmp_path: Path, notices: NoticeReceiver
) -> ClusterStory:
    """Begin a story with the catalog that `kintsugi init` writes for the namespace."""
    catalog = tmp_path / "catalog"
    done = command("init", catalog, "-n", market, "--kubeconfig", cluster.kubeconfig)
    assert done.code == 0, done
    own = {"KINTSUGI_CATALOG__EXAMPLE": "false", "KINTSUGI_CATALOG__ADDITIONS": str(catalog)}
    started = daemon(durations=0.01, environment={**TIME_FOR_PODS, **own, **notices.environment})
    return ClusterStory(cluster, market, started, app=FRONT).begin(good=SERVICE)


def roll_out(story: ClusterStory, **changed: Any) -> None:
    """Roll out the front end with a container that differs in this."""
    container = {**story.container(), **changed}
    story.patch({"spec": {"template": {"spec": {"containers": [container]}}}})


@pytest.mark.heart
def test_an_image_that_does_not_exist_is_taken_back_by_what_init_wrote_beside_pods_that_serve(
    story: ClusterStory,
) -> None:
    good, before = story.container()["image"], story.uids()
    with Registry().running():
        image = served(MISSING)
        story.at("an image is rolled out", lambda: roll_out(story, image=image, imagePullPolicy="IfNotPresent"))
        incident = story.within(120).ends("recovered", service=SERVICE)
    assert incident["reason"].startswith(f"rolled back from revision 2 (image {image}, ")
    assert story.container()["image"] == good
    assert set(before) <= set(story.uids())
    assert [(each.verb, each.resource) for each in story.writes()] == [("patch", "deployments")]
