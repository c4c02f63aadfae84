"""A pod is deleted only when its controller makes a new one and when that can help."""

from datetime import timedelta
from typing import Any

import pytest

from kintsugi.actions.actions import Actions
from kintsugi.actions.effect_plan import EffectStatus
from kintsugi.clients.addresses import AddressRule
from kintsugi.clients.clients import Clients
from kintsugi.errors import Conflict, NotFound, NotYet, OutcomeUnknown, Refused, ServerUnavailable
from kintsugi.model.command import Delete, ObjectName
from kintsugi.model.essentials import LEDGER, EssentialService
from kubeobjects.resources import CONFIGMAPS, NODES, PDBS, PODS, STATEFULSETS
from tests.harness.results import named
from tests.unit.actions.cluster_of_dicts import ClusterOfDicts
from tests.unit.actions.samples import (
    NAMESPACE,
    ago,
    change_context,
    healthy_pod,
    node,
    owner,
    pod,
    stateful_set,
    unschedulable_pod,
)


def delete(name: str = "web-1", uid: str = "") -> Delete:
    """Make the command."""
    return Delete(objects=(ObjectName(resource=PODS, name=name, uid=uid),), namespace=NAMESPACE)


def actions(kube: ClusterOfDicts) -> Actions:
    """Make the actions on a fake cluster."""
    return Actions(kube, Clients.restricted_to(AddressRule()))


async def reason(obj: dict[str, Any], *, of: dict[str, Any] | None = None, **about: object) -> str:
    """Prepare the delete of a pod that must be refused, and give the reason."""
    kube = ClusterOfDicts((PODS, obj), (NODES, of or node()))
    with pytest.raises(Refused) as refused:
        await actions(kube).plan_effect(delete(), change_context(**about))
    assert kube.writes == [], "a refusal changes nothing"
    return str(refused.value)


async def test_a_crash_looping_pod_of_a_controller_is_deleted_by_its_uid() -> None:
    """B13, P4, P8: the intent holds the live uid, what was judged, and why no undo is needed."""
    kube = ClusterOfDicts((PODS, pod()), (NODES, node()))
    does = actions(kube)
    prepared = await does.plan_effect(delete(), change_context())
    assert prepared.command == delete(uid="uid-web-1")
    assert prepared.facts["uid"] == "uid-web-1"
    assert prepared.facts["status"] == "CrashLoopBackOff"
    assert prepared.facts["controller"] == "ReplicaSet/web-abc"
    assert prepared.undo.commands == ()
    assert "successor counts" in prepared.undo.note
    assert kube.writes == [], "nothing is changed while it is prepared"
    result = await does.apply(prepared)
    assert kube.writes == [("delete", "pod/web-1", "uid-web-1")]
    assert "deleted (CrashLoopBackOff)" in result.summary
    assert named(result)["items"][0]["metadata"]["deletionTimestamp"]


async def test_the_evidence_of_a_pod_is_kept_before_it_is_deleted_without_its_secrets() -> None:
    """Description, current and previous log; a log that is not there is said to be."""
    kube = ClusterOfDicts((PODS, pod()), (NODES, node()))
    kube.logs_of["web-1", "web", True] = b"panic: password=letmein\n"
    prepared = await actions(kube).plan_effect(delete(), change_context())
    kept = {each.kind: each.text for each in prepared.evidence}
    assert set(kept) == {"describe", "logs web", "logs web --previous"}
    assert "CrashLoopBackOff" in kept["describe"]
    assert "hunter2" not in kept["describe"]
    assert "panic" in kept["logs web --previous"]
    assert "letmein" not in kept["logs web --previous"]
    assert "cannot be read" in kept["logs web"]


async def test_a_disruption_budget_is_noted_and_not_in_the_way() -> None:
    """B19: an unready pod takes nothing from a budget."""
    budget = {
        "metadata": {"name": "web", "namespace": NAMESPACE, "uid": "u"},
        "spec": {"selector": {"matchLabels": {"app": "web"}}},
        "status": {"disruptionsAllowed": 0},
    }
    kube = ClusterOfDicts((PODS, pod()), (NODES, node()), (PDBS, budget))
    prepared = await actions(kube).plan_effect(delete(), change_context())
    assert "allows 0 disruptions" in prepared.evidence[-1].text


