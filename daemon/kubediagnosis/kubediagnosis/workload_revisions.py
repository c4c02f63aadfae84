"""
The revisions of a workload, as `kubectl rollout history` finds them.

A Deployment's revisions are its ReplicaSets, those of a StatefulSet or DaemonSet its ControllerRevisions.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from kubediagnosis.ports import KubeReader
from kubediagnosis.templates import differ_in_stamp_only, template_digest
from kubeobjects import unstructured
from kubeobjects.kept import LabelSelector, Object, Pod, ReplicaSet
from kubeobjects.metadata import REVISION
from kubeobjects.predicates import condition_of
from kubeobjects.resources import CONTROLLERREVISIONS, DEPLOYMENTS, REPLICASETS, Resource
from kubeobjects.selectors import selector_of
from kubeobjects.unstructured import Unstructured

CAUSE = "kubernetes.io/change-cause"
HASH = "pod-template-hash"
REVISION_HASH = "controller-revision-hash"


@dataclass(frozen=True, kw_only=True, slots=True)
class Revision:
    """
    One revision. `uid` is the object's that keeps it, `template` names its pod template (pod-template-hash, or the ControllerRevision's name).

    `current`: it is what the workload asks for now. `pods` is the pod template itself, `annotations` are the
    ReplicaSet's; `failure` says why that cannot make its pods, "" while it can.
    """

    number: int
    uid: str
    template: str
    cause: str
    created: datetime | None
    pods: Unstructured
    annotations: Mapping[str, str]
    current: bool = False
    good: bool = False
    failure: str = ""

    def makes(self, pod: Pod) -> bool:
        """Return whether a pod of the workload was made of it; a DaemonSet's pods are labelled with the hash alone."""
        labels = pod.metadata.labels
        label = labels.get(HASH) or labels.get(REVISION_HASH) or ""
        return bool(label) and (self.template == label or self.template.endswith(f"-{label}"))

    @property
    def images(self) -> list[str]:
        """List the images of its containers."""
        return [
            unstructured.nested_string(container, "image")
            for container in unstructured.nested_maps(self.pods, "spec", "containers")
        ]


async def find_revisions(
    client: KubeReader, resource: Resource, workload: Unstructured, good: Collection[str] = ()
) -> tuple[Revision, ...]:
    """Read the revisions of a workload, oldest number first; `good` names templates that were good. Raises ReadError, SelectorError."""
    made_by = REPLICASETS if resource == DEPLOYMENTS else CONTROLLERREVISIONS
    selector = selector_of(unstructured.convert(unstructured.nested_map(workload, "spec", "selector"), LabelSelector))
    listing = await client.list(
        made_by, unstructured.nested_string(workload, "metadata", "namespace"), labels=str(selector)
    )
    owned = [each for each in listing.items if _is_controlled(each, workload)]
    made = _of_replica_sets(owned) if resource == DEPLOYMENTS else _of_controller_revisions(owned)
    wanted = template_digest(unstructured.nested_map(workload, "spec", "template"))
    current = next((each for each in made if template_digest(each.pods) == wanted), None)
    known = (replace(each, current=each is current, good=each.template in good) for each in made)
    return tuple(sorted(known, key=lambda revision: revision.number))


def _is_controlled(obj: Unstructured, workload: Unstructured) -> bool:
    owners = unstructured.convert(obj, Object).metadata.owner_references
    return any(owner.controller and owner.uid == unstructured.uid(workload) for owner in owners)


def _of_replica_sets(sets: Iterable[Unstructured]) -> list[Revision]:
    """Make revisions of ReplicaSets, the oldest first: the first with the Deployment's template is the current one."""
    made = []
    for each in sorted(
        sets, key=lambda obj: (unstructured.nested_string(obj, "metadata", "creationTimestamp"), unstructured.name(obj))
    ):
        kept = unstructured.convert(each, ReplicaSet)
        pods = unstructured.without_field(unstructured.nested_map(each, "spec", "template"), "metadata", "labels", HASH)
        number, template = kept.metadata.annotations.get(REVISION, ""), kept.metadata.labels.get(HASH, "")
        if number.isdecimal():
            made.append(replace(_revision(kept, int(number), template, pods), failure=_failure(kept)))
    return made


def _of_controller_revisions(found: Iterable[Unstructured]) -> list[Revision]:
    """Make revisions of ControllerRevisions, the newest first: the first with the workload's template is the current one."""
    made = []
    for each in sorted(found, key=lambda obj: unstructured.nested_int(obj, "revision"), reverse=True):
        kept = unstructured.convert(each, Object)
        pods = unstructured.without_field(unstructured.nested_map(each, "data", "spec", "template"), "$patch")
        made.append(_revision(kept, unstructured.nested_int(each, "revision"), kept.metadata.name, pods))
    return made


def _revision(kept: Object, number: int, template: str, pods: Unstructured) -> Revision:
    return Revision(
        number=number,
        uid=kept.metadata.uid,
        template=template,
        cause=kept.metadata.annotations.get(CAUSE, ""),
        created=kept.metadata.creation_timestamp,
        pods=pods,
        annotations=kept.metadata.annotations,
    )


def _failure(replica_set: ReplicaSet) -> str:
    condition = condition_of(replica_set.status.conditions, "ReplicaFailure")
    if condition is None or condition.status != "True" or condition.reason != "FailedCreate":
        return ""
    return f"its pods cannot be created: {' '.join(condition.message.split())[:300]}"


def current_of(revisions: Sequence[Revision]) -> Revision | None:
    """Return the revision that the workload asks for now, None while its controller has not made it."""
    return next((revision for revision in revisions if revision.current), None)


def alike(revisions: Sequence[Revision]) -> tuple[Revision, ...]:
    """List the current revision and those that make the very same pods: no more than a restart lies between them."""
    current = current_of(revisions)
    if current is None:
        return ()
    return tuple(each for each in revisions if each.current or differ_in_stamp_only(each.pods, current.pods))
