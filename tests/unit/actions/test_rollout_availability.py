"""A restart is not made where its pods would fail to start, and never ends the last good pod."""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from kubediagnosis.templates import RESTARTED
from kubeobjects.resources import PODS, REPLICASETS, STATEFULSETS
from kubeobjects.starting import ENDS_AT_ONCE
from tests.unit.actions.changes import Cluster
from tests.unit.actions.cluster_of_dicts import NOW
from tests.unit.actions.samples import (
    NAMESPACE,
    ago,
    controller_revision,
    deployment,
    healthy_pod,
    owner,
    pod,
    replica_set,
    stateful_set,
)

SCHEDULED = {"type": "PodScheduled", "status": "True", "lastTransitionTime": ago(minutes=3)}
NOT_READY = {"type": "Ready", "status": "False", "lastTransitionTime": ago(minutes=3)}


def container(state: Mapping[str, object], *, restarts: int = 0, **more: object) -> dict[str, Any]:
    """Make the status of a container that is not ready."""
    return {"name": "web", "ready": False, "restartCount": restarts, "state": state, **more}


RUNNING = container({"running": {"startedAt": ago(minutes=3)}})


def waits(reason: str, message: str = "") -> dict[str, Any]:
    """Make the status of a container that has never run."""
    return container({"waiting": {"reason": reason, "message": message}})


def crashed(after: timedelta, *, restarts: int = 1, code: int = 1, reason: str = "Error") -> dict[str, Any]:
    """Make the status of a container that waits for its next start, so long after its last one it ended."""
    began = NOW - timedelta(minutes=1) - after
    ended = {"exitCode": code, "reason": reason, "startedAt": began.isoformat(), "finishedAt": ago(minutes=1)}
    waiting = {"waiting": {"reason": "CrashLoopBackOff"}}
    return container(waiting, restarts=restarts, lastState={"terminated": ended})


def ill(name: str, container: Mapping[str, object], *, revision: int = 2, **status: object) -> dict[str, Any]:
    """Make a pod of a revision with one container in this state."""
    conditions = [SCHEDULED, NOT_READY]
    return of(revision, pod(name, **{"conditions": conditions, "containerStatuses": [container], **status}))


def of(revision: int, made: dict[str, Any]) -> dict[str, Any]:
    """Return a pod as one of a Deployment's revision."""
    made["metadata"]["labels"]["pod-template-hash"] = f"hash-{revision}"
    made["metadata"]["ownerReferences"] = [owner("ReplicaSet", f"web-{revision}", f"uid-web-{revision}")]
    return made


def good(name: str, revision: int = 2) -> dict[str, Any]:
    """Make a ready pod of a revision."""
    return of(revision, healthy_pod(name))


def cluster(*pods: dict[str, Any], strategy: Mapping[str, object] | None = None, replicas: int = 3) -> Cluster:
    """Make a Deployment at its second revision, with these pods."""
    made = deployment(replicas=replicas)
    made["spec"]["strategy"] = strategy or {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"},
    }
    return Cluster(made, replica_set(1, "web:1"), replica_set(2, "web:2"), *pods)


async def restart(kube: Cluster, workload: str = "deployment/web") -> str:
    """Return why a restart is refused, "" when it may be made."""
    return await kube.refusal(f"kubectl rollout restart {workload}")


SOON = timedelta(seconds=2)


@pytest.mark.parametrize(
    ("container", "why"),
    [
        (
            waits("CreateContainerConfigError", "couldn't find key currency in ConfigMap shop/cart-settings"),
            "CreateContainerConfigError: couldn't find key currency in ConfigMap shop/cart-settings",
        ),
        (waits("ImagePullBackOff", "Back-off pulling image"), "ImagePullBackOff: Back-off pulling image"),
        (waits("ContainerCreating"), "no container of it has started on node-1 for 180 s"),
        (crashed(SOON), r"ends 2 s after its start \(exit code 1\), again and again"),
        (crashed(SOON, code=0), r"ends 2 s after its start \(exit code 0\)"),
        (crashed(SOON, code=128, reason="StartError", restarts=0), "StartError"),
    ],
)
async def test_no_restart_while_a_pod_of_the_very_template_fails_to_start(
    container: Mapping[str, object], why: str
) -> None:
    """The reason is the cluster's own; a pod that is well does not make up for it."""
    said = await restart(cluster(good("web-1"), ill("web-2", container)))
    assert re.search(f"^pod/web-2: .*{why}.* would not start either$", said), said


