"""
Chooses the remedy for a cause: from none to a rollback at once, and a person where no remedy can help.

Pure. A template is taken back at once only where it is clear: it was never good, the likeliest cause lies in a field
that it changed, the revision before was seen good, upstreams are well, no other manager would revert the change, and more than
Events shows the cause. The other remedies need no new template: a canary restart, other nodes, the earlier number of
replicas, more memory, a larger claim. Without a ceiling nothing is raised, and the reason has the command for a person.
A remedy that did not help against this problem is not tried again.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

from kintsugi.model.remedies import (
    ClaimSize,
    ContainerMemory,
    KeptTemplateFacts,
    Remedy,
    RemedyKind,
    RevisionFacts,
    WorkloadState,
)
from kubediagnosis.causes import Cause, CauseKind, Confidence, Diagnosis, EvidenceSource, RegistryAnswer
from kubediagnosis.containers import STILL_RUNS
from kubediagnosis.last_change import covering
from kubeobjects.quantities import quantity, whole

REFUSING = frozenset(
    {
        RegistryAnswer.NOT_FOUND,
        RegistryAnswer.DENIED,
        RegistryAnswer.UNAUTHORIZED,
        RegistryAnswer.INVALID_NAME,
    }
)
"""Permanent answers of a registry; all others may be temporary."""

BEYOND_A_RESTART = frozenset(
    {
        CauseKind.IMAGE_PULL,
        CauseKind.MISSING_CONFIGURATION,
        CauseKind.CONTAINER_START,
        CauseKind.READINESS_GATE,
        CauseKind.UNSCHEDULABLE,
        CauseKind.POD_CREATION,
        CauseKind.SERVICE_ROUTING,
        CauseKind.CERTIFICATE,
        CauseKind.FINALIZER,
        CauseKind.POD_TERMINATION,
        CauseKind.PAUSED_ROLLOUT,
        CauseKind.NAME_RESOLUTION,
        CauseKind.NETWORK_POLICY,
        CauseKind.AUTOSCALER,
        CauseKind.DISRUPTION_BUDGET,
    }
)
"""Causes that each new pod would have, too."""

ELSEWHERE = frozenset({CauseKind.UPSTREAM, CauseKind.OBSERVER})
"""Causes outside the workload: it gets healthy when they are over."""

_RUNS = ("image", "command", "args", "env")
"""The fields of a container that say what it runs."""

_POD = "pod/"
_NO_STATE = WorkloadState()

RESTARTS = frozenset({RemedyKind.RESTART, RemedyKind.RESTART_CANARY, RemedyKind.ROLLOUT_RESTART})
"""The remedies that make a new pod of the same template."""

_DEPLOYMENT, _STATEFUL_SET = "deployment/", "statefulset/"
_NODE = "node/"
_CONDITIONS, _READY = "status.conditions[", "status.conditions[Ready]"

ENOUGH_FOR_A_CANARY = 2
"""So many pods have to be ready before one of them is ended: the last one that is ready never is."""

BUMP_UP_RATIO = Decimal("1.2")
MIN_BUMP_UP = 100 * 1024**2
"""
The least amount by which a limit is raised: 100 MiB, or a fifth where that is more.

