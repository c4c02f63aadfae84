"""
LivenessProbe, ReadinessProbe and StartupProbe: a probe of a container fails, with its answer.

ReadinessGate: a pod waits for a condition although its containers are ready.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from kubediagnosis import evidence_items, last_change, nodes, words
from kubediagnosis.causes import Cause, CauseKind, Confidence
from kubediagnosis.facts import PodFacts, WorkloadFacts
from kubediagnosis.words import ProbeType
from kubeobjects import predicates
from kubeobjects.cluster import Event
from kubeobjects.pods import ContainerStatus
from kubeobjects.quantities import quantity, whole
from kubeobjects.specified import SpecifiedContainer

LATELY = timedelta(minutes=15)
"""An Event of a probe that is older says nothing of now: the longest pause between two starts of a container is 5 minutes."""

TOLD_TO_END = frozenset({0, 128 + 9, 128 + 15})
"""The exit codes of a container that the kubelet ends: by itself when it was asked to, or by SIGKILL or SIGTERM."""

AT_ITS_LIMIT = Decimal("0.9")
"""The share of its CPU limit from which a container is taken to be throttled: what is measured is a mean of half a minute."""

_ONCE_IS_CHANCE = 2
"""So often has a probe to end a container before it is more than one that hung once."""


# Reasons of the kubelet's Events, and of a condition that it sets.
_KILLING, _UNHEALTHY = "Killing", "Unhealthy"
_GATES_NOT_READY = "ReadinessGatesNotReady"


def liveness_probe(facts: WorkloadFacts) -> Iterator[Cause]:
    """Find containers that the kubelet ends again and again because they fail their liveness probe."""
    for pod, status in _containers(facts):
        kills = _kills(facts, pod, status, ProbeType.LIVENESS)
        times = max(sum(each.times for each in kills), status.restart_count if kills else 0)
        if times >= _ONCE_IS_CHANCE:
            yield _cause(facts, (pod, status), CauseKind.LIVENESS_PROBE, ProbeType.LIVENESS, kills)


def startup_probe(facts: WorkloadFacts) -> Iterator[Cause]:
    """Find containers that were ended before their startup probe had passed, and have not started since."""
    for pod, status in _containers(facts):
        kills = _kills(facts, pod, status, ProbeType.STARTUP)
        if kills and not status.started and not status.ready:
            yield _cause(facts, (pod, status), CauseKind.STARTUP_PROBE, ProbeType.STARTUP, kills)


def readiness_probe(facts: WorkloadFacts) -> Iterator[Cause]:
    """Find containers that run and do not become ready, beyond what they have to start; without the kubelet's word it is likely only."""
    for pod, status in _containers(facts):
        container, running = pod.container(status.name), status.state.running
        if running is None or status.ready or container is None or container.readiness_probe is None:
            continue
        if (
            status.started is False
            or (predicates.between_ends(status, facts.now) and not ended_by_probe(facts, pod, status))
            or not predicates.unhealthy(pod, facts.now, facts.declared.start_up)
            or predicates.crash_looping(pod, facts.now)
        ):
            continue
        yield _cause(facts, (pod, status), CauseKind.READINESS_PROBE, ProbeType.READINESS, ())


def readiness_gate(facts: WorkloadFacts) -> Iterator[Cause]:
    """Find pods whose containers are ready, and that a readiness gate keeps unready beyond their start-up (kubernetes.io, Pod readiness)."""
    for pod in last_change.living(facts):
        ready = predicates.condition_of(pod.status.conditions, "Ready")
        if (
            ready is None
            or ready.reason != _GATES_NOT_READY
            or not predicates.unhealthy(pod, facts.now, facts.declared.start_up)
        ):
            continue
        for gate in pod.spec.readiness_gates:
            met = predicates.condition_of(pod.status.conditions, gate.condition_type)
            if met is not None and met.status == "True":
                continue
            condition = f"is {met.status}" if met is not None else "is not set"
            said = (
                f" ({met.reason}: {evidence_items.short(met.message, 200)})" if met is not None and met.reason else ""
            )
            yield Cause(
                kind=CauseKind.READINESS_GATE,
                object=pod.reference if last_change.is_alone(facts, pod) else facts.reference,
                field=f"readinessGates[{gate.condition_type}]",
                confidence=Confidence.CERTAIN,
                text=f"the containers are ready, but the condition {gate.condition_type}, which the pod waits for, {condition}{said}",
                evidence=(evidence_items.field(pod.reference, "status.conditions[Ready]", ready.message),),
            )


def ended_by_probe(facts: WorkloadFacts, pod: PodFacts, status: ContainerStatus) -> bool:
    """Return whether the kubelet says that it ended a container for a probe, and not the container itself."""
    return any(_kills(facts, pod, status, probe) for probe in (ProbeType.LIVENESS, ProbeType.STARTUP))