@pytest.mark.parametrize(
    "container",
    [
        crashed(ENDS_AT_ONCE),
        crashed(SOON, restarts=0),
        RUNNING,
    ],
    ids=["it ran for a while", "it ended once", "it runs and is not ready"],
)
async def test_a_pod_that_has_started_keeps_no_restart_from_being_made(container: Mapping[str, object]) -> None:
    assert await restart(cluster(good("web-1"), ill("web-2", container))) == ""


async def test_a_pod_that_has_just_come_to_its_node_is_given_its_start_up() -> None:
    just = {**SCHEDULED, "lastTransitionTime": ago(seconds=119)}
    kube = cluster(good("web-1"), ill("web-2", waits("ContainerCreating"), conditions=[just, NOT_READY]))
    assert await restart(kube) == ""


async def test_a_pod_without_a_node_keeps_a_restart_from_being_made() -> None:
    """What the scheduler says stands in the reason."""
    nowhere = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": "0/1 nodes are available",
    }
    kube = cluster(good("web-1"), of(2, pod("web-2", phase="Pending", conditions=[nowhere], containerStatuses=[])))
    assert "no node for it: 0/1 nodes are available" in await restart(kube)


async def test_a_failing_pod_of_another_template_counts_only_where_a_mere_restart_is_between() -> None:
    """Its template differs in the stamp alone then."""
    kube = cluster(good("web-1"), ill("web-2", crashed(SOON), revision=1))
    assert await restart(kube) == ""
    kube.add(replica_set(1, "web:2"))
    stamped = kube.at(REPLICASETS, "web-1")["spec"]["template"]["metadata"]
    stamped["annotations"] = {RESTARTED: "2026-05-04T11:00:00Z"}
    assert "pod/web-2" in await restart(kube)


async def test_a_replica_set_that_cannot_make_its_pods_keeps_a_restart_from_being_made() -> None:
    """A quota or a webhook refuses them: there is no pod that could say so."""
    kube = cluster(good("web-1"))
    failure = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota: small"}
    kube.at(REPLICASETS, "web-1")["status"] = {"conditions": [failure]}
    assert await restart(kube) == ""
    kube.at(REPLICASETS, "web-2")["status"] = {"conditions": [failure]}
    assert "its pods cannot be created: exceeded quota: small" in await restart(kube)


ONE_DOWN = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}}
RECREATE = {"type": "Recreate"}


@pytest.mark.parametrize(
    ("strategy", "replicas", "ready", "refused"),
    [
        (RECREATE, 2, 2, True),
        (RECREATE, 2, 1, True),
        (RECREATE, 2, 0, False),
        (None, 1, 1, False),
        (ONE_DOWN, 1, 1, True),
        (ONE_DOWN, 2, 1, False),
        (ONE_DOWN, 2, 2, False),
        ({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "100%", "maxSurge": 1}}, 4, 3, True),
        ({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "50%", "maxSurge": 0}}, 1, 1, True),
        ({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "75%", "maxSurge": 0}}, 4, 1, False),
        ({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "9" * 5000 + "%", "maxSurge": 0}}, 2, 1, False),
    ],
)
async def test_a_restart_never_ends_a_deployments_last_good_pod(
    strategy: Mapping[str, object] | None, replicas: int, ready: int, refused: bool
) -> None:
    """What may be unavailable is resolved as the controller does it: rounded down, and one where both bounds are none."""
    kube = cluster(*(good(f"web-{n}") for n in range(ready)), strategy=strategy, replicas=replicas)
    assert ("before a new one is ready" in await restart(kube)) is refused