The VerticalPodAutoscaler adds as much after a container was ended for its memory (`--oom-bump-up-ratio`,
`--oom-min-bump-up-bytes` of its recommender).
"""

GROWTH_RATIO = Decimal("1.5")
"""
The factor by which a claim grows: storage may take one change of a volume in hours, so that a small growth would soon
be too little.
"""

_LIMIT = re.compile(r"containers\[([^\]]+)\]\.resources\.limits\.memory")
_CPU_LIMIT = ".resources.limits.cpu"
_ENDED = ".terminated"
_CLAIM, _FULL = "persistentvolumeclaim/", "status.capacity[storage]"
_MEBI = 1024**2


def remedy(diagnosis: Diagnosis, facts: RevisionFacts, state: WorkloadState = _NO_STATE) -> Remedy:
    """
    Return what helps against the likeliest cause.

    Nothing is restarted while an upstream is unhealthy, nor in another way after one restart that did not help.
    """
    causes = [each for each in diagnosis.causes if not each.is_warning]
    found = _of_cause(diagnosis, causes[0], facts, state) if causes else _without_cause(facts, state)
    if found.kind not in RESTARTS:
        return found
    about = f": {causes[0].text}" if causes else ""
    upstream = facts.upstream or next((each.object for each in causes if each.kind is CauseKind.UPSTREAM), "")
    if upstream:
        return RemedyKind.WAIT.because(f"no pod is restarted while its upstream {upstream} is not healthy{about}")
    if tried := state.tried & RESTARTS:
        return RemedyKind.HAND_OVER.because(f"{', '.join(sorted(tried))} was tried before and did not help{about}")
    if not found.name:
        return RemedyKind.WAIT.because(f"no pod is unhealthy yet{about}")
    return found


def _of_cause(diagnosis: Diagnosis, cause: Cause, facts: RevisionFacts, state: WorkloadState) -> Remedy:
    if cause.registry is not None and cause.registry not in REFUSING:
        return RemedyKind.WAIT.because(f"the registry may recover: {cause.text}")
    if lies_in_change(diagnosis, cause, facts):
        return _of_template(diagnosis, cause, facts, state)
    if cause.kind in ELSEWHERE:
        return RemedyKind.WAIT.because(f"no action on this workload helps: {cause.text}")
    if rung := RUNGS.get(cause.kind):
        return rung(diagnosis, cause, facts, state)
    if cause.kind in BEYOND_A_RESTART:
        return RemedyKind.HAND_OVER.because(f"a restart does not help: {cause.text}")
    return restart(diagnosis, cause, facts, state)


def _without_cause(facts: RevisionFacts, state: WorkloadState) -> Remedy:
    if is_unproven(facts):
        why = f"no cause is known yet; revision {facts.revision} was never seen good and is rolled back at the deadline"
        return RemedyKind.WAIT.because(why)
    return RemedyKind.RESTART.because(
        "no cause is known; an unhealthy pod may be restarted", name=next(iter(state.failing), "")
    )


def is_unproven(facts: RevisionFacts) -> bool:
    """Return whether the template in force is another one than the last good one, and was never good itself."""
    return bool(facts.good and facts.changed) and not facts.known_good


def lies_in_change(diagnosis: Diagnosis, cause: Cause, facts: RevisionFacts) -> bool:
    """
    Return whether a cause lies in a field of the template that is not as in the last good revision.

    What was read of pods must be of some pod that the template in force has made: one of an earlier template says nothing of it.
    """
    changed = covering(facts.changed, cause.field) or _explains(facts.changed, cause)
    if cause.object != diagnosis.object or not cause.field or not changed:
        return False
    pods = {each.object for each in cause.evidence if each.object.startswith(_POD)}
    return not pods or not pods.isdisjoint(facts.pods)


def _explains(changed: Iterable[str], cause: Cause) -> bool:
    """Return whether a change of what a container runs explains that it needs more memory than its limit, which is as it was."""
    container = cause.field.partition(".")[0]
    fields = tuple(f"{container}.{name}" for name in _RUNS)
    return cause.kind is CauseKind.OUT_OF_MEMORY and any(each.startswith(fields) for each in changed)


def _of_template(diagnosis: Diagnosis, cause: Cause, facts: RevisionFacts, state: WorkloadState) -> Remedy:
    if why := _against(facts):
        return RemedyKind.HAND_OVER.because(f"not rolled back, {why}: {cause.text}")
    if facts.upstream:
        why = f"not rolled back while its upstream {facts.upstream} is not healthy: {cause.text}"
        return RemedyKind.WAIT.because(why)
    if facts.kept is not None:
        return _of_kept(diagnosis, cause, facts, facts.kept, waits=_hangs(cause) and bool(state.serving))
    if _may_pass(cause) or is_hint(cause) or (_hangs(cause) and state.serving):
        return RemedyKind.WAIT.because(
            f"rolled back at the deadline if the service is not healthy by then: {cause.text}"
        )
    if facts.release:
        why = f"helm rollback {facts.release} -n {diagnosis.namespace} is the owner's way to roll back"
        return RemedyKind.ROLL_BACK_ASKED.because(f"{why}{_adopted(facts)}: {cause.text}")
    if _hangs(cause):
        why = "no pod serves, but it may not hang; without an answer it is rolled back at the deadline"
        return RemedyKind.ROLL_BACK_ASKED.because(f"{why}{_adopted(facts)}: {cause.text}")
    return RemedyKind.ROLL_BACK.because(f"{cause.text}{_adopted(facts)}")


def _adopted(facts: RevisionFacts) -> str:
    return adopted_clause(facts.good) if facts.adopted else ""


def adopted_clause(revision: int) -> str:
    """Return the clause for a rollback that leads to an adopted revision."""
    return f"; revision {revision} was adopted as good"


def _of_kept(
    diagnosis: Diagnosis, cause: Cause, facts: RevisionFacts, kept: KeptTemplateFacts, *, waits: bool
) -> Remedy:
    """Return what becomes of a template where only the ledger has the good one: it is gone back to when a person agrees."""
    if kept.missing:
        why = f"not rolled back, since the last good template lacks the values of {', '.join(kept.missing)}"
        return RemedyKind.HAND_OVER.because(f"{why}: {cause.text}")
    if _may_pass(cause) or waits:
        return RemedyKind.WAIT.because(f"the service may recover without a change: {cause.text}")
    instead = f" ({kept.difference})" if kept.difference else ""
    helm = (
        f"helm rollback {facts.release} -n {diagnosis.namespace} is the owner's way to roll back; "
        if facts.release
        else ""
    )
    why = f"{helm}Kubernetes no longer has a good revision, but the ledger has the last good template{instead}"
    return RemedyKind.ROLL_BACK_ASKED.because(f"{why}: {cause.text}")


def _against(facts: RevisionFacts) -> str:
    """Return what forbids to take a template back, as a clause; "" for nothing."""
    if facts.known_good:
        return f"since revision {facts.revision} was seen good before"
    if not facts.good and facts.kept is None:
        return f"since {facts.none_good or 'no earlier revision was seen good'}"
    if facts.managers:
        return f"since {', '.join(facts.managers)} manages the workload and would undo the rollback"
    if facts.paused:
        return "since its rollout is paused"
    return ""


def _may_pass(cause: Cause) -> bool:
    """Return whether a Service may only seem to lead nowhere: the pods of the template do not fail themselves."""
    return cause.kind is CauseKind.SERVICE_ROUTING and cause.confidence is not Confidence.CERTAIN


def is_hint(cause: Cause) -> bool:
    """Return whether only Events show a cause: whoever may create Events in a namespace can write any of them."""
    return bool(cause.evidence) and all(each.source is EvidenceSource.EVENT for each in cause.evidence)


def _hangs(cause: Cause) -> bool:
    """Return whether an init container is only known not to have ended: it may wait for something, or migrate data."""
    if cause.kind is not CauseKind.INIT_CONTAINER:
        return False
    only_runs = bool(cause.evidence) and all(each.field.endswith(STILL_RUNS) for each in cause.evidence)
    return cause.field.endswith("]") or only_runs


def restart(diagnosis: Diagnosis, cause: Cause, facts: RevisionFacts, state: WorkloadState) -> Remedy:
    """
    Return the remedy for what a new pod of the same template may not have: one is made first.

    A pod that shows the cause comes first. A value that is wrong elsewhere is wrong for new pods, too.
    """
    if cause.object not in (diagnosis.object, "") and not cause.object.startswith(_POD):
        return RemedyKind.HAND_OVER.because(f"a restart does not help: {cause.text}")
    why = f"one pod is restarted first; the others follow only if its successor gets ready: {cause.text}"
    return RemedyKind.RESTART.because(why, name=_first(cause, state.failing))


def restart_one(diagnosis: Diagnosis, cause: Cause, facts: RevisionFacts, state: WorkloadState) -> Remedy:
    """
    Return the remedy for pods that are ready, and do not answer or began before their configuration changed.

    One pod is restarted first; the only one is replaced by a successor that comes before it goes. Where some pods alone are known
    not to answer, no other one is restarted. A restart does not repair damage by a change of a ConfigMap or Secret.
    """
    is_own = cause.object in (diagnosis.object, "") or cause.object.removeprefix(_POD) in state.serving
    if not is_own and cause.kind is not CauseKind.STALE_CONFIGURATION:
        return RemedyKind.HAND_OVER.because(f"a restart of {diagnosis.object} does not help: {cause.text}")
    if not state.serving:
        return restart(diagnosis, cause, facts, state)
    by_hand = f"kubectl rollout restart {diagnosis.object} -n {diagnosis.namespace}"
    if not diagnosis.object.startswith((_DEPLOYMENT, _STATEFUL_SET)):
        why = f"Kintsugi does not restart ready pods of a DaemonSet; {by_hand} would restart all of them: {cause.text}"
        return RemedyKind.HAND_OVER.because(why)
    if len(state.serving) >= ENOUGH_FOR_A_CANARY:
        shown = _shown(cause)
        pods = (
            tuple(each for each in state.serving if each in shown) if cause.object.startswith(_POD) else state.serving
        )
        what = "the others follow only if that pod answers" if len(pods) > 1 else "no other pod is"
        why = f"one pod is restarted first; {what}: {cause.text}"
        return replace(RemedyKind.RESTART_CANARY.because(why, name=_first(cause, state.serving)), pods=pods)
    if diagnosis.object.startswith(_DEPLOYMENT) and not facts.managers:
        why = f"a new pod becomes ready before the only pod is deleted: {cause.text}"
        return RemedyKind.ROLLOUT_RESTART.because(why, name=state.serving[0])
    why = f"Kintsugi never deletes the only ready pod; {by_hand} would restart the pod: {cause.text}"
    return RemedyKind.HAND_OVER.because(why)


def leave_to_kubelet(diagnosis: Diagnosis, cause: Cause, facts: RevisionFacts, state: WorkloadState) -> Remedy:
    """Return the remedy for containers that fail their liveness probe: the kubelet restarts them already."""
    why = f"a restart does not help, the kubelet restarts it again and again: {cause.text}"
    return RemedyKind.HAND_OVER.because(why)


def restart_unless_throttled(diagnosis: Diagnosis, cause: Cause, facts: RevisionFacts, state: WorkloadState) -> Remedy:
    """Return the remedy for pods that fail a probe: none for those that use all the CPU that their template allows."""
    if cause.field.endswith(_CPU_LIMIT) and not is_unproven(facts):
        return RemedyKind.HAND_OVER.because(f"a new pod has the same limit: {cause.text}")
    return restart(diagnosis, cause, facts, state)


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
        return RemedyKind.HAND_OVER.because(f"not scaled back, {why}: {cause.text}")
    return RemedyKind.SCALE_BACK_ASKED.because(cause.text)


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
        return RemedyKind.HAND_OVER.because(f"a restart does not help: {cause.text}")
    if RemedyKind.MOVE_PODS in state.tried:
        why = f"an earlier move of its pods for this cause did not help ({by_hand}): {cause.text}"
        return RemedyKind.HAND_OVER.because(why)
    why = f"its pods on the node are moved; run kubectl uncordon {node} once the node is healthy: {cause.text}"
    return RemedyKind.MOVE_PODS.because(why, name=node)


def _first(cause: Cause, names: Sequence[str]) -> str:
    """Return the pod that is restarted first: one that shows the cause, else the first in order; "" for none."""
    shown = _shown(cause)
    return next((each for each in names if each in shown), next(iter(names), ""))


def _shown(cause: Cause) -> set[str]:
    """Return the names of the pods that show a cause."""
    return {each.object.removeprefix(_POD) for each in cause.evidence if each.object.startswith(_POD)}


def raise_memory(diagnosis: Diagnosis, cause: Cause, facts: RevisionFacts, state: WorkloadState) -> Remedy:
    """
    Return what helps containers that were ended at their memory limit: a higher one, of their pods as they are.

    It is temporary: the template is its owner's to change. What asks for as much as its limit goes on to, so that no pod changes its
    class of service, which the API server refuses.
    """
    found = _LIMIT.fullmatch(cause.field)
    if found is None or cause.object != diagnosis.object or cause.confidence is not Confidence.CERTAIN:
        return restart(diagnosis, cause, facts, state)
    container = found[1]
    having = [each for each in state.memory if each.container == container and each.limit]
    killed = _killed(cause, having)
    if not killed:
        return restart(diagnosis, cause, facts, state)
    present = max(killed, key=lambda each: quantity(each.limit))
    ceiling = quantity(state.max_allowed.memory or None)
    limit = quantity(present.limit)
    wanted = max(limit * BUMP_UP_RATIO, limit + MIN_BUMP_UP)
    if why := _against_raise(having, limit, ceiling, state):
        by_hand = _by_hand(diagnosis, container, _text(wanted), present)
        return RemedyKind.HAND_OVER.because(f"{why}; {by_hand} would raise the limit: {cause.text}")
    amount = state.max_allowed.memory if wanted >= ceiling else _text(wanted)
    request = _request(present, amount)
    where = f"{cause.field} in the template is unchanged; raise it there with {_by_hand(diagnosis, container, amount, present)}"
    return Remedy(
        kind=RemedyKind.RAISE_MEMORY,
        reason=f"its limit of {present.limit} is raised to {amount} until its pods are replaced; {where}: {cause.text}",
        name=container,
        amount=amount,
        request=request,
        pods=tuple(each.pod for each in having if quantity(each.limit) < quantity(amount)),
    )


def grow_claim(diagnosis: Diagnosis, cause: Cause, facts: RevisionFacts, state: WorkloadState) -> Remedy:
    """Return what helps a claim that is full: more of it once a person agrees, for it cannot be made smaller again."""
    name = cause.object.removeprefix(_CLAIM)
    found = next((each for each in state.claims if each.name == name and each.capacity), None)
    if cause.field != _FULL or found is None:
        return RemedyKind.HAND_OVER.because(f"a restart does not help: {cause.text}")
    present, ceiling = quantity(found.capacity), quantity(state.max_allowed.storage or None)
    wanted = present * GROWTH_RATIO
    amount = state.max_allowed.storage if 0 < ceiling <= wanted else _text(wanted)
    if why := _against_growth(found, present, ceiling, state):
        by_hand = _growing(diagnosis, name, _text(wanted))
        return RemedyKind.HAND_OVER.because(f"{why}; {by_hand} would enlarge the claim: {cause.text}")
    why = f"from {found.capacity} to {amount}; a claim cannot be made smaller again"
    return Remedy(kind=RemedyKind.GROW_CLAIM_ASKED, reason=f"{why}: {cause.text}", name=name, amount=amount)


def _against_growth(found: ClaimSize, present: Decimal, ceiling: Decimal, state: WorkloadState) -> str:
    """Return why a claim does not grow, "" where it may."""
    if not ceiling:
        return "the claim does not grow, since its service declares no maxAllowed.storage"
    if found.grows is not True:
        said = "does not allow" if found.grows is False else "may not allow"
        return f"the claim does not grow, since its StorageClass {said} expansion"
    if present >= ceiling:
        return f"the claim does not grow above its service's maxAllowed.storage of {state.max_allowed.storage}"
    if quantity(found.requested or None) > present:
        return f"the claim already requests {found.requested}, but does not have this size"
    if RemedyKind.GROW_CLAIM_ASKED in state.tried:
        return "the claim was already enlarged for this cause, which did not help"
    return ""


def _growing(diagnosis: Diagnosis, name: str, amount: str) -> str:
    patch = f'{{"spec":{{"resources":{{"requests":{{"storage":"{amount}"}}}}}}}}'
    return f"kubectl patch pvc {name} -p '{patch}' -n {diagnosis.namespace}"


def _killed(cause: Cause, having: Sequence[ContainerMemory]) -> list[ContainerMemory]:
    """Return what the pods have that show the cause."""
    shown = {each.object.removeprefix(_POD) for each in cause.evidence if each.field.endswith(_ENDED)}
    return [each for each in having if each.pod in shown]


def _against_raise(having: Sequence[ContainerMemory], present: Decimal, ceiling: Decimal, state: WorkloadState) -> str:
    """Return why no limit is raised, "" where it may be."""
    if not ceiling:
        return "the limit is not raised, since its service declares no maxAllowed.memory"
    if pending := next((each.pending for each in having if each.pending), ""):
        return f"the limit is not raised, since the kubelet has not applied an earlier change ({pending})"
    if present >= ceiling:
        return f"the limit is not raised above its service's maxAllowed.memory of {state.max_allowed.memory}"
    if RemedyKind.RAISE_MEMORY in state.tried:
        return "the limit was already raised for this cause, which did not help"
    return ""


def _text(amount: Decimal) -> str:
    """Return an amount in whole mebibytes, rounded up."""
    return f"{whole(amount / _MEBI)}Mi"


def _request(present: ContainerMemory, amount: str) -> str:
    """Return what a container asks for beside a limit of so much."""
    return amount if quantity(present.request or None) == quantity(present.limit) else present.request


def _by_hand(diagnosis: Diagnosis, container: str, amount: str, present: ContainerMemory) -> str:
    """Return the command that raises the limit where it lasts."""
    request = _request(present, amount)
    requests = f" --requests=memory={request}" if request == amount else ""
    place = f"-c {container} --limits=memory={amount}{requests} -n {diagnosis.namespace}"
    return f"kubectl set resources {diagnosis.object} {place}"


RUNGS: Mapping[CauseKind, Callable[[Diagnosis, Cause, RevisionFacts, WorkloadState], Remedy]] = {
    CauseKind.NOT_ANSWERING: restart_one,
    CauseKind.STALE_CONFIGURATION: restart_one,
    CauseKind.LIVENESS_PROBE: leave_to_kubelet,
    CauseKind.READINESS_PROBE: restart_unless_throttled,
    CauseKind.STARTUP_PROBE: restart_unless_throttled,
    CauseKind.SCALED_TO_ZERO: scale_back,
    CauseKind.NODE: move_pods,
    CauseKind.OUT_OF_MEMORY: raise_memory,
    CauseKind.VOLUME: grow_claim,
}
"""The function that returns the remedy of a cause."""
