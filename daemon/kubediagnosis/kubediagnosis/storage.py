"""
Volume: a claim that is lost or being deleted, a volume that cannot be attached or mounted, one that is full, and a limit
of local storage.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

from kubediagnosis import answering, evidence_items, last_change, words
from kubediagnosis.causes import Cause, CauseKind, Confidence, EvidenceItem
from kubediagnosis.facts import ClaimFacts, PodFacts, WorkloadFacts
from kubeobjects import predicates
from kubeobjects.cluster import Event

# Reasons of the kubelet's and of the attach controller's Events.
_NOT_MOUNTED, _NOT_ATTACHED = "FailedMount", "FailedAttachVolume"
_LOST, _PENDING = "Lost", "Pending"
_TWICE = 2
"""
The number of failures that makes a cause certain: one failure may only have been too early; a kubelet retries within a
second.
"""

EVICTED_LATELY = timedelta(minutes=15)
"""An evicted pod stays as an object for long; one that was evicted earlier says nothing of the present problem."""


def claims(facts: WorkloadFacts) -> Iterator[Cause]:
    """Find claims of pods that are not ready, where the claim itself is lost or being deleted, or names a class that is not there."""
    named = {
        name for pod in last_change.living(facts) if not predicates.ready(pod) for name in predicates.claim_names(pod)
    }
    for claim in facts.claims:
        if claim.metadata.name not in named or not claim.exists:
            continue
        if claim.status.phase == _LOST:
            yield _of_claim(
                claim, "status.phase", f"claim {claim.metadata.name} is Lost: its volume no longer exists", _LOST
            )
        elif (deleted := claim.metadata.deletion_timestamp) is not None:
            yield _of_claim(
                claim,
                "metadata.deletionTimestamp",
                f"claim {claim.metadata.name} is being deleted since {deleted:%H:%M:%S}; it would be gone once the pod that uses it ends",
                f"{deleted:%Y-%m-%dT%H:%M:%SZ}",
            )
        elif lacks_class(claim):
            yield without_class(claim)


def volumes(facts: WorkloadFacts) -> Iterator[Cause]:
    """Find volumes that cannot be attached or mounted, of pods of which nothing has started yet."""
    for pod in last_change.living(facts):
        if pod.has_begun:
            continue
        for reason in (_NOT_ATTACHED, _NOT_MOUNTED):
            event = evidence_items.newest(
                each
                for each in evidence_items.events_of(facts, pod)
                if each.reason == reason and words.failed_volume(each.message)
            )
            if event is not None and (cause := _failed(facts, pod, event)) is not None:
                yield cause
                break


def full(facts: WorkloadFacts) -> Iterator[Cause]:
    """
    Find claims of a container that says that there is no space left; of several mounted claims it is not known which is
    full.
    """
    for pod in last_change.living(facts):
        for log in (*facts.logs, *facts.running_logs):
            if log.pod != pod.metadata.name or not words.NO_SPACE.search(log.line):
                continue
            mounted = _claims_of(pod, log.container)
            for name in mounted:
                claim = next((each for each in facts.claims if each.metadata.name == name), None)
                size = f" of {claim.capacity}" if claim is not None and claim.capacity else ""
                blamed = (f"persistentvolumeclaim/{name}", "status.capacity[storage]")
                text = f"claim {name}{size} is full: {evidence_items.short(log.line, 200)}"
                found = cause(blamed, Confidence.LIKELY, text, evidence_items.log_line(pod, log))
                yield replace(found, is_warning=answering.is_well(facts))


def evicted(facts: WorkloadFacts) -> Iterator[Cause]:
    """Find pods that the kubelet evicted just now since they used more local storage than a limit of their own."""
    for pod in facts.pods:
        ready = predicates.condition_of(pod.status.conditions, "Ready")
        at = ready.last_transition_time if ready is not None else None
        field = words.evicted_by_limit(pod.status.message) if pod.status.reason == words.EVICTED else None
        if field is None or at is None or facts.now - at > EVICTED_LATELY:
            continue
        said = evidence_items.field(pod.reference, "status.message", pod.status.message, at)
        text = f"pods are evicted: {evidence_items.short(pod.status.message, 200)}"
        found = cause((facts.reference, field), Confidence.CERTAIN, text, said)
        yield replace(found, is_warning=answering.is_well(facts))


def lacks_class(claim: ClaimFacts) -> bool:
    """Return whether a claim waits for a class that was read to be not there."""
    return claim.status.phase == _PENDING and claim.class_exists is False


def without_class(claim: ClaimFacts) -> Cause:
    """Return the cause of a claim whose class is not there."""
    class_name = claim.spec.storage_class_name or ""
    text = f"claim {claim.metadata.name} has no volume: the StorageClass {class_name} does not exist"
    return _of_claim(claim, "spec.storageClassName", text, class_name)


def _of_claim(claim: ClaimFacts, field: str, text: str, found: str) -> Cause:
    phase = evidence_items.field(claim.reference, "status.phase", claim.status.phase)
    of_field = [evidence_items.field(claim.reference, field, found)] if field != "status.phase" else []
    certain = cause((claim.reference, field), Confidence.CERTAIN, text, phase)
    return replace(certain, evidence=(phase, *of_field))


def _failed(facts: WorkloadFacts, pod: PodFacts, event: Event) -> Cause | None:
    """Return whose volume it is: a claim's (attaching), its PersistentVolume's (mounting), or one that the template has itself."""
    name = words.failed_volume(event.message)
    claim = next((each for each in facts.claims if each.spec.volume_name == name), None)
    seen = evidence_items.event_item(event)
    said = evidence_items.short(event.message, 300)
    sure = Confidence.CERTAIN if event.times >= _TWICE else Confidence.LIKELY
    if claim is not None:
        attaching = event.reason == _NOT_ATTACHED
        holder, field = (claim.reference, "") if attaching else (f"persistentvolume/{name}", claim.volume_field)
        does = "attached" if attaching else "mounted"
        text = f"the volume of claim {claim.metadata.name} cannot be {does}: {said}"
        return cause((holder, field), sure, text, seen)
    if not _is_host_path(pod, name):
        return None
    new = last_change.covering(last_change.suspected(facts, pod), f"volumes[{name}]")
    confidence = sure if new else Confidence.LIKELY
    return cause((facts.reference, f"volumes[{name}]"), confidence, f"volume {name} cannot be mounted: {said}", seen)


def _is_host_path(pod: PodFacts, name: str) -> bool:
    """Return whether a volume of the pod is neither a claim nor configuration: those have causes of their own."""
    return any(
        each.name == name and not (each.persistent_volume_claim or each.config_map or each.secret or each.projected)
        for each in pod.spec.volumes
    )


def cause(blamed: tuple[str, str], confidence: Confidence, text: str, seen: EvidenceItem) -> Cause:
    """Return that a volume is the cause, blamed on a field of an object."""
    holder, field = blamed
    return Cause(kind=CauseKind.VOLUME, object=holder, field=field, confidence=confidence, text=text, evidence=(seen,))


def _claims_of(pod: PodFacts, container: str) -> tuple[str, ...]:
    """Return the claim that a container writes to; none where it mounts several, or none."""
    spec = pod.container(container)
    mounts = {each.name for each in spec.volume_mounts} if spec is not None else set()
    found = [
        each.persistent_volume_claim.claim_name
        for each in pod.spec.volumes
        if each.persistent_volume_claim is not None and each.name in mounts
    ]
    return tuple(found) if len(found) == 1 else ()
