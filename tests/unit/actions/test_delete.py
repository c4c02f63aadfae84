"""`kubectl delete pod` and `kubectl evict-pod`: only where a controller makes a new one, and where that can help."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import pytest

from kintsugi.commands import parse, render
from kintsugi.commands.registry import definition_of
from kintsugi.errors import CommandError, NotYet, TooManyRequests
from kintsugi.model.command import Command, Delete, ObjectName
from kintsugi.verbs.evict import Evict
from kubeobjects.resources import PODS
from tests.unit.actions.changes import Cluster, Object
from tests.unit.actions.samples import (
    NAMESPACE,
    ago,
    healthy_pod,
    node,
    owner,
    pod,
    stateful_set,
    unschedulable_pod,
    with_metadata,
)

DELETE, EVICT = "kubectl delete pod web-1", "kubectl evict-pod web-1"


def delete(name: str = "web-1", uid: str = "") -> Delete:
    """Make the command about a pod of this uid."""
    return Delete(objects=(ObjectName(resource=PODS, name=name, uid=uid),), namespace=NAMESPACE)


def evict(uid: str, name: str = "web-1") -> Evict:
    """Make the command about a pod of this uid."""
    return Evict(object=ObjectName(resource=PODS, name=name, uid=uid), namespace=NAMESPACE)


async def test_a_crash_looping_pod_of_a_controller_is_deleted_by_its_uid() -> None:
    """B13, P4, P8: the intent holds the live uid, what was judged, and why no undo is needed."""
    kube = Cluster(pod(), node())
    plan = await kube.plan(DELETE)
    assert plan.command == delete(uid="uid-web-1")
    facts = {"uid": "uid-web-1", "status": "CrashLoopBackOff", "controller": "ReplicaSet/web-abc"}
    assert facts.items() <= plan.facts.items()
    assert plan.undo.commands == ()
    assert "successor counts" in plan.undo.note
    assert kube.writes == [], "nothing is changed while it is planned"
    result = await kube.actions.apply(plan)
    assert kube.writes == [("delete", "pod/web-1", "uid-web-1")]
    assert "deleted (CrashLoopBackOff)" in result.summary
    assert dict(result.names)["items"][0]["metadata"]["deletionTimestamp"]  # type: ignore[index]


async def test_the_evidence_of_a_pod_is_kept_before_it_is_deleted_without_its_secrets() -> None:
    """B19: description, logs, and the disruption budget, which is not in the way of an unready pod."""
    budget = {
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "web", "namespace": NAMESPACE, "uid": "u"},
        "spec": {"selector": {"matchLabels": {"app": "web"}}},
        "status": {"disruptionsAllowed": 0},
    }
    kube = Cluster(pod(), node(), budget)
    kube.logs_of["web-1", "web", True] = b"panic: password=letmein\n"
    *evidence, last = (await kube.plan(DELETE)).evidence
    kept = {each.kind: each.text for each in evidence}
    assert set(kept) == {"describe", "logs web", "logs web --previous"}
    assert "CrashLoopBackOff" in kept["describe"]
    assert "panic" in kept["logs web --previous"]
    assert "cannot be read" in kept["logs web"]
    assert not [secret for secret in ("hunter2", "letmein") if secret in str(kept)]
    assert "allows 0 disruptions" in last.text


def image_missing() -> Object:
    """Make a pod whose image cannot be pulled."""
    return pod(
        containerStatuses=[{"name": "web", "ready": False, "state": {"waiting": {"reason": "ImagePullBackOff"}}}]
    )


STARTING = pod(
    conditions=[{"type": "Ready", "status": "False", "lastTransitionTime": ago(seconds=20)}],
    containerStatuses=[{"name": "web", "ready": False, "state": {"running": {"startedAt": ago(seconds=10)}}}],
)


NODES_OWN, LABELS = [owner("Node", "node-1")], {"app": "web", "k8s-app": "kube-dns"}


@pytest.mark.parametrize(
    ("of", "why"),
    [
        (with_metadata(pod(), ownerReferences=[]), "bare pod"),
        (with_metadata(pod(), ownerReferences=NODES_OWN), "static pod"),
        (with_metadata(pod(), deletionTimestamp=ago(minutes=1)), "being deleted already"),
        (with_metadata(pod(), labels={"app": "cache"}), "not one of the pods of web-service (app=web)"),
        (with_metadata(pod(), labels=LABELS), "belongs to the cluster's DNS"),
        (pod(phase="Succeeded"), "finished (Succeeded)"),
        (pod(phase="Failed"), "finished (Failed)"),
        (healthy_pod(), "not known to be unhealthy now (Running)"),
        (pod(conditions=[], containerStatuses=[]), "not known to be unhealthy"),
        (STARTING, "still within its start-up"),
        (image_missing(), "cannot be pulled"),
        (unschedulable_pod(), "no node either"),
    ],
)
async def test_a_pod_is_not_deleted_where_nothing_brings_it_back_or_that_does_not_help(of: Object, why: str) -> None:
    """B14, B18, E23, P6: as the live objects are, whatever a cache said; and never on missing data."""
    assert why in await Cluster(of, node()).refusal(DELETE)


@pytest.mark.parametrize(("on", "why"), [(node(ready="Unknown"), "is not ready"), (node("node-9"), "is gone")])
async def test_a_pod_is_not_deleted_while_its_node_is_away(on: Object, why: str) -> None:
    assert why in await Cluster(pod(), on).refusal(DELETE)


async def test_the_start_up_of_a_pod_is_what_its_service_says() -> None:
    young = pod(conditions=[{"type": "Ready", "status": "False", "lastTransitionTime": ago(minutes=8)}])
    young["status"]["containerStatuses"] = [
        {"name": "web", "ready": False, "state": {"running": {"startedAt": ago(minutes=8)}}}
    ]
    assert await Cluster(young, node()).refusal(DELETE) == ""
    assert "still within its start-up" in await Cluster(young, node()).refusal(DELETE, startup=timedelta(minutes=9))


def of_a_set(made: Object, uid: str = "uid-db", template: str = "") -> Object:
    """Make a pod one of the StatefulSet's."""
    made["metadata"]["ownerReferences"] = [owner("StatefulSet", "db", uid)]
    made["metadata"]["labels"] |= {"controller-revision-hash": template} if template else {}
    return made


