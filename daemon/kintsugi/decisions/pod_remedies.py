"""
The remedies for pods independent of their template: a canary restart, other nodes, the earlier number of replicas.

Pure, and asked by `remedies`. Each has a guard (the facts that must be known, the owner of the workload), a step of its
own in the runbook, and an end: a remedy that did not help against this problem is not tried again.
"""

from kintsugi.model.remedies import Remedy, RemedyKind, RevisionFacts, WorkloadState
from kubediagnosis.causes import Cause, Confidence, Diagnosis

_DEPLOYMENT, _STATEFUL_SET = "deployment/", "statefulset/"
_POD, _NODE = "pod/", "node/"
_CONDITIONS, _READY = "status.conditions[", "status.conditions[Ready]"

ENOUGH_FOR_A_CANARY = 2
"""So many pods have to be ready before one of them is ended: the last one that is ready never is."""


def restart(cause: Cause) -> Remedy:
    """Return the remedy for what new pods of the same template may not have."""
    return Remedy(kind=RemedyKind.RESTART, reason=f"a restart may help: {cause.text}")


def restart_one(diagnosis: Diagnosis, cause: Cause, facts: RevisionFacts, state: WorkloadState) -> Remedy:
    """
    Return the remedy for pods that are ready, and do not answer or began before their configuration changed.

    One pod is restarted first; the only one is replaced by a successor that comes before it goes. A restart does not
    repair damage by a change of a ConfigMap or Secret.
    """
    if cause.object not in (diagnosis.object, "") and not _began_before(cause):
        return Remedy(
            kind=RemedyKind.HAND_OVER,
            reason=f"a restart does not help, because the configuration is wrong: {cause.text}",
        )
    if facts.upstream:
        return _waiting_for(facts.upstream, cause)
    if not state.serving:
        return restart(cause)
    by_hand = f"kubectl rollout restart {diagnosis.object} -n {diagnosis.namespace}"
    if tried := state.tried & {RemedyKind.RESTART_CANARY, RemedyKind.ROLLOUT_RESTART}:
        why = f"{_listed(tried)} was tried before for this cause and did not help: {cause.text}"
        return Remedy(kind=RemedyKind.HAND_OVER, reason=why)
    if not diagnosis.object.startswith((_DEPLOYMENT, _STATEFUL_SET)):
        why = f"Kintsugi does not restart ready pods of a DaemonSet; {by_hand} would restart all of them: {cause.text}"
        return Remedy(kind=RemedyKind.HAND_OVER, reason=why)
    if len(state.serving) >= ENOUGH_FOR_A_CANARY:
        why = f"one pod is restarted first; the others follow only if that pod answers: {cause.text}"
        return Remedy(kind=RemedyKind.RESTART_CANARY, reason=why, name=_first(cause, state))
    if diagnosis.object.startswith(_DEPLOYMENT) and not facts.managers:
        why = f"a new pod becomes ready before the only pod is deleted: {cause.text}"
        return Remedy(kind=RemedyKind.ROLLOUT_RESTART, reason=why, name=state.serving[0])
    why = f"Kintsugi never deletes the only ready pod; {by_hand} would restart the pod: {cause.text}"
    return Remedy(kind=RemedyKind.HAND_OVER, reason=why)


def recreate_one(diagnosis: Diagnosis, cause: Cause, facts: RevisionFacts, state: WorkloadState) -> Remedy:
    """
    Return the remedy for pods that fail their readiness or startup probe.

    Pods of a template that was good fail alike for a reason that new pods would meet, too: one of them shows whether new pods help.
    """
    if not facts.known_good or not state.failing:
        return restart(cause)
    if facts.upstream:
        return _waiting_for(facts.upstream, cause)
    if RemedyKind.RECREATE_ONE in state.tried:
        why = f"another pod of this template was made before for this cause and did not get ready: {cause.text}"
        return Remedy(kind=RemedyKind.HAND_OVER, reason=why)
    why = f"one pod is recreated first; the others follow only if its successor gets ready: {cause.text}"
    return Remedy(kind=RemedyKind.RECREATE_ONE, reason=why, name=state.failing[0])


def leave_to_kubelet(diagnosis: Diagnosis, cause: Cause, facts: RevisionFacts, state: WorkloadState) -> Remedy:
    """Return the remedy for containers that fail their liveness probe: of a template that was good, the kubelet restarts them already."""
    if not facts.known_good or cause.confidence is not Confidence.CERTAIN:
        return restart(cause)
    why = f"a restart does not help, the kubelet restarts it again and again: {cause.text}"
    return Remedy(kind=RemedyKind.HAND_OVER, reason=why)


def scale_back(diagnosis: Diagnosis, cause: Cause, facts: RevisionFacts, state: WorkloadState) -> Remedy:
    """Return what helps a workload that somebody has scaled to none: its former replicas, if a person agrees."""
    why = ""
    if state.rests:
        why = f"the workload stays at 0: {state.rests}"
    elif facts.managers:
        why = f"{', '.join(facts.managers)} manages the workload and would undo a scale"
    elif state.replicas is None:
        why = "the earlier number of replicas is unknown"
    elif RemedyKind.SCALE_BACK_ASKED in state.tried:
        why = "an earlier scale for this cause did not help"
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
        return Remedy(kind=RemedyKind.HAND_OVER, reason=f"a restart does not help: {cause.text}")
    if RemedyKind.MOVE_PODS in state.tried:
        why = f"an earlier move of its pods for this cause did not help ({by_hand}): {cause.text}"
        return Remedy(kind=RemedyKind.HAND_OVER, reason=why)
    why = f"its pods on the node are moved; run kubectl uncordon {node} once the node is healthy: {cause.text}"
    return Remedy(kind=RemedyKind.MOVE_PODS, reason=why, name=node)


def _waiting_for(upstream: str, cause: Cause) -> Remedy:
    why = f"no pod is restarted while its upstream {upstream} is not healthy: {cause.text}"
    return Remedy(kind=RemedyKind.WAIT, reason=why)


def _began_before(cause: Cause) -> bool:
    """Return whether a cause in a ConfigMap or Secret is shown by pods: they began before it changed."""
    return any(each.object.startswith(_POD) for each in cause.evidence)


def _first(cause: Cause, state: WorkloadState) -> str:
    """Return the pod that is restarted first: one that shows the cause, else the first in order."""
    shown = {each.object.removeprefix(_POD) for each in cause.evidence if each.object.startswith(_POD)}
    return next((each for each in state.serving if each in shown), state.serving[0])


def _listed(tried: frozenset[RemedyKind]) -> str:
    return ", ".join(sorted(tried))
