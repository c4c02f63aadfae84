"""
Objections to changes: pure functions of live objects, each returning a sentence, or "" for no objection.

Objects that no controller would recreate are not deleted, changes that would not help are not tried, and objects that
another manager owns are left to it.
"""

from collections.abc import Sequence

from kintsugi.actions import api_objects
from kintsugi.actions.change_context import ChangeContext
from kintsugi.errors import Refused
from kintsugi.model.command import ObjectName
from kintsugi.model.essentials import essential, essential_object
from kintsugi.model.hosts import service_of
from kintsugi.model.records import Phase
from kubeobjects import predicates, unstructured
from kubeobjects.autoscalers import rests
from kubeobjects.kept import HorizontalPodAutoscaler, Node, Object, Pod
from kubeobjects.owners import managers, operators
from kubeobjects.resources import PVCS, PVS
from kubeobjects.unstructured import Unstructured


def check(*reasons: str) -> None:
    """Raise Refused with the first reason there is."""
    for reason in reasons:
        if reason:
            raise Refused(reason)


def wrong_uid(asked: ObjectName, obj: Unstructured) -> str:
    """Refuse an object that has taken the name of the intended one (B13)."""
    if asked.uid and asked.uid != unstructured.uid(obj):
        return f"{asked} is another object now (uid {unstructured.uid(obj)}): the one that was judged (uid {asked.uid}) is gone"
    return ""


def protected(namespace: str, context: ChangeContext) -> str:
    """Refuse an object in a protected namespace (E23)."""
    if namespace in context.protected:
        return f"nothing is changed in the namespace {namespace}: it is protected"
    return ""


def refuse_essential(asked: ObjectName, obj: Unstructured, namespace: str, context: ChangeContext) -> str:
    """Refuse a pod, a workload, a claim or a volume of an essential (E23, P8)."""
    known = context.essentials
    if asked.resource == PVS:
        owner = unstructured.nested_map(obj, "spec", "claimRef")
        place, claim = unstructured.nested_string(owner, "namespace"), unstructured.nested_string(owner, "name")
        what = essential_object(PVCS.kind, place, claim, known)
    else:
        template = unstructured.nested_map(obj, "spec", "template") or obj
        what = essential_object(asked.resource.kind, namespace, asked.name, known)
        what = what or (essential(namespace, unstructured.labels(template), known) if asked.resource != PVCS else "")
    return f"{asked} belongs to {what}: nothing is ever changed there" if what else ""


def own_ledger(host: str, address: str, context: ChangeContext) -> str:
    """Refuse the database that we ourselves write to, by a Service's name or by its address (P8)."""
    ledger = context.ledger_host.lower().rstrip(".")
    asked, place = service_of(host), service_of(ledger)
    same = place is not None and place == asked
    if ledger and (same or ledger in {host, address}):
        return f"{host} is the host of Kintsugi's own ledger: nothing is ever restored there"
    return ""


def terminating(asked: ObjectName, obj: Unstructured) -> str:
    """Refuse an object that is being deleted already (B18)."""
    if since := unstructured.nested_string(obj, "metadata", "deletionTimestamp"):
        return f"{asked} is being deleted already (since {since})"
    return ""


def foreign_pod(asked: ObjectName, obj: Unstructured, context: ChangeContext) -> str:
    """Refuse a pod of another service than the run's: the run holds no lock on it."""
    selector, namespace = context.selector, context.namespace
    elsewhere = bool(namespace) and unstructured.nested_string(obj, "metadata", "namespace") != namespace
    if elsewhere or (selector is not None and not selector.matches(unstructured.labels(obj))):
        where = f"{selector} in {namespace}" if namespace else selector
        return f"{asked} is not one of the pods of {context.service} ({where})"
    return ""


def managed(asked: ObjectName, obj: Unstructured, context: ChangeContext) -> str:
    """
    Refuse an object that GitOps or an operator writes: they would revert the change (B21).

    A change that was made all the same may be undone: the undo tests that it is still in place. Of workloads that are stopped
    for a restore only an operator's own is refused; where somebody starts it again, the restore stops.
    """
    if context.allow_managed or context.phase is Phase.UNDO:
        return ""
    metadata = api_objects.convert(obj, Object).metadata
    owners = managers(metadata)
    if context.stops(asked, metadata.namespace):
        owners = operators(metadata) if str(asked) == str(context.workload) else ()
    if owners:
        return f"{asked} belongs to {', '.join(map(str, owners))}: a change of ours would be reverted"
    return ""


