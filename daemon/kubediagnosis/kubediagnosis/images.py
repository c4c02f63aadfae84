"""ImagePull: a container waits because its image cannot be had, in the registry's words."""

from collections.abc import Iterator

from kubediagnosis import evidence_items, last_change, words
from kubediagnosis.causes import Cause, CauseKind, Confidence, RegistryAnswer
from kubediagnosis.facts import PodFacts, WorkloadFacts
from kubeobjects import predicates
from kubeobjects.cluster import Event
from kubeobjects.pods import ContainerStatus

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


def image_pull(facts: WorkloadFacts) -> Iterator[Cause]:
    """Find containers whose image cannot be pulled; where a Secret to pull with is gone, that is the cause instead."""
    for pod, status in _failing(facts):
        image, said, event = _words(facts, pod, status)
        answer = words.registry_answer(said)
        if answer in _REFUSED and lost_pull_secrets(facts, pod):
            continue
        words_of_it = f": {evidence_items.short(said, 300)}" if said else ""
        seen = [evidence_items.waiting(pod, status), *([evidence_items.event_item(event)] if event is not None else [])]
        yield Cause(
            kind=CauseKind.IMAGE_PULL,
            object=facts.reference,
            field=f"{pod.field_of(status.name)}.image",
            confidence=Confidence.CERTAIN,
            text=f"container {status.name} cannot pull image {image}: {_MEANS[answer]}{words_of_it}",
            evidence=tuple(seen),
            registry=answer,
        )


def pull_secret(facts: WorkloadFacts) -> Iterator[Cause]:
    """Find Secrets for pulling that are gone while the registry refuses who comes without one."""
    for pod, status in _failing(facts):
        image, said, event = _words(facts, pod, status)
        lost = lost_pull_secrets(facts, pod)
        if words.registry_answer(said) not in _REFUSED or not lost:
            continue
        seen = [evidence_items.waiting(pod, status), *([evidence_items.event_item(event)] if event is not None else [])]
        seen += [evidence_items.event_item(each) for each in _not_retrieved(facts, pod)]
        named = last_change.within(last_change.suspected(facts, pod), f"imagePullSecrets[{lost[0]}]")
        yield Cause(
            kind=CauseKind.MISSING_CONFIGURATION,
            object=facts.reference if named else f"secret/{lost[0]}",
            field=named[0] if named else "",
            confidence=Confidence.LIKELY,
            text=f"Secret {lost[0]}, the pull secret of image {image}, does not exist, and the registry refuses: {evidence_items.short(said, 300)}",
            evidence=tuple(seen),
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


def _failing(facts: WorkloadFacts) -> Iterator[tuple[PodFacts, ContainerStatus]]:
    for pod in last_change.living(facts):
        for status, _ in pod.statuses():
            if status.state.waiting is not None and status.state.waiting.reason in predicates.IMAGE_REASONS:
                yield pod, status


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