async def test_a_bare_pod_is_refused() -> None:
    """Nobody would make it anew."""
    obj = pod()
    obj["metadata"]["ownerReferences"] = []
    assert "bare pod" in await reason(obj)


async def test_a_static_pod_is_refused() -> None:
    """Its kubelet runs it from a file."""
    obj = pod()
    obj["metadata"]["ownerReferences"] = [owner("Node", "node-1")]
    assert "static pod" in await reason(obj)


async def test_a_terminating_pod_is_refused() -> None:
    """B18."""
    obj = pod()
    obj["metadata"]["deletionTimestamp"] = ago(minutes=1)
    assert "being deleted already" in await reason(obj)


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
async def test_a_finished_pod_is_refused(phase: str) -> None:
    """There is nothing to restart."""
    assert f"finished ({phase})" in await reason(pod(phase=phase))


async def test_a_healthy_pod_is_refused_by_the_live_read() -> None:
    """B14: whatever a cache said."""
    assert "not known to be unhealthy now (Running)" in await reason(healthy_pod())


async def test_a_pod_of_which_nothing_is_known_is_refused() -> None:
    """P6: no action on missing data."""
    assert "not known to be unhealthy" in await reason(pod(conditions=[], containerStatuses=[]))


async def test_a_pod_within_its_start_up_is_given_its_time() -> None:
    """An unready pod that has just started is not unhealthy."""
    young = pod(
        conditions=[{"type": "Ready", "status": "False", "lastTransitionTime": ago(seconds=20)}],
        containerStatuses=[{"name": "web", "ready": False, "state": {"running": {"startedAt": ago(seconds=10)}}}],
    )
    assert "still within its start-up" in await reason(young)
    assert "still within its start-up" in await reason(young, startup=timedelta(minutes=9))


async def test_a_pod_whose_image_cannot_be_pulled_is_not_tried() -> None:
    """A new pod could not pull it either."""
    waiting = [{"name": "web", "ready": False, "state": {"waiting": {"reason": "ImagePullBackOff"}}}]
    assert "cannot be pulled" in await reason(pod(containerStatuses=waiting))


async def test_an_unschedulable_pod_is_not_tried() -> None:
    """A new pod would find no node either."""
    conditions = [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}]
    assert "no node either" in await reason(pod(phase="Pending", conditions=conditions, containerStatuses=[]))


def of_a_set(made: dict[str, Any], uid: str = "uid-db") -> dict[str, Any]:
    """Make a pod one of the StatefulSet's."""
    return {**made, "metadata": {**made["metadata"], "ownerReferences": [owner("StatefulSet", "db", uid)]}}


async def test_a_pod_that_is_to_go_may_go_though_it_would_start_nowhere() -> None:
    """Its StatefulSet is scaled to none, and in order Kubernetes ends none of several that are not ready."""
    kube = ClusterOfDicts(
        (PODS, of_a_set(unschedulable_pod())), (NODES, node()), (STATEFULSETS, stateful_set(replicas=0))
    )
    prepared = await actions(kube).plan_effect(delete(), change_context())
    assert "scaled to 0" in prepared.undo.note
    await actions(kube).apply(prepared)
    assert kube.writes == [("delete", "pod/web-1", "uid-web-1")]


@pytest.mark.parametrize(
    ("of", "replicas", "why"),
    [
        (of_a_set(unschedulable_pod()), 1, "no node either"),
        (of_a_set(unschedulable_pod(), uid="another"), 0, "no node either"),
        (of_a_set(healthy_pod()), 0, "not known to be unhealthy"),
    ],
    ids=["one that is wanted", "one of another set", "one that is ready"],
)
async def test_any_other_pod_of_a_stateful_set_is_judged_as_ever(of: dict[str, Any], replicas: int, why: str) -> None:
    """B14: what is scaled to none, and what is ready, is read from the live objects."""
    kube = ClusterOfDicts((PODS, of), (NODES, node()), (STATEFULSETS, stateful_set(replicas=replicas)))
    with pytest.raises(Refused, match=why):
        await actions(kube).plan_effect(delete(), change_context())


