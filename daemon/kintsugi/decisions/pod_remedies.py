"""
The remedies for pods independent of their template: a canary restart, other nodes, the earlier number of replicas.

Pure, and asked by `remedies`. Each has a guard (the facts that must be known, the owner of the workload), a step of its
own in the runbook, and an end: a remedy that did not help against this trouble is not tried again.
"""

from kintsugi.model.causes import Cause, Diagnosis
from kintsugi.model.remedies import Remedy, RemedyKind, RevisionFacts, WorkloadState

_DEPLOYMENT, _STATEFUL_SET = "deployment/", "statefulset/"
_POD, _NODE = "pod/", "node/"
_CONDITIONS, _READY = "status.conditions[", "status.conditions[Ready]"

ENOUGH_FOR_A_CANARY = 2
"""So many pods have to be ready before one of them is ended: the last one that is ready never is."""


def restart_one(diagnosis: Diagnosis, cause: Cause, facts: RevisionFacts, state: WorkloadState) -> Remedy:
    """
    Return the remedy for pods that are ready, and do not answer or began before their configuration changed.

    One pod is restarted first; the only one is replaced by a successor that comes before it goes. A restart does not
    repair damage by a change of a ConfigMap or Secret.
    """
    if cause.object not in (diagnosis.object, "") and not _began_before(cause):
        return Remedy(kind=RemedyKind.HAND_OVER, reason=f"no restart helps, it is the configuration: {cause.text}")
    if facts.upstream:
        why = f"nothing is restarted while {facts.upstream}, on which it depends, is not well: {cause.text}"
        return Remedy(kind=RemedyKind.WAIT, reason=why)
    if not state.serving:
        return Remedy(kind=RemedyKind.RESTART, reason=f"a restart may help: {cause.text}")
    by_hand = f"kubectl rollout restart {diagnosis.object} -n {diagnosis.namespace}"
    if tried := state.tried & {RemedyKind.RESTART_CANARY, RemedyKind.ROLLOUT_RESTART}:
        why = f"{_listed(tried)} was tried for this before, and did not help: {cause.text}"
        return Remedy(kind=RemedyKind.HAND_OVER, reason=why)
    if not diagnosis.object.startswith((_DEPLOYMENT, _STATEFUL_SET)):
        why = f"a pod of a DaemonSet that is ready is not ended here; {by_hand} would restart them all: {cause.text}"
        return Remedy(kind=RemedyKind.HAND_OVER, reason=why)
    if len(state.serving) >= ENOUGH_FOR_A_CANARY:
        why = f"one pod is restarted, and the others only if that one answers: {cause.text}"
        return Remedy(kind=RemedyKind.RESTART_CANARY, reason=why, name=_first(cause, state))
    if diagnosis.object.startswith(_DEPLOYMENT) and not facts.managers:
        why = f"its only pod is replaced by one that is ready before it goes: {cause.text}"
        return Remedy(kind=RemedyKind.ROLLOUT_RESTART, reason=why, name=state.serving[0])
    why = f"the only pod that is ready is never ended; {by_hand} would restart it: {cause.text}"
    return Remedy(kind=RemedyKind.HAND_OVER, reason=why)


def scale_back(diagnosis: Diagnosis, cause: Cause, facts: RevisionFacts, state: WorkloadState) -> Remedy:
    """Return what helps a workload that somebody has scaled to none: its former replicas, if a person agrees."""
    why = ""
    if state.rests:
        why = f"it is left at 0: {state.rests}"
    elif facts.managers:
        why = f"it belongs to {', '.join(facts.managers)}, which would take a scale back"
    elif state.replicas is None:
        why = "nobody knows how many replicas it had"
    elif RemedyKind.SCALE_BACK_ASKED in state.tried:
        why = "it was scaled back for this before, and that did not help"
    if why:
        return Remedy(kind=RemedyKind.HAND_OVER, reason=f"not scaled back, {why}: {cause.text}")
    return Remedy(kind=RemedyKind.SCALE_BACK_ASKED, reason=cause.text)


def move_pods(diagnosis: Diagnosis, cause: Cause, facts: RevisionFacts, state: WorkloadState) -> Remedy:
    """
    Return what helps pods on a node that is not well: another node.

    A StatefulSet's pod stays until the kubelet of a node that is gone says that it has ended, a DaemonSet's comes back to the same node.
    """
    node = cause.object.removeprefix(_NODE)
    by_hand = f"kubectl cordon {node}; kubectl drain {node} --ignore-daemonsets"
    moves = diagnosis.object.startswith(_DEPLOYMENT) or (
        diagnosis.object.startswith(_STATEFUL_SET) and cause.field != _READY
    )
    is_unwell = not cause.field or cause.field.startswith(_CONDITIONS)
    if not moves or not is_unwell or not cause.object.startswith(_NODE):
        return Remedy(kind=RemedyKind.HAND_OVER, reason=f"no restart helps: {cause.text}")
    if RemedyKind.MOVE_PODS in state.tried:
        why = f"its pods were moved for this before, and that did not help ({by_hand}): {cause.text}"
        return Remedy(kind=RemedyKind.HAND_OVER, reason=why)
    why = f"its pods there are moved; kubectl uncordon {node} once that is well: {cause.text}"
    return Remedy(kind=RemedyKind.MOVE_PODS, reason=why, name=node)


def _began_before(cause: Cause) -> bool:
    """Return whether a cause in a ConfigMap or Secret is shown by pods: they began before it changed."""
    return any(each.object.startswith(_POD) for each in cause.evidence)


def _first(cause: Cause, state: WorkloadState) -> str:
    """Return the pod that is restarted first: one that shows the cause, else the first in order."""
    shown = {each.object.removeprefix(_POD) for each in cause.evidence if each.object.startswith(_POD)}
    return next((each for each in state.serving if each in shown), state.serving[0])


def _listed(tried: frozenset[RemedyKind]) -> str:
    return ", ".join(sorted(tried))