def scaled(made: Object, *, uid: str = "uid-db", replicas: int = 0) -> Cluster:
    """Make a pod of the StatefulSet, which is scaled to so many."""
    return Cluster(of_a_set(made, uid), node(), stateful_set(replicas=replicas))


def superseded(
    *, in_force: str = "db-1", observed: int = 2, partition: int = 0, kind: str = "RollingUpdate"
) -> Cluster:
    """Make a StatefulSet that was taken back from db-2, of which a pod waits for its image; as told otherwise."""
    workload = stateful_set(replicas=3)
    workload["status"] = {"observedGeneration": observed, "updateRevision": in_force}
    workload["spec"]["updateStrategy"] = {"type": kind, "rollingUpdate": {"partition": partition}}
    return Cluster(of_a_set(image_missing(), template="db-2"), node(), workload)


@pytest.mark.parametrize(
    ("kube", "note"),
    [
        (scaled(unschedulable_pod()), "scaled to 0"),
        (superseded(), ""),
    ],
    ids=["its set is scaled to none", "of an earlier template"],
)
async def test_a_pod_goes_that_its_stateful_set_waits_for(kube: Cluster, note: str) -> None:
    """kubernetes.io, StatefulSets, "Forced rollback"; and in order Kubernetes ends none of several that are not ready."""
    plan = await kube.make(DELETE)
    assert note in plan.undo.note
    assert kube.writes == [("delete", "pod/web-1", "uid-web-1")]


NOT_WAITED_FOR: Mapping[str, tuple[Callable[[], Cluster], str]] = {
    "one that is wanted": (lambda: scaled(unschedulable_pod(), replicas=1), "no node either"),
    "one of another set": (lambda: scaled(unschedulable_pod(), uid="another"), "no node either"),
    "one that is ready": (lambda: scaled(healthy_pod()), "not known to be unhealthy"),
    "one of the template in force": (lambda: superseded(in_force="db-2"), "cannot be pulled"),
    "one of which nothing is known": (lambda: superseded(in_force=""), "cannot be pulled"),
    "one that is kept by a partition": (lambda: superseded(partition=1), "cannot be pulled"),
    "one that is updated by hand": (lambda: superseded(kind="OnDelete"), "cannot be pulled"),
}


