"""
Converts objects to the facts of a diagnosis, which contain no JSON.

Of Secrets and ConfigMaps only the names of keys are used, with the times at which they were written.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

import msgspec

from kubediagnosis.facts import (
    ConfigurationFacts,
    ConfigurationType,
    FieldChange,
    NodeFacts,
    PodFacts,
    TemplateRevision,
    WebhookFacts,
)
from kubediagnosis.kept_templates import KeptTemplate
from kubediagnosis.template_fields import template_fields
from kubediagnosis.templates import differ_in_stamp_only
from kubediagnosis.workload_revisions import Revision
from kubeobjects import unstructured
from kubeobjects.kept import Event, Object
from kubeobjects.unstructured import Unstructured

MOST_REVISIONS = 2
"""Revisions whose templates are compared: the one in force with the one before it."""

LOG_LINES = 50
LOG_BYTES = 64 * 1024
LOG_TIME = timedelta(seconds=5)
"""The part of a log that is read."""

_EARLIER = "deployment.kubernetes.io/revision-history"
"""The annotation in which a ReplicaSet that is in force again has its earlier numbers (k8s.io/kubernetes, deployment/util)."""

_DATA = ("f:data", "f:stringData", "f:binaryData")


def pods_of_facts(items: Iterable[Unstructured], owners: frozenset[str]) -> tuple[PodFacts, ...]:
    """Return the pods that one of these owners controls."""
    found = (unstructured.convert(item, PodFacts) for item in items)
    return tuple(
        pod for pod in found if any(each.controller and each.uid in owners for each in pod.metadata.owner_references)
    )


def compared_revisions(
    found: Sequence[Revision], pods: Sequence[PodFacts], kept: KeptTemplate | None = None
) -> tuple[TemplateRevision, ...]:
    """
    Return the templates to compare: the one in force, then the newest of the others.

    Where there is no other, the `kept` last good one is used, unless it makes the same pods.
    """
    ordered = sorted(found, key=lambda each: (each.current, each.number), reverse=True)
    of_kubernetes = tuple(
        TemplateRevision(
            number=each.number,
            hash=next((pod.template_hash for pod in pods if each.makes(pod)), each.template),
            created=each.created,
            fields=template_fields(each.pods),
            returned=_EARLIER in each.annotations,
        )
        for each in ordered[:MOST_REVISIONS]
    )
    if kept is None or len(found) != 1 or differ_in_stamp_only(kept.pods, found[0].pods):
        return of_kubernetes
    before = TemplateRevision(
        number=kept.number, hash=kept.template, created=kept.seen, fields=template_fields(kept.pods)
    )
    return (*of_kubernetes, before)


def events_of_facts(items: Iterable[Unstructured], about: frozenset[str]) -> Iterator[Event]:
    """Yield the Events about these objects (TYPE/NAME)."""
    found = (unstructured.convert(item, Event) for item in items)
    return (event for event in found if event.about in about)


def configuration_facts(type_: ConfigurationType, name: str, obj: Unstructured) -> ConfigurationFacts:
    """Return the facts of an existing ConfigMap or Secret, of which only the metadata are read: its managed fields name the keys."""
    keys: set[str] = set()
    changed: datetime | None = None
    written: tuple[str, ...] = ()
    for entry, at in _managed(obj):
        fields = unstructured.nested_map(entry, "fieldsV1")
        own = [key[2:] for part in _DATA for key in unstructured.nested_map(fields, part) if key.startswith("f:")]
        keys.update(own)
        if own and at is not None and (changed is None or at >= changed):
            changed, written = at, tuple(sorted(own))
    # Of several keys under one name of a writer nobody says which it wrote last.
    return ConfigurationFacts(
        type=type_,
        name=name,
        exists=True,
        keys=frozenset(keys),
        changed=changed,
        changed_keys=written if len(written) == 1 else (),
        created=unstructured.convert(obj, Object).metadata.creation_timestamp,
    )


def paused_before_start(workload: Unstructured) -> FieldChange | None:
    """Return who paused a Deployment that has no pod of the template in force, None where it is not so."""
    if unstructured.nested_field(workload, "spec", "paused") is not True:
        return None
    if unstructured.nested_field(workload, "status", "updatedReplicas"):
        return None
    return written_by(workload, "f:paused") or FieldChange(manager="", at=None)


def written_by(obj: Unstructured, field: str) -> FieldChange | None:
    """Return who wrote a field of an object's `spec` last, by the managed fields."""
    newest: FieldChange | None = None
    for entry, at in _managed(obj):
        spec = unstructured.nested_map(entry, "fieldsV1", "f:spec")
        if field not in spec:
            continue
        if newest is None or newest.at is None or (at is not None and at >= newest.at):
            newest = FieldChange(manager=unstructured.nested_string(entry, "manager"), at=at)
    return newest


def node_facts(obj: Unstructured) -> NodeFacts:
    """Return the facts of a node."""
    return msgspec.structs.replace(unstructured.convert(obj, NodeFacts), marked=written_by(obj, "f:unschedulable"))


def webhooks_of(word: str, obj: Unstructured) -> WebhookFacts:
    """Return the names of a configuration's webhooks."""
    names = tuple(unstructured.nested_string(each, "name") for each in unstructured.nested_maps(obj, "webhooks"))
    return WebhookFacts(reference=f"{word}/{unstructured.name(obj)}", names=names)


def _managed(obj: Unstructured) -> Iterator[tuple[Unstructured, datetime | None]]:
    for entry in unstructured.nested_maps(obj, "metadata", "managedFields"):
        yield entry, moment(unstructured.nested_string(entry, "time"))


def moment(text: str) -> datetime | None:
    """Parse a time; None where it is empty or invalid."""
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
