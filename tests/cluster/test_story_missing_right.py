"""B11: a right is taken away while a run is under way: the run fails, and says which right is missing."""

import shutil
from pathlib import Path

import pytest

from tests.cluster.conftest import HASTY, StartDaemon
from tests.cluster.story import ClusterStory
from tests.harness.cluster import RealCluster
from tests.harness.daemon import ROOT, kubeconfig, rights
from tests.harness.faults import Faults
from tests.harness.waiting import wait_for

ACCOUNT = "kintsugi-on-leave"
USER = f"system:serviceaccount:default:{ACCOUNT}"
DELETE = {"apiGroups": [""], "resources": ["pods"], "verbs": ["delete"]}


@pytest.mark.heart
def test_without_the_right_to_delete_pods_the_run_fails_and_names_it(
    cluster: RealCluster, faults: Faults, web: str, production: str, daemon: StartDaemon, tmp_path: Path
) -> None:
    """A person is asked before the restart, and while they think RBAC takes the right away; their yes comes too late."""
    assert DELETE in rights()
    login = kubeconfig(cluster, "default", account=ACCOUNT)
    started = daemon(deadlines=HASTY, durations=0.05, kubeconfig=login, catalog=asking(tmp_path / "catalog"))
    story = ClusterStory(cluster, production, started, user=USER).begin(good="web-service")
    victim = story.pods()[0]

    story.at("a pod stops to answer", lambda: faults.make_unready(victim))
    asked = story.within(60).reaches("awaiting-approval")
    story.at("the right to delete pods is taken away", lambda: take_away(cluster))
    story.at("a person says yes", lambda: story.approve(asked))

    incident = story.within(60).ends("failed")
    assert f'User "{USER}" cannot delete resource "pods"' in incident["reason"]
    assert victim["metadata"]["uid"] in story.uids()
    assert story.written_by_daemon("pods") == story.written_by_daemon("deployments") == []


def asking(folder: Path) -> Path:
    """Copy the shipped files, with a question before the restart."""
    for name in ("rules", "runbooks"):
        shutil.copytree(ROOT / name, folder / name)
    runbook = folder / "runbooks" / "web-service-recovery.yaml"
    text = runbook.read_text()
    step = "      name: Restart unhealthy pods\n"
    assert text.count(step) == 1
    runbook.write_text(text.replace(step, f"{step}      approve: Restart the unhealthy pods?\n"))
    return folder


def take_away(cluster: RealCluster) -> None:
    """Take the right out of the account's role, and wait until the API server knows it."""
    (role,) = [
        each for each in cluster.list("clusterrole") if each["metadata"]["name"].startswith(f"default-{ACCOUNT}-")
    ]
    left = [rule for rule in role["rules"] if rule != DELETE]
    assert len(left) == len(role["rules"]) - 1
    cluster.api.patch("clusterrole", role["metadata"]["name"], {"rules": left})
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview"}
    attributes = {"verb": "delete", "resource": "pods", "namespace": "production"}
    spec = {"user": USER, "groups": ["system:serviceaccounts"], "resourceAttributes": attributes}

    def is_gone() -> bool:
        return not cluster.api.create("subjectaccessreview", {**review, "spec": spec})["status"]["allowed"]

    wait_for(is_gone, within=20, describe="the API server knows that the right is gone")
