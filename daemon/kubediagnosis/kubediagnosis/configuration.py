"""MissingConfiguration: a ConfigMap, a Secret or a key that a pod names is missing, and the change that made it so."""

from collections.abc import Iterator, Mapping

from kubediagnosis import evidence_items, last_change, words
from kubediagnosis.causes import Cause, CauseKind, Confidence, EvidenceItem
from kubediagnosis.facts import ConfigurationFacts, PodFacts, WorkloadFacts
from kubediagnosis.references import references
from kubeobjects.specified import ProjectedVolume, SpecifiedPod

# Reasons of the kubelet: a container that waits, and an Event.
_NOT_MADE, _NOT_MOUNTED = "CreateContainerConfigError", "FailedMount"
_KINDS = {"configmap": "ConfigMap", "secret": "Secret"}


def missing_configuration(facts: WorkloadFacts) -> Iterator[Cause]:
    """Find what a kubelet says is missing, unless it was read to be there by now."""
    for pod in last_change.living(facts):
        for said, seen in _messages(facts, pod):
            found = words.missing(said)
            if found is None:
                continue
            kind, name, key = _named(pod.spec, *found)
            if name and not _is_there(facts, kind, name, key):
                yield _cause(facts, pod, (kind, name, key), seen)


def _messages(facts: WorkloadFacts, pod: PodFacts) -> Iterator[tuple[str, EvidenceItem]]:
    """Yield what is said of containers that cannot be made, and of volumes while nothing of the pod has started."""
    for status, _ in pod.statuses():
        state = status.state.waiting
        if state is not None and state.reason == _NOT_MADE:
            yield state.message, evidence_items.waiting(pod, status)
    if not pod.has_begun:
        event = evidence_items.newest(
            each for each in evidence_items.events_of(facts, pod) if each.reason == _NOT_MOUNTED
        )
        if event is not None:
            yield event.message, evidence_items.event_item(event)


def _named(spec: SpecifiedPod, what: words.Missing, said: Mapping[str, str]) -> tuple[str, str, str]:
    """Return type, name and key ("" for the whole) of what is missing; a volume's error names only the volume."""
    if what is not words.Missing.ITEM:
        return said["type"].lower(), said["name"], said.get("key", "")
    volume = next((each for each in spec.volumes if each.name == said["volume"]), None)
    if volume is not None and volume.config_map is not None:
        return "configmap", volume.config_map.name, said["key"]
    if volume is not None and volume.secret is not None:
        return "secret", volume.secret.secret_name, said["key"]
    if volume is not None and volume.projected is not None:
        return _projected(volume.projected, said["key"])
    return "", "", ""


def _projected(volume: ProjectedVolume, key: str) -> tuple[str, str, str]:
    """Return which source of a projected volume asks for a key."""
    for source in volume.sources:
        for kind, part in (("configmap", source.config_map), ("secret", source.secret)):
            if part is not None and any(item.key == key for item in part.items):
                return kind, part.name, key
    return "", "", ""


def _read(facts: WorkloadFacts, kind: str, name: str) -> ConfigurationFacts | None:
    return next((each for each in facts.configurations if (each.type, each.name) == (kind, name)), None)


def _is_there(facts: WorkloadFacts, kind: str, name: str, key: str) -> bool:
    read = _read(facts, kind, name)
    return read is not None and read.exists is True and (not key or key in read.keys)


def _cause(facts: WorkloadFacts, pod: PodFacts, what: tuple[str, str, str], seen: EvidenceItem) -> Cause:
    """
    Return the cause: the template's where it came to name this only now, else the ConfigMap's or Secret's.

    Of a first template it is not known whether the named object ever existed: the cause is only likely.
    """
    kind, name, key = what
    missing = f"key {key} of {_KINDS[kind]} {name}" if key else f"{_KINDS[kind]} {name}"
    proof = [seen]
    read = _read(facts, kind, name)
    if read is not None and read.exists is not None:
        proof.append(
            evidence_items.field(
                read.reference, "", f"keys: {', '.join(sorted(read.keys)) or 'none'}" if read.exists else "not found"
            )
        )
    fields = [
        each.field
        for each in references(pod.spec)
        if (each.type, each.name) == (kind, name) and (not key or each.key in ("", key))
    ]
    changed = last_change.suspected(facts, pod)
    new = next((field for field in fields if last_change.covering(changed, field)), "")
    if new:
        holder, field, known, need = facts.reference, new, True, "the new pod template names"
    else:
        holder, field, need = f"{kind}/{name}", f"data[{key}]" if key else "", "the pods need"
        known = len(facts.revisions) > 1 or last_change.ran_before(facts, pod)
    return Cause(
        kind=CauseKind.MISSING_CONFIGURATION,
        object=holder,
        field=field,
        confidence=Confidence.CERTAIN if known else Confidence.LIKELY,
        text=f"{need} {missing}, which does not exist",
        evidence=tuple(proof),
    )
