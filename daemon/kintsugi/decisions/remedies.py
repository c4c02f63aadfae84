"""
Chooses the remedy for a cause: from none to a rollback at once, and a person where no remedy can help.

Pure. A template is taken back at once only where it is clear: it was never good, the likeliest cause lies in a field
that it changed, the revision before was seen good, upstreams are well, no other manager would revert the change, and more than
Events shows the cause.
"""

from collections.abc import Callable, Iterable, Mapping

from kintsugi.decisions.pod_remedies import leave_to_kubelet, move_pods, recreate_one, restart, restart_one, scale_back
from kintsugi.decisions.resource_remedies import grow_claim, raise_memory
from kintsugi.model.remedies import KeptTemplateFacts, Remedy, RemedyKind, RevisionFacts, WorkloadState
from kubediagnosis.causes import Cause, CauseKind, Diagnosis, EvidenceSource, RegistryAnswer
from kubediagnosis.containers import STILL_RUNS
from kubediagnosis.last_change import covering

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

RUNGS: Mapping[CauseKind, Callable[[Diagnosis, Cause, RevisionFacts, WorkloadState], Remedy]] = {
    CauseKind.NOT_ANSWERING: restart_one,
    CauseKind.STALE_CONFIGURATION: restart_one,
    CauseKind.READINESS_PROBE: recreate_one,
    CauseKind.STARTUP_PROBE: recreate_one,
    CauseKind.LIVENESS_PROBE: leave_to_kubelet,
    CauseKind.SCALED_TO_ZERO: scale_back,
    CauseKind.NODE: move_pods,
    CauseKind.OUT_OF_MEMORY: raise_memory,
    CauseKind.VOLUME: grow_claim,
}
"""The function that returns the remedy of a cause."""

_RUNS = ("image", "command", "args", "env")
"""The fields of a container that say what it runs."""

_POD = "pod/"
_NO_STATE = WorkloadState()

NOT_AT_ONCE = frozenset({CauseKind.SERVICE_ROUTING})
"""Causes for which a template is rolled back only at the deadline: its own pods do not fail."""


def remedy(diagnosis: Diagnosis, facts: RevisionFacts, state: WorkloadState = _NO_STATE) -> Remedy:
    """Return what helps against the likeliest cause."""
    cause = next((each for each in diagnosis.causes if not each.is_warning), None)
    if cause is None and is_unproven(facts):
        why = f"no cause is known yet; revision {facts.revision} was never seen good and is rolled back at the deadline"
        return Remedy(kind=RemedyKind.WAIT, reason=why)
    if cause is None:
        return Remedy(kind=RemedyKind.RESTART, reason="no cause is known; unhealthy pods may be restarted")
    if cause.registry is not None and cause.registry not in REFUSING:
        return Remedy(kind=RemedyKind.WAIT, reason=f"the registry may recover: {cause.text}")
    if lies_in_change(diagnosis, cause, facts):
        return _of_template(diagnosis, cause, facts, state)
    if cause.kind in ELSEWHERE:
        return Remedy(kind=RemedyKind.WAIT, reason=f"no action on this workload helps: {cause.text}")
    if rung := RUNGS.get(cause.kind):
        return rung(diagnosis, cause, facts, state)
    if cause.kind in BEYOND_A_RESTART:
        return Remedy(kind=RemedyKind.HAND_OVER, reason=f"a restart does not help: {cause.text}")
    return restart(cause)


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
        return Remedy(kind=RemedyKind.HAND_OVER, reason=f"not rolled back, {why}: {cause.text}")
    if facts.upstream:
        why = f"not rolled back while its upstream {facts.upstream} is not healthy: {cause.text}"
        return Remedy(kind=RemedyKind.WAIT, reason=why)
    if facts.kept is not None:
        return _of_kept(diagnosis, cause, facts, facts.kept, waits=_hangs(cause) and bool(state.serving))
    if cause.kind in NOT_AT_ONCE or is_hint(cause) or (_hangs(cause) and state.serving):
        return Remedy(
            kind=RemedyKind.WAIT,
            reason=f"rolled back at the deadline if the service is not healthy by then: {cause.text}",
        )
    if facts.release:
        why = f"helm rollback {facts.release} -n {diagnosis.namespace} is the owner's way to roll back"
        return Remedy(kind=RemedyKind.ROLL_BACK_ASKED, reason=f"{why}{_adopted(facts)}: {cause.text}")
    if _hangs(cause):
        why = "no pod serves, but it may not hang; without an answer it is rolled back at the deadline"
        return Remedy(kind=RemedyKind.ROLL_BACK_ASKED, reason=f"{why}{_adopted(facts)}: {cause.text}")
    return Remedy(kind=RemedyKind.ROLL_BACK, reason=f"{cause.text}{_adopted(facts)}")


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
        return Remedy(kind=RemedyKind.HAND_OVER, reason=f"{why}: {cause.text}")
    if cause.kind in NOT_AT_ONCE or waits:
        return Remedy(kind=RemedyKind.WAIT, reason=f"the service may recover without a change: {cause.text}")
    instead = f" ({kept.difference})" if kept.difference else ""
    helm = (
        f"helm rollback {facts.release} -n {diagnosis.namespace} is the owner's way to roll back; "
        if facts.release
        else ""
    )
    why = f"{helm}Kubernetes no longer has a good revision, but the ledger has the last good template{instead}"
    return Remedy(kind=RemedyKind.ROLL_BACK_ASKED, reason=f"{why}: {cause.text}")


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


def is_hint(cause: Cause) -> bool:
    """Return whether only Events show a cause: whoever may create Events in a namespace can write any of them."""
    return bool(cause.evidence) and all(each.source is EvidenceSource.EVENT for each in cause.evidence)


def _hangs(cause: Cause) -> bool:
    """Return whether an init container is only known not to have ended: it may wait for something, or migrate data."""
    if cause.kind is not CauseKind.INIT_CONTAINER:
        return False
    only_runs = bool(cause.evidence) and all(each.field.endswith(STILL_RUNS) for each in cause.evidence)
    return cause.field.endswith("]") or only_runs