def _containers(facts: WorkloadFacts) -> Iterator[tuple[PodFacts, ContainerStatus]]:
    failing = nodes.names_of_failing_alone(facts)
    for pod, status, has_to_end in last_change.containers(facts):
        if not has_to_end and pod.spec.node_name not in failing:
            yield pod, status


def _kills(facts: WorkloadFacts, pod: PodFacts, status: ContainerStatus, probe: ProbeType) -> tuple[Event, ...]:
    """Return the Events by which the kubelet ended a container for this probe, lately."""
    return tuple(
        event
        for event in evidence_items.events_of(facts, pod, status.name)
        if event.reason == _KILLING
        and words.killed_by_probe(event.message) == (status.name, probe)
        and (event.at is None or facts.now - event.at <= LATELY)
    )


def _answers(facts: WorkloadFacts, pod: PodFacts, status: ContainerStatus, probe: ProbeType) -> list[tuple[Event, str]]:
    found = []
    for event in evidence_items.events_of(facts, pod, status.name):
        said = words.probe_failed(event.message) if event.reason == _UNHEALTHY else None
        if said is not None and said[0] is probe:
            found.append((event, said[1]))
    return found


def _cause(
    facts: WorkloadFacts,
    which: tuple[PodFacts, ContainerStatus],
    kind: CauseKind,
    probe: ProbeType,
    kills: tuple[Event, ...],
) -> Cause:
    pod, status = which
    answers = _answers(facts, pod, status, probe)
    last = evidence_items.newest(event for event, _ in answers)
    answer = next((text for event, text in answers if event is last), "")
    seen = [evidence_items.event_item(each) for each in (last, evidence_items.newest(kills)) if each is not None]
    end = status.last_state.terminated
    if probe is not ProbeType.LIVENESS:
        state = [evidence_items.not_ready(pod, status)]
    else:
        state = [evidence_items.ended(pod, status, end)] if end is not None and end.exit_code in TOLD_TO_END else []
    output = f": {evidence_items.short(answer, 200)}" if answer else ""
    own = (each for each in facts.running_logs if (each.pod, each.container) == (pod.metadata.name, status.name))
    log = next((each for each in own if words.is_error(each.line)), None)
    says = f"; its log says: {evidence_items.short(log.line, 200)}" if log is not None else ""
    does = "is restarted because it fails" if kills else "fails"
    found = Cause(
        kind=kind,
        object=pod.reference if last_change.is_alone(facts, pod) and not kills else facts.reference,
        field=f"{pod.field_of(status.name)}.{probe.value}",
        confidence=Confidence.CERTAIN if seen and state else Confidence.LIKELY,
        text=f"container {status.name} {does} its {probe.value.removesuffix('Probe')} probe{output}{says}",
        evidence=(*seen, *state, *([evidence_items.log_line(pod, log)] if log is not None else [])),
    )
    container = pod.container(status.name)
    return found if container is None else _with_limit(facts, pod, container, probe, found)


def _with_limit(
    facts: WorkloadFacts, pod: PodFacts, container: SpecifiedContainer, probe: ProbeType, found: Cause
) -> Cause:
    """Return the cause with the container's CPU limit in the place of its probe, where it uses that up, and no other change is suspected."""
    used, limit = _cpu_used(facts, pod, container.name), quantity(container.resources.limits.get("cpu"))
    field, suspected = f"{pod.field_of(container.name)}.resources.limits.cpu", last_change.suspected(facts, pod)
    if not limit or used < AT_ITS_LIMIT * limit or (suspected and not last_change.covering(suspected, field)):
        return found
    probes = {
        ProbeType.LIVENESS: container.liveness_probe,
        ProbeType.READINESS: container.readiness_probe,
        ProbeType.STARTUP: container.startup_probe,
    }
    asked = probes[probe]
    waits = f", and the probe waits {asked.timeout_seconds} s for an answer" if asked is not None else ""
    shown = f"{whole(used * 1000)}m of its CPU limit of {whole(limit * 1000)}m"
    return replace(
        found,
        object=facts.reference,
        field=field,
        confidence=Confidence.LIKELY,
        text=f"{found.text}; it uses {shown}{waits}",
        evidence=(*found.evidence, evidence_items.field(pod.reference, f"usage of {container.name}", f"cpu {shown}")),
    )


def _cpu_used(facts: WorkloadFacts, pod: PodFacts, name: str) -> Decimal:
    """Return the cores that a container used last, 0 where that was not measured."""
    used = (
        each.usage.get("cpu")
        for measured in facts.usage
        if measured.metadata.name == pod.metadata.name
        for each in measured.containers
        if each.name == name
    )
    return quantity(next(used, None))