@pytest.mark.parametrize(("kube", "why"), NOT_WAITED_FOR.values(), ids=NOT_WAITED_FOR)
async def test_any_other_pod_of_a_stateful_set_is_judged_as_ever(kube: Callable[[], Cluster], why: str) -> None:
    """B14: what is scaled to none, and what is ready, is read from the live objects."""
    assert why in await kube().refusal(DELETE)


async def test_a_pod_is_judged_again_once_the_controller_has_seen_the_last_change() -> None:
    """Before, its StatefulSet would make it anew of the template that was just taken back."""
    with pytest.raises(NotYet, match="the controller of statefulset/db has not seen its last change yet"):
        await superseded(in_force="db-2", observed=1).plan(DELETE)


async def test_another_pod_of_the_name_is_left_alone() -> None:
    """B12, B13: StatefulSets use names again. One that is gone was meant by its uid."""
    assert "is another object now" in await Cluster(pod(), node()).refusal(delete(uid="uid-before"))
    assert "is gone already" in await Cluster(node()).refusal(delete(uid="uid-web-1"))
    for kube in (Cluster(healthy_pod()), Cluster()):
        assert (await kube.plan(evict("uid-before"))).already


async def test_a_delete_of_several_pods_becomes_several_deletes() -> None:
    """Each is judged and written for itself."""
    command = parse("kubectl delete pod a b", namespace=NAMESPACE)
    assert Cluster().actions.split(command) == (delete("a"), delete("b"))
    assert "object by object" in await Cluster().refusal(command)


async def test_a_pod_is_evicted_by_the_uid_that_it_has() -> None:
    kube = Cluster(healthy_pod())
    plan = await kube.plan(EVICT)
    assert (plan.facts["node"], plan.undo.commands) == ("node-1", ())
    assert (await kube.actions.apply(plan)).summary == "pod/web-1 evicted"
    assert kube.writes == [("delete", "pod/web-1", "uid-web-1")]


async def test_the_text_of_a_very_pod_needs_no_plugin_and_names_its_uid() -> None:
    assert render(parse(EVICT, namespace=NAMESPACE)) == "kubectl evict-pod web-1 -n production"
    bound = render((await Cluster(healthy_pod()).plan(EVICT)).command)
    assert bound.startswith("kubectl create --raw /api/v1/namespaces/production/pods/web-1/eviction -f - <<<")
    assert '"preconditions":{"uid":"uid-web-1"}' in bound


async def test_an_eviction_that_a_budget_forbids_has_changed_nothing_and_is_asked_for_again() -> None:
    """That is the executor's business, until the step's time is over."""
    kube = Cluster(healthy_pod())
    kube.refused[PODS] = TooManyRequests("Cannot evict pod as it would violate the pod's disruption budget.")
    with pytest.raises(TooManyRequests):
        await kube.make(EVICT)
    assert kube.writes == []
    kube.refused.clear()
    await kube.make(EVICT)
    assert len(kube.writes) == 1


@pytest.mark.parametrize(
    ("maker", "why"),
    [
        (owner("DaemonSet", "agent"), "would recreate it on the same node"),
        (owner("Node", "node-1"), "static pod"),
        ({**owner("ReplicaSet", "web"), "controller": False}, "bare pod"),
    ],
    ids=["daemonset", "static", "bare"],
)
async def test_a_pod_that_would_not_come_back_elsewhere_is_not_evicted(maker: dict[str, Any], why: str) -> None:
    assert why in await Cluster(with_metadata(healthy_pod(), ownerReferences=[maker])).refusal(EVICT)


def test_an_eviction_spends_the_budget_of_the_pods_of_any_service() -> None:
    command: Command = parse(EVICT, namespace=NAMESPACE)
    assert definition_of(command).removed_pod(command) == "web-1"
    assert definition_of(command).concerns_any_service


@pytest.mark.parametrize("wrong", ["-l app=web", "--force", "--now", "deployment/web", "web-1 web-2", "--all"])
def test_a_line_about_several_pods_or_one_that_kills_is_refused_when_it_is_read(wrong: str) -> None:
    with pytest.raises(CommandError):
        parse(f"kubectl evict-pod {wrong}", namespace=NAMESPACE)
