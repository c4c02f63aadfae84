"""
ContainerStart, ContainerExit, OutOfMemory and InitContainer: containers that fail to start, and their ends. ImagePull: a
container waits because its image cannot be had, in the registry's words.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from kubediagnosis import evidence_items, last_change, words
from kubediagnosis.causes import Cause, CauseKind, Confidence, EvidenceItem, RegistryAnswer
from kubediagnosis.facts import PodFacts, WorkloadFacts
from kubediagnosis.probes import ended_by_probe
from kubediagnosis.references import names
from kubeobjects import predicates
from kubeobjects.cluster import Event
from kubeobjects.metadata import Condition
from kubeobjects.pods import ContainerStateTerminated, ContainerStatus

LATELY = timedelta(minutes=10)
"""A container that was ended for its memory longer ago, and is ready, has recovered."""

STILL_RUNS = ".state.running.startedAt"
"""The end of the field that shows since when a container runs."""

LONG_INIT = timedelta(minutes=2)
"""An init container that has run for so long hangs, likely: the time that a pod has to start (`START_UP_ALLOWANCE`)."""

_NOT_MADE = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError", "PostStartHookError"})
_NOT_RUN = frozenset({"StartError", "ContainerCannotRun"})
_BACK_OFF = "CrashLoopBackOff"
_OOM = "OOMKilled"
_RESIZE_PENDING = "PodResizePending"
"""The kubelet's condition of a pod whose changed resources it has not taken: Infeasible or Deferred."""

_MEANS = {
    RegistryAnswer.NOT_FOUND: "the registry does not have it",
    RegistryAnswer.DENIED: "the registry denies it",
    RegistryAnswer.UNAUTHORIZED: "the registry requires other credentials",
    RegistryAnswer.BUSY: "the registry is busy",
    RegistryAnswer.UNREACHABLE: "the registry does not answer",
    RegistryAnswer.INVALID_NAME: "the image name is invalid",
    RegistryAnswer.OTHER: "the pull fails",
}
_NOT_RETRIEVED = "FailedToRetrieveImagePullSecret"
_INVALID_NAME = "InvalidImageName"
_REFUSED = (RegistryAnswer.DENIED, RegistryAnswer.UNAUTHORIZED)


def container_start(facts: WorkloadFacts) -> Iterator[Cause]:
    """Find containers that the kubelet or the runtime cannot start."""
    for pod, status, _ in last_change.containers(facts):
        waits, end = status.state.waiting, _end(status)
        if waits is not None and waits.reason in _NOT_MADE and words.missing(waits.message) is None:
            said, seen = waits.message or waits.reason, evidence_items.waiting(pod, status)
        elif end is not None and end.reason in _NOT_RUN and not status.ready:
            said, seen = end.message or end.reason, evidence_items.ended(pod, status, end)
        else:
            continue
        field, confidence = _start_field(facts, pod, status.name, said)
        yield Cause(
            kind=CauseKind.CONTAINER_START,
            object=facts.reference,
            field=field,
            confidence=confidence,
            text=f"container {status.name} cannot be started: {evidence_items.short(said, 300)}",
            evidence=(seen,),
        )


def out_of_memory(facts: WorkloadFacts) -> Iterator[Cause]:
    """Find containers that the kernel ended for their memory, and that are not ready, or were ended again lately."""
    for pod, status, _ in last_change.containers(facts):
        end = _end(status)
        if end is None or end.reason != _OOM:
            continue
        lately = end.finished_at is not None and facts.now - end.finished_at <= LATELY
        if status.ready and not (lately and status.restart_count > 1):
            continue
        container = pod.container(status.name)
        limit = container.resources.limits.get("memory", "") if container is not None else ""
        member = pod.field_of(status.name)
        at_limit = f"at its memory limit of {limit}" if limit else "for lack of memory, without a limit of its own"
        yield Cause(
            kind=CauseKind.OUT_OF_MEMORY,
            object=facts.reference,
            field=f"{member}.resources.limits.memory" if limit else member,
            confidence=Confidence.CERTAIN if limit else Confidence.LIKELY,
            text=_with_pending(
                pod, f"container {status.name} is killed {at_limit} (OOMKilled, {status.restart_count} restarts)"
            ),
            evidence=(evidence_items.ended(pod, status, end), *_use(facts, pod, status.name), *_resize(pod)),
        )


