"""
Why a change is not made: pure functions of live objects, each giving a sentence, or "" when it has nothing against it.

The rules are DESIGN's: what nobody would bring back is not deleted, what would not help is not tried, what somebody
else writes is left to them.
"""

from collections.abc import Sequence

from kintsugi.actions import live
from kintsugi.actions.circumstances import Circumstances
from kintsugi.actions.live import Live
from kintsugi.errors import Refused
from kintsugi.model.command import ObjectName
from kintsugi.model.essentials import essential, essential_claim
from kintsugi.model.hosts import service_of
from kintsugi.model.records import Phase
from kintsugi.objects import facts
from kintsugi.objects.kept import HorizontalPodAutoscaler, Node, Object, Pod
from kintsugi.objects.owners import managers, operators
from kintsugi.objects.resources import PVCS, PVS

_MIRROR = "kubernetes.io/config.mirror"


def check(*reasons: str) -> None:
    """Raise Refused with the first reason there is."""
    for reason in reasons:
        if reason:
            raise Refused(reason)


def another(asked: ObjectName, obj: Live) -> str:
    """Refuse an object that has taken the name of the one that was meant (B13)."""
    if asked.uid and asked.uid != live.uid(obj):
        return f"{asked} is another one now (uid {live.uid(obj)}): the one that was judged (uid {asked.uid}) is gone"
    return ""


def protected(namespace: str, circumstances: Circumstances) -> str:
    """Refuse what lives in a protected namespace (E23)."""
    if namespace in circumstances.protected:
        return f"nothing is changed in the namespace {namespace}: it is protected"
    return ""


def essential_part(asked: ObjectName, obj: Live, namespace: str, circumstances: Circumstances) -> str:
    """Refuse a pod, a workload, a claim or a volume of what nothing may be done to, wherever it runs (E23, P8)."""
    known = circumstances.essentials
    if asked.resource == PVCS:
        what = essential_claim(namespace, asked.name, known)
    elif asked.resource == PVS:
        owner = live.mapping(obj, "spec", "claimRef")
        what = essential_claim(live.text(owner, "namespace"), live.text(owner, "name"), known)
    else:
        what = essential(namespace, live.labels(live.mapping(obj, "spec", "template") or obj), known)
    return f"{asked} belongs to {what}: nothing is ever changed there" if what else ""


def own_ledger(host: str, address: str, circumstances: Circumstances) -> str:
    """Refuse the database that we ourselves write to, by a Service's name or by its address (P8)."""
    ledger = circumstances.ledger_host.lower().rstrip(".")
    asked, place = service_of(host), service_of(ledger)
    same = place is not None and place == asked
    if ledger and (same or ledger in {host, address}):
        return f"{host} is where our own ledger is: nothing is ever restored there"
    return ""


def terminating(asked: ObjectName, obj: Live) -> str:
    """Refuse what is being deleted already (B18)."""
    if since := live.text(obj, "metadata", "deletionTimestamp"):
        return f"{asked} is being deleted already (since {since})"
    return ""


def foreign_pod(asked: ObjectName, obj: Live, circumstances: Circumstances) -> str:
    """Refuse a pod of another service than the run's: the run holds no lock on it."""
    selector, namespace = circumstances.selector, circumstances.namespace
    elsewhere = bool(namespace) and live.text(obj, "metadata", "namespace") != namespace
    if elsewhere or (selector is not None and not selector.matches(live.labels(obj))):
        where = f"{selector} in {namespace}" if namespace else selector
        return f"{asked} is not one of the pods of {circumstances.service} ({where})"
    return ""


def without_successor(asked: ObjectName, pod: Pod) -> str:
    """Refuse a pod that no controller would make anew."""
    owner = facts.controller_of(pod)
    if owner is None:
        return f"{asked} is a bare pod: no controller would make it anew"
    if owner.kind == "Node" or _MIRROR in pod.metadata.annotations:
        return f"{asked} is a static pod: its kubelet runs it from a file, and deleting its mirror changes nothing"
    return ""


def finished(asked: ObjectName, pod: Pod) -> str:
    """Refuse a pod that has ended: there is nothing to restart."""
    if facts.finished(pod):
        return f"{asked} has finished ({pod.status.phase}): there is nothing to restart"
    return ""


def beyond_a_restart(asked: ObjectName, pod: Pod) -> str:
    """Refuse a delete that cannot help: a new pod would meet the same fault."""
    if facts.unschedulable(pod):
        return f"{asked} cannot be scheduled: a new pod would find no node either"
    if facts.image_failing(pod):
        return f"the image of {asked} cannot be pulled: a new pod could not pull it either"
    return ""


def on_dead_node(asked: ObjectName, node: Node | None, node_name: str) -> str:
    """Refuse a pod of a node that does not answer: the delete would wait for its kubelet."""
    if node is None:
        return f"the node {node_name} of {asked} is gone: the cluster itself removes its pods"
    if not facts.ready(node):
        return (
            f"the node {node_name} of {asked} is not ready: the pod would only stay Terminating, the node needs mending"
        )
    return ""


def healthy(asked: ObjectName, pod: Pod, circumstances: Circumstances) -> str:
    """Refuse a pod that is not known to be unhealthy by this very read (B14), or may still be starting."""
    if facts.unhealthy(pod, circumstances.now, circumstances.startup):
        return ""
    condition = facts.condition_of(pod.status.conditions, "Ready")
    if condition is not None and condition.status == "False":
        return f"{asked} is not ready yet, but still within its start-up: it is given its time"
    return f"{asked} is not known to be unhealthy now ({facts.status_of(pod)}): there is nothing to restart"


