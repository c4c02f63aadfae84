"""The daemon under docs/admission-policies.yaml, as its own service account and with no more than its rights: it heals as before."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import bound_account
from tests.cluster.conftest import HASTY, TIME_FOR_PODS, StartDaemon
from tests.cluster.story import OF_WEB, ClusterStory
from tests.harness import admission_policies
from tests.harness.cluster import KubectlError, RealCluster
from tests.harness.faults import Faults
from tests.harness.images import WEB_BAD

STUCK = {"alertname": "KubeDeploymentRolloutStuck", **OF_WEB}
NODE = {"spec": {"template": {"spec": {"volumes": [{"name": "node", "hostPath": {"path": "/"}}]}}}}


@pytest.fixture(scope="module")
def token(cluster: RealCluster) -> Iterator[Path]:
    """Put the policies in force, and return the account's kubeconfig: it is bound in `production` alone."""
    path = bound_account.login(cluster)
    admission_policies.enforce(cluster)
    yield path
    admission_policies.lift(cluster)


@pytest.fixture
def held(cluster: RealCluster, token: Path, web: str, production: str) -> Iterator[Path]:
    """Return the kubeconfig; when the story is told the same account is still held to its work."""
    yield token
    patch = ("patch", "deployment/web-app-deployment", "-n", production, "--dry-run=server", "-p", json.dumps(NODE))
    with pytest.raises(KubectlError, match=r"'kintsugi-workloads'.*no volume that it does not have"):
        cluster.kubectl(f"--kubeconfig={token}", *patch)


def test_a_change_that_a_policy_denies_is_handed_to_a_person_in_its_words(
    cluster: RealCluster, faults: Faults, held: Path, web: str, production: str, daemon: StartDaemon
) -> None:
    """P5, P8: the bad version came with a variable less, and to go back would bring it in."""
    started = daemon(kubeconfig=held, deadlines=HASTY, durations=0.01, environment=TIME_FOR_PODS)
    story = ClusterStory(cluster, production, started, user=bound_account.USER).begin(good="web-service")

    story.at("a bad version is rolled out", lambda: faults.bad_rollout(story.deployment()))
    story.at("it needs a variable less", lambda: story.set_variable("POD_UID-"))
    story.within(20).rolls(3).at("the alert fires", lambda: story.alert("firing", STUCK))

    incident = story.within(120).ends("needs-operator")
    assert "a container gets no variable and no mount that it does not have already" in incident["reason"]
    assert "kubectl rollout undo deployment/web-app-deployment --to-revision=1" in incident["reason"]
    assert story.container()["image"] == WEB_BAD