def pending_resize(pod: PodFacts) -> str:
    """Return why the kubelet has not taken changed resources of a pod, "" where none wait."""
    found = _pending(pod)
    return f"{found.reason}: {evidence_items.short(found.message, 200)}" if found is not None else ""


def _pending(pod: PodFacts) -> Condition | None:
    return next((each for each in pod.status.conditions if (each.type, each.status) == (_RESIZE_PENDING, "True")), None)


def _resize(pod: PodFacts) -> Iterator[EvidenceItem]:
    """Yield the condition of a pod whose changed resources the kubelet has not taken."""
    if (found := _pending(pod)) is not None:
        yield evidence_items.condition(pod.reference, found, pending_resize(pod))


def _with_pending(pod: PodFacts, text: str) -> str:
    why = pending_resize(pod)
    return f"{text}; its changed resources are not applied, {why}" if why else text


def _use(facts: WorkloadFacts, pod: PodFacts, container: str) -> Iterator[EvidenceItem]:
    """Yield what the container, or another of its kind, used last, where there are metrics."""
    of_kind = [
        (used.metadata.name, each.usage["memory"])
        for used in facts.usage
        for each in used.containers
        if each.name == container and each.usage.get("memory")
    ]
    own = [each for each in of_kind if each[0] == pod.metadata.name]
    for name, memory in (own or of_kind)[:1]:
        yield evidence_items.field(f"pod/{name}", f"usage of {container}", f"memory {memory}")


def init_container(facts: WorkloadFacts) -> Iterator[Cause]:
    """Find init containers that fail again and again, or have not ended long after their start."""
    for pod, status, has_to_end in last_change.containers(facts):
        if not has_to_end:
            continue
        end = _end(status)
        if _fails(status) and end is not None and end.reason not in (_OOM, *_NOT_RUN):
            text = f"init container {status.name} fails with exit code {end.exit_code}"
            seen = [evidence_items.ended(pod, status, end), *evidence_items.logged(facts, pod, status.name)]
        elif hangs := hanging(facts, pod, status):
            text, seen = f"init container {status.name} has not ended since {hangs.at:%H:%M:%S}", [hangs]
        else:
            continue
        yield Cause(
            kind=CauseKind.INIT_CONTAINER,
            object=facts.reference,
            field=_changed_in(facts, pod, status.name) or pod.field_of(status.name),
            confidence=Confidence.LIKELY,
            text=_with_log(facts, pod, status.name, text),
            evidence=tuple(seen),
        )


def hanging(facts: WorkloadFacts, pod: PodFacts, status: ContainerStatus) -> EvidenceItem | None:
    """Return that an init container has not ended long after its start, None where it has, or may still."""
    running = status.state.running
    if running is None or running.started_at is None or facts.now - running.started_at < LONG_INIT:
        return None
    since = f"status.initContainerStatuses[{status.name}]{STILL_RUNS}"
    return evidence_items.field(pod.reference, since, f"{running.started_at:%Y-%m-%dT%H:%M:%SZ}", running.started_at)


