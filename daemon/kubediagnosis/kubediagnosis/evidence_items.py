"""The evidence items of a cause: fields of pods, Events and lines of logs, each of bounded length."""

from collections.abc import Iterable, Iterator
from datetime import datetime

from kubediagnosis.causes import EvidenceItem, EvidenceSource
from kubediagnosis.facts import LogFacts, PodFacts, WorkloadFacts
from kubeobjects.cluster import Event
from kubeobjects.lines import line
from kubeobjects.metadata import Condition
from kubeobjects.pods import ContainerStateTerminated, ContainerStatus

LONGEST = 600
"""Characters of a text that are kept as evidence."""


def short(text: str, longest: int = LONGEST) -> str:
    """Return a text in one line, cut where it is too long."""
    return line(" ".join(text.split()), longest)


def field(holder: str, name: str, text: str, at: datetime | None = None) -> EvidenceItem:
    """Return what a field of an object holds."""
    return EvidenceItem(source=EvidenceSource.FIELD, object=holder, field=name, text=short(text), at=at)


def condition(holder: str, found: Condition, text: str) -> EvidenceItem:
    """Return what a condition of an object says."""
    return field(holder, f"status.conditions[{found.type}]", text, found.last_transition_time)


def waiting(pod: PodFacts, status: ContainerStatus) -> EvidenceItem:
    """Return why a container waits."""
    state = status.state.waiting
    text = f"{state.reason}: {state.message}" if state and state.message else state.reason if state else ""
    return field(pod.reference, f"{_part(pod, status)}.state.waiting", text)


def ended(pod: PodFacts, status: ContainerStatus, end: ContainerStateTerminated) -> EvidenceItem:
    """Return how a container ended."""
    which = "state" if status.state.terminated is end else "lastState"
    event_item = f": {end.message}" if end.message else ""
    text = f"{end.reason or 'Error'}, exit code {end.exit_code}, {status.restart_count} restarts{event_item}"
    return field(pod.reference, f"{_part(pod, status)}.{which}.terminated", text, end.finished_at)


def not_ready(pod: PodFacts, status: ContainerStatus) -> EvidenceItem:
    """Return that a container is not ready, or has not even started by its startup probe."""
    part = "started" if status.started is False else "ready"
    return field(pod.reference, f"{_part(pod, status)}.{part}", "false")


def event_item(event: Event) -> EvidenceItem:
    """Return what an Event says, and how often."""
    times = f" (×{event.times})" if event.times > 1 else ""
    text = f"{short(event.message, LONGEST - len(times))}{times}"
    return EvidenceItem(source=EvidenceSource.EVENT, object=event.about, field=event.reason, text=text, at=event.at)


def logged(facts: WorkloadFacts, pod: PodFacts, container: str) -> Iterator[EvidenceItem]:
    """Yield the last telling line of a container's run that ended, where it was read."""
    for each in facts.logs:
        if each.pod == pod.metadata.name and each.container == container and each.line:
            yield log_line(pod, each)


def log_line(pod: PodFacts, log: LogFacts) -> EvidenceItem:
    """Return the telling line of a log."""
    return EvidenceItem(
        source=EvidenceSource.LOG, object=pod.reference, field=f"log of {log.container}", text=short(log.line)
    )


def events_of(facts: WorkloadFacts, pod: PodFacts, container: str = "") -> tuple[Event, ...]:
    """Return the Events of a pod, or of one of its containers and those that name none."""
    return tuple(
        event
        for event in facts.events
        if event.about == pod.reference
        and (
            not container
            or not event.involved_object.field_path
            or f"{{{container}}}" in event.involved_object.field_path
        )
    )


def newest(events: Iterable[Event]) -> Event | None:
    """Return the Event that was seen last; one without a time is the oldest."""
    return max(events, key=lambda each: (each.at is not None, each.at.timestamp() if each.at else 0.0), default=None)


def _part(pod: PodFacts, status: ContainerStatus) -> str:
    return f"status.{'initContainerStatuses' if pod.is_init(status.name) else 'containerStatuses'}[{status.name}]"