def autoscaled(
    asked: ObjectName, scalers: Sequence[HorizontalPodAutoscaler], context: ChangeContext, *, asleep: bool
) -> str:
    """
    Refuse to scale a workload that an autoscaler scales (B21).

    An autoscaler whose workload is at zero replicas is `asleep`: stopping writers for a restore and starting them again does not
    conflict with it.
    """
    if context.allow_managed or asleep:
        return ""
    for scaler in scalers:
        return f"{asked} is scaled by the HorizontalPodAutoscaler {scaler.metadata.name}, which would scale it back"
    return ""


def left_at_zero(asked: ObjectName, expected: int | None) -> str:
    """Refuse to start a workload that somebody has scaled to 0, unless the command expects 0 replicas."""
    if expected == 0:
        return ""
    return f"{asked} is scaled to 0: only a step with --current-replicas=0 starts it (kubectl scale {asked} --current-replicas=0 …)"


def another_s_workload(asked: ObjectName, context: ChangeContext, namespace: str) -> str:
    """Refuse to start another workload than the service's own: it is unknown why that is at 0."""
    if (namespace, str(asked)) == (context.namespace, str(context.workload)):
        return ""
    return f"{asked} in {namespace} is not the workload of {context.service}: only that is started from 0"


def autoscaler_inactive(
    asked: ObjectName, scalers: Sequence[HorizontalPodAutoscaler], scaled: Sequence[Unstructured]
) -> str:
    """Refuse to start a workload that may rest at 0; `scaled` are the namespace's ScaledObjects (a paused one has no autoscaler)."""
    if why := rests(scalers):
        return f"{asked} stays at 0: {why}"
    for each in scaled:
        target = unstructured.nested_map(each, "spec", "scaleTargetRef")
        if (unstructured.nested_string(target, "kind") or "Deployment", unstructured.nested_string(target, "name")) == (
            asked.resource.kind,
            asked.name,
        ):
            return f"{asked} stays at 0: the ScaledObject {unstructured.name(each)} scales it and may let it rest at 0"
    return ""


def scales_down(asked: ObjectName, present: int, wanted: int, context: ChangeContext, namespace: str) -> str:
    """Refuse to lower replicas in a recovery (E14)."""
    allowed = context.phase is not Phase.FORWARD or context.stops(asked, namespace)
    if wanted < present and not allowed:
        return f"{asked} has {present} replicas: a recovery never lowers them (to {wanted})"
    return ""


def unschedulable_pods(asked: ObjectName, pods: Sequence[Pod]) -> str:
    """Refuse to add replicas while pods of the workload cannot be scheduled."""
    waiting = sorted(
        pod.metadata.name for pod in pods if predicates.unschedulable(pod) and not predicates.terminating(pod)
    )
    if waiting:
        return (
            f"{asked} has pods that cannot be scheduled ({', '.join(waiting)}): more of them would find no node either"
        )
    return ""


def not_as_expected(asked: ObjectName, present: int, expected: int | None) -> str:
    """Refuse to scale a workload whose replicas are not those that the command expects (E17)."""
    if expected is not None and present != expected:
        return f"{asked} has {present} replicas, not {expected} as expected: it has been scaled since"
    return ""


def paused(asked: ObjectName, obj: Unstructured, what: str) -> str:
    """Refuse to roll out a paused Deployment: it would have no effect until it is resumed."""
    if unstructured.nested_field(obj, "spec", "paused") is True:
        return f"{asked} is paused: resume it first (kubectl rollout resume {asked}), then {what}"
    return ""


def last_node(asked: ObjectName, others_take_pods: bool) -> str:
    """Refuse to cordon the only node that new pods could go to."""
    if not others_take_pods:
        return f"{asked} is the last node that takes new pods: after the cordon no pod could start"
    return ""


def takes_pods(node: Node) -> bool:
    """Return whether new pods can go to a node."""
    return predicates.ready(node) and not node.spec.unschedulable


def claim_in_use(asked: ObjectName, users: Sequence[Pod]) -> str:
    """Refuse a claim that pods use: it would stay Terminating until they are gone."""
    names = [pod.metadata.name for pod in users if not predicates.finished(pod)]
    if names:
        return f"{asked} is in use by {', '.join(sorted(names))}: stop them first"
    return ""


def unretained(asked: ObjectName, volume: Unstructured | None) -> str:
    """Refuse a claim whose volume would go with it."""
    if volume is None:
        return ""
    policy = unstructured.nested_string(volume, "spec", "persistentVolumeReclaimPolicy")
    if policy != "Retain":
        return f"the volume {unstructured.name(volume)} of {asked} would be deleted with it ({policy}): set it to Retain first"
    return ""