def container_exit(facts: WorkloadFacts) -> Iterator[Cause]:
    """Find containers that start and end by themselves; the field is what changed before, else the container."""
    for pod, status, has_to_end in last_change.containers(facts):
        end = _end(status)
        if has_to_end or end is None or not _exits(status, facts.now) or end.reason in (_OOM, *_NOT_RUN):
            continue
        if ended_by_probe(facts, pod, status):
            continue
        holder, field = _blamed(facts, pod, status.name)
        text = f"container {status.name} ends with exit code {end.exit_code}, {status.restart_count} restarts"
        yield Cause(
            kind=CauseKind.CONTAINER_EXIT,
            object=holder,
            field=field,
            confidence=Confidence.LIKELY,
            text=_with_log(facts, pod, status.name, text),
            evidence=(evidence_items.ended(pod, status, end), *evidence_items.logged(facts, pod, status.name)),
        )


def _end(status: ContainerStatus) -> ContainerStateTerminated | None:
    return status.state.terminated or status.last_state.terminated


def _exits(status: ContainerStatus, now: datetime) -> bool:
    """Return whether a container ends again and again; the first end may have been an accident."""
    if status.ready or status.restart_count < 1:
        return False
    if status.restart_count > 1 and predicates.between_ends(status, now):
        return True
    waits = status.state.waiting is not None and status.state.waiting.reason == _BACK_OFF
    return waits or status.state.terminated is not None or status.restart_count >= predicates.CRASH_LOOP_RESTARTS


def _fails(status: ContainerStatus) -> bool:
    """Return whether an init container has failed and is tried again."""
    waits = status.state.waiting is not None and status.state.waiting.reason == _BACK_OFF
    ended = status.state.terminated
    return waits or (ended is not None and ended.exit_code != 0 and status.restart_count >= 1)


def _start_field(facts: WorkloadFacts, pod: PodFacts, container: str, said: str) -> tuple[str, Confidence]:
    """
    Return the field that the runtime's words are about, certain where a suspected template changed it.

    Else it is what changed of the container, else that field, else the container: a node may be at fault, too.
    """
    member = pod.field_of(container)
    if words.RUNS_AS_ROOT.search(said):
        wanted = [f"{member}.securityContext.runAsNonRoot", "securityContext.runAsNonRoot"]
    elif words.PROGRAM_NOT_RUN.search(said):
        wanted = [f"{member}.command", f"{member}.args"]
    else:
        wanted = []
    changed = last_change.suspected(facts, pod)
    if new := next((each for each in wanted if last_change.covering(changed, each)), ""):
        return new, Confidence.CERTAIN
    fields = facts.revisions[0].fields if facts.revisions else {}
    there = next((each for each in wanted if each in fields), "")
    return _changed_in(facts, pod, container) or there or member, Confidence.LIKELY


def _changed_in(facts: WorkloadFacts, pod: PodFacts, container: str) -> str:
    """Return what a suspected template has changed of a container, its image before all else; "" for nothing."""
    member = pod.field_of(container)
    changed = last_change.within(last_change.suspected(facts, pod), member)
    return next((each for each in (member, f"{member}.image") if each in changed), next(iter(changed), ""))


def _blamed(facts: WorkloadFacts, pod: PodFacts, container: str) -> tuple[str, str]:
    """Return object and field of what changed last before a container came to end: template, configuration, or nothing."""
    used = [each for each in facts.configurations if names(pod.spec, each)]
    changed = last_change.changed_since(facts, pod, used)
    if changed is not None:
        field = f"data[{changed.changed_keys[0]}]" if changed.changed_keys else ""
        return changed.reference, field
    if field := _changed_in(facts, pod, container):
        return facts.reference, field
    if suspected := last_change.suspected(facts, pod):
        return facts.reference, suspected[0]
    holder = pod.reference if last_change.is_alone(facts, pod) else facts.reference
    return holder, pod.field_of(container)


def _with_log(facts: WorkloadFacts, pod: PodFacts, container: str, text: str) -> str:
    line = next((each.text for each in evidence_items.logged(facts, pod, container)), "")
    return f"{text}: {evidence_items.short(line, 200)}" if line else text


