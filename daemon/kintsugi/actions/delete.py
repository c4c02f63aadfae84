"""
`kubectl delete`: of a pod that its controller makes anew, or of a claim whose volume is kept.

A pod is deleted only when that can help; what it was is kept first. Its undo is its successor.
"""

from dataclasses import replace
from typing import NoReturn

from kintsugi.actions import live, refusals
from kintsugi.actions.circumstances import Circumstances
from kintsugi.actions.evidence import of_claim, of_pod
from kintsugi.actions.judged import Judged, judge
from kintsugi.actions.live import Live
from kintsugi.actions.prepared import DeleteWrite, Evidence, Prepared
from kintsugi.actions.undo import not_undone, undone_by
from kintsugi.errors import NotFound, Refused
from kintsugi.kube.client import KubeClient
from kintsugi.model.command import Delete, ObjectName, Patch
from kintsugi.model.records import UndoRecord
from kintsugi.objects import facts
from kintsugi.objects.kept import Node, Pod, PodDisruptionBudget
from kintsugi.objects.resources import NODES, PDBS, PODS, PVCS, PVS
from kintsugi.objects.selectors import Selector

_SUCCESSOR = "nothing to take back: its controller makes a successor, and the successor counts"


async def prepare(kube: KubeClient, command: Delete, circumstances: Circumstances) -> Prepared:
    """Judge a delete. Raises Refused for all kinds but pods and claims: nothing would bring them back."""
    asked = command.objects[0]
    if asked.resource not in (PODS, PVCS):
        _refuse_kind(asked)
    judged = await judge(kube, asked, command.namespace, circumstances)
    bound = replace(command, objects=(judged.asked,))
    if asked.resource == PODS:
        return await _pod(kube, bound, judged)
    return await _claim(kube, bound, judged)


def _refuse_kind(asked: ObjectName) -> NoReturn:
    raise Refused(f"{asked} is not deleted: only pods come back by themselves, and claims by their volume")


async def _pod(kube: KubeClient, command: Delete, judged: Judged) -> Prepared:
    asked, pod = judged.asked, live.kept(judged.obj, Pod)
    refusals.check(
        refusals.foreign_pod(asked, judged.obj, judged.circumstances),
        refusals.without_successor(asked, pod),
        refusals.finished(asked, pod),
        refusals.beyond_a_restart(asked, pod),
    )
    if node_name := pod.spec.node_name:
        refusals.check(refusals.on_dead_node(asked, await _node(kube, node_name), node_name))
    refusals.check(refusals.healthy(asked, pod, judged.circumstances))
    owner = facts.controller_of(pod)
    return Prepared(
        command=command,
        facts={
            **judged.identity,
            "status": facts.status_of(pod),
            "restarts": facts.restarts(pod),
            "node": pod.spec.node_name,
            "controller": f"{owner.kind}/{owner.name}" if owner else "",
        },
        undo=not_undone(_SUCCESSOR),
        evidence=(*await of_pod(kube, judged.obj), *await _budgets(kube, judged)),
        write=DeleteWrite(grace=command.grace),
    )


async def _node(kube: KubeClient, name: str) -> Node | None:
    try:
        return live.kept(await kube.get(NODES, name), Node)
    except NotFound:
        return None


async def _budgets(kube: KubeClient, judged: Judged) -> tuple[Evidence, ...]:
    """Note the disruption budgets that count the pod: an unready one takes nothing from them (B19)."""
    notes = [
        f"PodDisruptionBudget {live.name(each)} allows {live.number(each, 'status', 'disruptionsAllowed')} disruptions; "
        "the pod is not ready, so that deleting it costs no availability"
        for each in (await kube.list(PDBS, judged.namespace)).items
        if _counts(live.kept(each, PodDisruptionBudget), judged.obj)
    ]
    return (Evidence(kind="disruption budget", text="\n".join(notes)),) if notes else ()


def _counts(budget: PodDisruptionBudget, pod: Live) -> bool:
    """Tell whether a budget counts a pod: none without a selector, all with an empty one."""
    selector = budget.spec.selector
    if selector is None:
        return False
    empty = not selector.match_labels and not selector.match_expressions
    return empty or Selector.of(selector).matches(live.labels(pod))


async def _claim(kube: KubeClient, command: Delete, judged: Judged) -> Prepared:
    asked = judged.asked
    volume = await _volume(kube, live.text(judged.obj, "spec", "volumeName"))
    pods = [live.kept(each, Pod) for each in (await kube.list(PODS, judged.namespace)).items]
    users = [pod for pod in pods if asked.name in facts.claim_names(pod)]
    refusals.check(refusals.unretained(asked, volume), refusals.shared_claim(asked, users))
    return Prepared(
        command=command,
        facts={**judged.identity, "volume": live.name(volume) if volume else ""},
        undo=_bind_again(command, volume),
        evidence=(of_claim(judged.obj), *((of_claim(volume),) if volume else ())),
        write=DeleteWrite(grace=command.grace),
    )


async def _volume(kube: KubeClient, name: str) -> Live | None:
    if not name:
        return None
    try:
        return await kube.get(PVS, name)
    except NotFound:
        return None


def _bind_again(command: Delete, volume: Live | None) -> UndoRecord:
    """
    Bind the old volume to the name again: free it for that claim, then remove the claim that has taken the name since.

    The claim's maker (a StatefulSet that starts its pod) then makes it anew, and finds its old volume waiting.
    """
    if volume is None:
        return not_undone("the claim had no volume: there is nothing to bind again")
    free = Patch(
        object=live.named(PVS, volume),
        namespace="",
        patch='{"spec":{"claimRef":{"uid":null,"resourceVersion":null}}}',
        kind="merge",
    )
    name = command.objects[0].name
    again = replace(command, objects=(ObjectName(resource=PVCS, name=name),), grace=None)
    return undone_by(free, again, note=f"the old volume {live.name(volume)} is kept and bound again")