def numbered(ready: str, **spec: object) -> Cluster:
    """Make a StatefulSet with a pod a letter: `r` is ready, `u` is not."""
    made = stateful_set(replicas=len(ready))
    made["spec"] |= spec
    kube = Cluster(made, controller_revision(2, "db:2"))
    for ordinal, letter in enumerate(ready):
        each = healthy_pod(f"db-{ordinal}") if letter == "r" else ill(f"db-{ordinal}", RUNNING)
        each["metadata"]["labels"] = {"app": "db", "controller-revision-hash": "db-2"}
        each["metadata"]["ownerReferences"] = [owner("StatefulSet", "db", "uid-db")]
        kube.add(each)
    return kube


ROLLING = {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}


@pytest.mark.parametrize(
    ("ready", "strategy", "refused"),
    [
        ("r", ROLLING, True),
        ("ur", ROLLING, True),
        ("ru", ROLLING, False),
        ("rr", ROLLING, False),
        ("u", ROLLING, False),
        ("r", {"type": "OnDelete"}, False),
        ("ur", {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}, False),
        ("urr", {"type": "RollingUpdate", "rollingUpdate": {"partition": 0, "maxUnavailable": 2}}, True),
    ],
)
async def test_a_restart_never_ends_a_stateful_sets_last_good_pod(
    ready: str, strategy: Mapping[str, object], refused: bool
) -> None:
    """The last ordinal goes first, and only when it is ready again the next."""
    said = await restart(numbered(ready, updateStrategy=strategy), "statefulset/db")
    assert ("before a new one is ready" in said) is refused


async def test_a_stateful_set_whose_pod_is_not_made_is_not_restarted() -> None:
    """Only Events would say why; a pod before it that is not ready yet, or one on its way out, is a reason to wait."""
    kube = numbered("rr")
    kube.at(STATEFULSETS, "db")["spec"]["replicas"] = 3
    assert "statefulset/db: only 2 of its 3 pods have been made" in await restart(kube, "statefulset/db")
    kube.at(PODS, "db-1")["metadata"]["deletionTimestamp"] = ago(seconds=1)
    assert "have been made" not in await restart(kube, "statefulset/db")
    kube = numbered("ru")
    kube.at(STATEFULSETS, "db")["spec"]["replicas"] = 3
    assert await restart(kube, "statefulset/db") == ""


def daemons(ready: int, unready: int, **rolling: object) -> Cluster:
    """Make a DaemonSet with so many pods."""
    kube = numbered("r" * ready + "u" * unready)
    made = kube.objects.pop((STATEFULSETS, NAMESPACE, "db"))
    made["kind"] = "DaemonSet"
    made["spec"]["updateStrategy"] = {"type": "RollingUpdate", "rollingUpdate": rolling}
    made["status"]["desiredNumberScheduled"] = ready + unready
    kube.add(made)
    for (resource, _, _), obj in kube.objects.items():
        if resource == PODS:
            obj["metadata"]["labels"]["controller-revision-hash"] = "2"
    return kube


@pytest.mark.parametrize(
    ("ready", "unready", "rolling", "refused"),
    [
        (1, 0, {"maxUnavailable": 1, "maxSurge": 0}, True),
        (1, 1, {"maxUnavailable": 1, "maxSurge": 0}, False),
        (2, 0, {"maxUnavailable": 1, "maxSurge": 0}, False),
        (2, 1, {"maxUnavailable": "100%", "maxSurge": 0}, True),
        (1, 0, {"maxUnavailable": 0, "maxSurge": 1}, False),
        (0, 2, {"maxUnavailable": 1, "maxSurge": 0}, False),
    ],
)
async def test_a_restart_never_ends_a_daemon_sets_last_good_pod(
    ready: int, unready: int, rolling: Mapping[str, object], refused: bool
) -> None:
    said = await restart(daemons(ready, unready, **rolling), "daemonset/db")
    assert ("before a new one is ready" in said) is refused


async def test_a_daemon_sets_failing_pod_is_known_by_its_hash_alone() -> None:
    kube = daemons(2, 1)
    kube.at(PODS, "db-2")["status"]["containerStatuses"] = [crashed(SOON)]
    assert "pod/db-2" in await restart(kube, "daemonset/db")