def image_pull(facts: WorkloadFacts) -> Iterator[Cause]:
    """Find containers whose image cannot be pulled; where a Secret to pull with is gone, that is the cause instead."""
    for pod, status, image, said, seen in _failing(facts):
        answer = words.registry_answer(said)
        if answer in _REFUSED and lost_pull_secrets(facts, pod):
            continue
        words_of_it = f": {evidence_items.short(said, 300)}" if said else ""
        yield Cause(
            kind=CauseKind.IMAGE_PULL,
            object=facts.reference,
            field=f"{pod.field_of(status.name)}.image",
            confidence=Confidence.CERTAIN,
            text=f"container {status.name} cannot pull image {image}: {_MEANS[answer]}{words_of_it}",
            evidence=seen,
            registry=answer,
        )


def pull_secret(facts: WorkloadFacts) -> Iterator[Cause]:
    """Find Secrets for pulling that are gone while the registry refuses who comes without one."""
    for pod, _, image, said, seen in _failing(facts):
        lost = lost_pull_secrets(facts, pod)
        if words.registry_answer(said) not in _REFUSED or not lost:
            continue
        named = last_change.within(last_change.suspected(facts, pod), f"imagePullSecrets[{lost[0]}]")
        yield Cause(
            kind=CauseKind.MISSING_CONFIGURATION,
            object=facts.reference if named else f"secret/{lost[0]}",
            field=named[0] if named else "",
            confidence=Confidence.LIKELY,
            text=f"Secret {lost[0]}, the pull secret of image {image}, does not exist, and the registry refuses: {evidence_items.short(said, 300)}",
            evidence=(*seen, *map(evidence_items.event_item, _not_retrieved(facts, pod))),
        )


def lost_pull_secrets(facts: WorkloadFacts, pod: PodFacts) -> tuple[str, ...]:
    """Return the Secrets that the pod pulls with and that are not there, by what was read or by the kubelet's word."""
    named = {each.name for each in pod.spec.image_pull_secrets}
    known = {each.name: each.exists for each in facts.configurations if each.type == "secret"}
    reported = {
        name.strip()
        for event in _not_retrieved(facts, pod)
        if (found := words.PULL_SECRETS_GONE.search(event.message))
        for name in found["names"].split(",")
    }
    return tuple(
        sorted(name for name in named if known.get(name) is False or (name in reported and not known.get(name)))
    )


def _failing(
    facts: WorkloadFacts,
) -> Iterator[tuple[PodFacts, ContainerStatus, str, str, tuple[EvidenceItem, ...]]]:
    """Yield containers whose image is not there, with the image, what was answered to the pull, and what shows it."""
    for pod, status, _ in last_change.containers(facts):
        if status.state.waiting is not None and status.state.waiting.reason in predicates.IMAGE_REASONS:
            image, said, event = _words(facts, pod, status)
            heard = [evidence_items.event_item(event)] if event is not None else []
            yield pod, status, image, said, (evidence_items.waiting(pod, status), *heard)


def _words(facts: WorkloadFacts, pod: PodFacts, status: ContainerStatus) -> tuple[str, str, Event | None]:
    """Return the image, what was answered to the pull, and the Event that has it where the container's state does not."""
    container = pod.container(status.name)
    image = container.image if container is not None else status.image
    state = status.state.waiting
    message = f"{state.message}" if state is not None else ""
    failed = [
        (event, found["words"])
        for event in evidence_items.events_of(facts, pod, status.name)
        if (found := words.PULL_FAILED.match(event.message)) and found["image"] == image
    ]
    event = evidence_items.newest(each for each, _ in failed)
    if message and not words.BACK_OFF_ALONE.match(message):
        return image, message, event
    said = next((text for each, text in failed if each is event), "")
    return image, said or (state.reason if state is not None and state.reason == _INVALID_NAME else ""), event


def _not_retrieved(facts: WorkloadFacts, pod: PodFacts) -> Iterator[Event]:
    for event in evidence_items.events_of(facts, pod):
        if event.reason == _NOT_RETRIEVED:
            yield event
