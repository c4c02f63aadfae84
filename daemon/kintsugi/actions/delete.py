"""
`kubectl delete`: of a pod that its controller makes anew, or of a claim whose volume is kept.

A pod is deleted only when that can help; what it was is kept first. Its undo is its successor. One that is to go may go:
in order, a StatefulSet that is scaled to none ends no pod before those ahead of it are ready. Claims are `claims`' business.
"""

from dataclasses import replace
from typing import NoReturn

from kintsugi.actions import claims, job_end, live, refusals
from kintsugi.actions.circumstances import Circumstances
from kintsugi.actions.evidence import of_pod
from kintsugi.actions.judged import Judged, judge
from kintsugi.actions.live import Live
from kintsugi.actions.prepared import DeleteWrite, Evidence, Prepared
from kintsugi.actions.undo import not_undone
from kintsugi.errors import NotFound, Refused
from kintsugi.kube.client import KubeClient
from kintsugi.model.command import Delete, ObjectName
from kintsugi.model.records import Phase
from kintsugi.objects import facts
from kintsugi.objects.kept import Node, Pod, PodDisruptionBudget
from kintsugi.objects.resources import JOBS, NODES, PDBS, PODS, PVCS, STATEFULSETS
from kintsugi.objects.selectors import Selector

_SUCCESSOR = "nothing to take back: its controller makes a successor, and the successor counts"
_NO_SUCCESSOR = "nothing to take back: its StatefulSet is scaled to none, and makes it anew when it is scaled back"


async def prepare(kube: KubeClient, command: Delete, circumstances: Circumstances) -> Prepared:
    """Judge a delete. Raises Refused for all kinds but pods, claims and workers' Jobs: nothing would bring them back."""
    asked = command.objects[0]
    if asked.resource not in (PODS, PVCS, JOBS):
        _refuse_kind(asked)
    if circumstances.phase is Phase.UNDO and asked.resource == PVCS:
        return await claims.prepare_undo(kube, command, circumstances)
    judged = await judge(kube, asked, command.namespace, circumstances)
    bound = replace(command, objects=(judged.asked,))
    if asked.resource == PODS:
        return await _pod(kube, bound, judged)
    if asked.resource == JOBS:
        return await job_end.prepare(kube, bound, judged)
    return await claims.prepare_delete(kube, bound, judged)


def _refuse_kind(asked: ObjectName) -> NoReturn:
    raise Refused(f"{asked} is not deleted: only pods come back by themselves, and claims by their volume")


async def _pod(kube: KubeClient, command: Delete, judged: Judged) -> Prepared:
    asked, pod = judged.asked, live.kept(judged.obj, Pod)
    refusals.check(
        refusals.foreign_pod(asked, judged.obj, judged.circumstances),
        refusals.without_successor(asked, pod),
        refusals.finished(asked, pod),
    )
    to_go = await _is_to_go(kube, pod, judged.namespace)
    if not to_go:
        refusals.check(refusals.beyond_a_restart(asked, pod))
    if node_name := pod.spec.node_name:
        refusals.check(refusals.on_dead_node(asked, await _node(kube, node_name), node_name))
    if not to_go:
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
        undo=not_undone(_NO_SUCCESSOR if to_go else _SUCCESSOR),
        evidence=(*await of_pod(kube, judged.obj), *await _budgets(kube, judged)),
        write=DeleteWrite(grace=command.grace),
    )


async def _is_to_go(kube: KubeClient, pod: Pod, namespace: str) -> bool:
    """Tell whether a pod that is not ready is one of a StatefulSet that is scaled to none."""
    owner = facts.controller_of(pod)
    if owner is None or owner.kind != STATEFULSETS.kind or facts.ready(pod):
        return False
    try:
        found = await kube.get(STATEFULSETS, owner.name, namespace)
    except NotFound:
        return False
    return live.uid(found) == owner.uid and live.number(found, "spec", "replicas") == 0


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