def managed(asked: ObjectName, obj: Live, circumstances: Circumstances) -> str:
    """
    Refuse what GitOps or an operator writes: they would take the change back (B21).

    What was changed for all that is put back: the undo tests that it still stands as we left it. Of what is stopped for a
    restore only an operator's own workload is refused; where somebody starts it again, the restore stops.
    """
    if circumstances.allow_managed or circumstances.phase is Phase.UNDO:
        return ""
    metadata = live.kept(obj, Object).metadata
    owners = managers(metadata)
    if circumstances.stops(asked, metadata.namespace):
        owners = operators(metadata) if str(asked) == str(circumstances.workload) else ()
    if owners:
        return f"{asked} belongs to {', '.join(owners)}: a change of ours would be taken back"
    return ""


def operated(asked: ObjectName, obj: Live, circumstances: Circumstances) -> str:
    """Refuse what an operator owns; GitOps tools do not mind what a restart writes."""
    owner = facts.controller_of(live.kept(obj, Object))
    if owner is not None and not circumstances.allow_managed:
        return f"{asked} belongs to operator {owner.kind}/{owner.name}: a change of ours would be taken back"
    return ""


def autoscaled(
    asked: ObjectName, scalers: Sequence[HorizontalPodAutoscaler], circumstances: Circumstances, *, asleep: bool
) -> str:
    """
    Refuse to scale what an autoscaler scales (B21).

    One whose workload stands at zero replicas is `asleep`: to stop writers for a restore and to start them again is no fight.
    """
    if circumstances.allow_managed or asleep:
        return ""
    for scaler in scalers:
        return f"{asked} is scaled by the HorizontalPodAutoscaler {scaler.metadata.name}: it would scale it back"
    return ""


def scalers_of(asked: ObjectName, autoscalers: Sequence[HorizontalPodAutoscaler]) -> Sequence[HorizontalPodAutoscaler]:
    """List the autoscalers that scale an object, of those in its namespace."""
    return [
        each
        for each in autoscalers
        if (each.spec.scale_target_ref.kind, each.spec.scale_target_ref.name) == (asked.resource.kind, asked.name)
    ]


def lowered(asked: ObjectName, present: int, wanted: int, circumstances: Circumstances, namespace: str) -> str:
    """Refuse to lower replicas in a recovery (E14)."""
    allowed = circumstances.phase is not Phase.FORWARD or circumstances.stops(asked, namespace)
    if wanted < present and not allowed:
        return f"{asked} has {present} replicas: a recovery never lowers them (to {wanted})"
    return ""


def without_room(asked: ObjectName, pods: Sequence[Pod]) -> str:
    """Refuse to add replicas while there is no room for those that are wanted already."""
    waiting = sorted(pod.metadata.name for pod in pods if facts.unschedulable(pod) and not facts.terminating(pod))
    if waiting:
        return (
            f"{asked} has pods that cannot be scheduled ({', '.join(waiting)}): more of them would find no node either"
        )
    return ""


def not_as_expected(asked: ObjectName, present: int, expected: int | None) -> str:
    """Refuse to scale what has other replicas than the command expects (E17)."""
    if expected is not None and present != expected:
        return f"{asked} has {present} replicas, not {expected} as expected: somebody has scaled it since"
    return ""


def paused(asked: ObjectName, obj: Live, what: str) -> str:
    """Refuse to roll a paused Deployment: nothing would come of it until it is resumed."""
    if live.at(obj, "spec", "paused") is True:
        return f"{asked} is paused: resume it first (kubectl rollout resume {asked}), then {what}"
    return ""


def cannot_start(asked: ObjectName, failures: Sequence[str], what: str) -> str:
    """Refuse to make all pods anew while one of the very template fails to be made or started: they would fail alike."""
    if failures:
        more = f" (and {len(failures) - 1} more like it)" if len(failures) > 1 else ""
        return f"{failures[0]}{more}: to {what} would make more of the same template, which would not start either"
    return ""


def last_good_pod(asked: ObjectName, good: int, left: int, strategy: str) -> str:
    """Refuse a rollout that would end the last pod that is ready before a new one is."""
    if good and not left:
        pods = "its only ready pod" if good == 1 else f"all of its {good} ready pods"
        return f"a restart of {asked} ({strategy}) would end {pods} before a new one is ready"
    return ""


def last_node(asked: ObjectName, nodes: Sequence[Node]) -> str:
    """Refuse to cordon the only node that new pods could go to."""
    others = [node for node in nodes if node.metadata.name != asked.name]
    if not any(facts.ready(node) and not node.spec.unschedulable for node in others):
        return f"{asked} is the last node that takes new pods: cordoned, nothing could start anywhere"
    return ""


def shared_claim(asked: ObjectName, users: Sequence[Pod]) -> str:
    """Refuse a claim that pods use: it would stay Terminating until they are gone."""
    names = [pod.metadata.name for pod in users if not facts.finished(pod)]
    if names:
        return f"{asked} is in use by {', '.join(sorted(names))}: stop them first"
    return ""


def unretained(asked: ObjectName, volume: Live | None) -> str:
    """Refuse a claim whose volume would go with it."""
    if volume is None:
        return ""
    policy = live.text(volume, "spec", "persistentVolumeReclaimPolicy")
    if policy != "Retain":
        return f"the volume {live.name(volume)} of {asked} would go with it ({policy}): set it to Retain first"
    return ""
