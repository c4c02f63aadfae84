"""No change ends a pod whose claim is being deleted: the claim would go with the pod, and perhaps its volume."""

import pytest

from kintsugi.actions.actions import Actions
from kintsugi.clients.addresses import AddressRule
from kintsugi.clients.clients import Clients
from kintsugi.commands import parse
from kintsugi.errors import Refused
from kintsugi.model.records import Phase
from kubeobjects.resources import CONTROLLERREVISIONS, NODES, PODS, PVCS, STATEFULSETS
from tests.unit.actions.cluster_of_dicts import ClusterOfDicts
from tests.unit.actions.samples import (
    NAMESPACE,
    ago,
    change_context,
    controller_revision,
    node,
    owner,
    pod,
    stateful_set,
)

ENDING = [
    "kubectl delete pod db-0",
    "kubectl evict-pod db-0",
    "kubectl rollout restart statefulset/db",
    "kubectl rollout undo statefulset/db --to-revision=1",
    "kubectl set image statefulset/db web=db:3",
    "kubectl set env statefulset/db MODE=safe",
    "kubectl set resources statefulset/db --limits=memory=1Gi",
    'kubectl patch statefulset db -p \'{"spec":{"template":{"metadata":{"labels":{"tier":"db"}}}}}\'',
    "kubectl scale statefulset db --replicas=0",
]


def cluster(*, deleted: bool) -> ClusterOfDicts:
    """Return a StatefulSet with one pod that fails and mounts a claim."""
    member = pod("db-0")
    member["metadata"] |= {"labels": {"app": "db"}, "ownerReferences": [owner("StatefulSet", "db", "uid-db")]}
    member["spec"]["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": "data-db-0"}}]
    claim = {"metadata": {"name": "data-db-0", "namespace": NAMESPACE, "uid": "uid-claim"}}
    if deleted:
        claim["metadata"]["deletionTimestamp"] = ago(minutes=1)
    workload = stateful_set()
    workload["status"]["updateRevision"] = "db-2"
    return ClusterOfDicts(
        (STATEFULSETS, workload),
        (CONTROLLERREVISIONS, controller_revision(1, "db:1")),
        (CONTROLLERREVISIONS, controller_revision(2, "db:2")),
        (PODS, member),
        (NODES, node()),
        (PVCS, claim),
    )


async def planned(kube: ClusterOfDicts, command: str) -> str:
    """Return why a change is refused, "" where it is not; an undo may lower replicas."""
    context = change_context(good=frozenset({"db-1"}), selector=None, phase=Phase.UNDO)
    try:
        await Actions(kube, Clients.restricted_to(AddressRule())).plan_effect(
            parse(command, namespace=NAMESPACE), context
        )
    except Refused as refused:
        return str(refused)
    return ""


@pytest.mark.parametrize("command", ENDING)
async def test_a_change_that_ends_a_pod_is_refused_while_a_claim_of_the_pod_is_being_deleted(command: str) -> None:
    kube = cluster(deleted=True)
    why = await planned(kube, command)
    assert "persistentvolumeclaim/data-db-0 is being deleted" in why, why
    assert "pod/db-0" in why
    assert kube.writes == []
    assert await planned(cluster(deleted=False), command) == ""


@pytest.mark.parametrize(
    "command", ["kubectl scale statefulset db --replicas=2", "kubectl label statefulset db tier=db"]
)
async def test_a_change_that_ends_no_pod_is_made_although_a_claim_is_being_deleted(command: str) -> None:
    assert await planned(cluster(deleted=True), command) == ""