def superseded(*, in_force: str = "db-1", observed: int = 2, partition: int = 0, kind: str = "") -> ClusterOfDicts:
    """Make a StatefulSet that was taken back from db-2, of which a pod waits for its image; as told otherwise."""
    made = of_a_set(pod(containerStatuses=[{"name": "web", "state": {"waiting": {"reason": "ImagePullBackOff"}}}]))
    made["metadata"]["labels"]["controller-revision-hash"] = "db-2"
    workload = stateful_set(replicas=3)
    workload["status"] = {"observedGeneration": observed, "updateRevision": in_force}
    strategy = workload["spec"]["updateStrategy"]
    strategy["rollingUpdate"]["partition"], strategy["type"] = partition, kind or strategy["type"]
    return ClusterOfDicts((PODS, made), (NODES, node()), (STATEFULSETS, workload))


async def test_a_pod_of_an_earlier_template_goes_that_its_stateful_set_waits_for() -> None:
    """kubernetes.io, StatefulSets, "Forced rollback"."""
    kube = superseded()
    try:
        plan = await actions(kube).plan_effect(delete(), change_context())
    except Refused as refused:
        raise AssertionError("a pod that its StatefulSet waits for is left") from refused
    await actions(kube).apply(plan)
    assert kube.writes == [("delete", "pod/web-1", "uid-web-1")]


@pytest.mark.parametrize(
    "kube",
    [superseded(in_force="db-2"), superseded(in_force=""), superseded(partition=1), superseded(kind="OnDelete")],
    ids=["of the template in force", "of which nothing is known", "that is kept by a partition", "updated by hand"],
)
async def test_a_pod_whose_successor_would_fail_as_well_stays(kube: ClusterOfDicts) -> None:
    with pytest.raises(Refused, match="cannot be pulled"):
        await actions(kube).plan_effect(delete(), change_context())


async def test_a_pod_is_judged_again_once_the_controller_has_seen_the_last_change() -> None:
    """Before, its StatefulSet would make it anew of the template that was just taken back."""
    with pytest.raises(NotYet, match="the controller of statefulset/db has not seen its last change yet"):
        await actions(superseded(in_force="db-2", observed=1)).plan_effect(delete(), change_context())


async def test_a_pod_on_a_dead_node_is_not_tried() -> None:
    """The delete would wait for a kubelet that does not answer."""
    assert "is not ready" in await reason(pod(), of=node(ready="Unknown"))
    assert "is gone" in await reason(pod(), of=node("node-9"))


async def test_a_pod_of_another_service_is_refused() -> None:
    """The run holds no lock on it."""
    obj = pod()
    obj["metadata"]["labels"] = {"app": "cache"}
    assert "not one of the pods of web-service (app=web)" in await reason(obj)
    assert "not one of the pods of web-service (app=web in shop)" in await reason(pod(), namespace="shop")


async def test_a_pod_of_the_dns_or_of_the_ledgers_database_is_not_deleted_in_whatever_namespace() -> None:
    """E23, P8."""
    dns, database = pod(), pod()
    dns["metadata"]["labels"] |= {"k8s-app": "kube-dns"}
    assert await reason(dns) == "pod/web-1 belongs to the cluster's DNS: nothing is ever changed there"
    labels = frozenset(database["metadata"]["labels"].items())
    known = EssentialService(service="ledger", namespace=NAMESPACE, labels=labels, what=LEDGER)
    assert "the database of our own ledger" in await reason(database, essentials=(known,))


async def test_no_pod_is_deleted_in_a_protected_namespace() -> None:
    """E23."""
    kube = ClusterOfDicts()
    command = Delete(objects=(ObjectName(resource=PODS, name="dns"),), namespace="kube-system")
    with pytest.raises(Refused, match="protected"):
        await actions(kube).plan_effect(command, change_context())


async def test_no_pod_is_deleted_of_a_service_that_is_off_limits() -> None:
    """P8: the database of our own ledger, whichever runbook has come to it."""
    assert "Kintsugi's own ledger" in await reason(pod(), off_limits="web-service contains Kintsugi's own ledger")


async def test_a_pod_that_has_taken_the_name_of_another_is_refused() -> None:
    """B13: StatefulSets use names again."""
    kube = ClusterOfDicts((PODS, pod()), (NODES, node()))
    with pytest.raises(Refused, match="is another object now"):
        await actions(kube).plan_effect(delete(uid="uid-before"), change_context())


async def test_a_pod_that_is_gone_is_refused_when_its_uid_was_meant_and_not_found_by_name() -> None:
    """B12: the target is replaced or gone; a name that nobody has is kubectl's error."""
    kube = ClusterOfDicts((NODES, node()))
    with pytest.raises(Refused, match="is gone already"):
        await actions(kube).plan_effect(delete(uid="uid-web-1"), change_context())
    with pytest.raises(NotFound, match='pods "web-1" not found'):
        await actions(kube).plan_effect(delete(), change_context())


async def test_other_kinds_are_not_deleted() -> None:
    """Nothing would bring a ConfigMap back."""
    command = Delete(objects=(ObjectName(resource=CONFIGMAPS, name="settings"),), namespace=NAMESPACE)
    with pytest.raises(Refused, match="only pods are recreated"):
        await actions(ClusterOfDicts()).plan_effect(command, change_context())


async def test_a_pod_replaced_between_intent_and_effect_is_not_deleted() -> None:
    """B13, P4: the uid is the precondition of the write itself."""
    kube = ClusterOfDicts((PODS, pod()), (NODES, node()))
    does = actions(kube)
    prepared = await does.plan_effect(delete(), change_context())
    successor = pod()
    successor["metadata"]["uid"] = "uid-successor"
    kube.put(PODS, successor)
    with pytest.raises(Conflict):
        await does.apply(prepared)
    assert kube.writes == []


async def test_a_lost_answer_is_found_out_by_the_uid() -> None:
    """B9, P3: applied, then 504: the probe says done, and nothing is repeated."""
    kube = ClusterOfDicts((PODS, pod()), (NODES, node()))
    does = actions(kube)
    prepared = await does.plan_effect(delete(), change_context())
    assert await does.probe(prepared) is EffectStatus.NOT_DONE
    kube.lost = OutcomeUnknown("504")
    with pytest.raises(OutcomeUnknown):
        await does.apply(prepared)
    assert await does.probe(prepared) is EffectStatus.DONE
    successor = pod()
    successor["metadata"]["uid"] = "uid-successor"
    kube.put(PODS, successor)
    assert await does.probe(prepared) is EffectStatus.DONE
    assert (await does.reread(prepared)).names["items"] == []
    assert len(kube.writes) == 1


async def test_a_probe_that_cannot_ask_says_so() -> None:
    """P3, P6: no answer is neither yes nor no; it can be asked again."""
    kube = ClusterOfDicts((PODS, pod()), (NODES, node()))
    does = actions(kube)
    prepared = await does.plan_effect(delete(), change_context())
    kube.broken = ServerUnavailable("no answer")
    with pytest.raises(ServerUnavailable):
        await does.probe(prepared)


async def test_a_delete_of_several_pods_becomes_several_deletes() -> None:
    """Each is judged and written for itself."""
    names = tuple(ObjectName(resource=PODS, name=name) for name in ("a", "b"))
    command = Delete(objects=names, namespace=NAMESPACE)
    does = actions(ClusterOfDicts())
    assert does.split(command) == (delete("a"), delete("b"))
    with pytest.raises(Refused, match="object by object"):
        await does.plan_effect(command, change_context())
