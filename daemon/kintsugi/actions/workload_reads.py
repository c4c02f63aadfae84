"""Reads a workload and its revisions as a diagnosis does, with the daemon's client, good templates, redaction and errors."""

from collections.abc import Collection, Sequence
from datetime import datetime

from kintsugi.actions.api_objects import as_kube_errors
from kintsugi.actions.good_templates import GoodTemplates
from kintsugi.errors import Refused
from kintsugi.kube.client import KubeClient
from kintsugi.model.command import ObjectName, TemplateReference
from kintsugi.model.records import Phase
from kintsugi.telemetry import SECRETS
from kubediagnosis import workload_revisions
from kubediagnosis.facts import DeclaredFacts, WorkloadFacts
from kubediagnosis.templates import differ_in_stamp_only, template_digest
from kubediagnosis.workload_reader import WorkloadReader
from kubediagnosis.workload_revisions import Revision, current_of
from kubeobjects.unstructured import Unstructured


async def read_workload(
    kube: KubeClient,
    templates: GoodTemplates,
    asked: ObjectName,
    namespace: str,
    *,
    declared: DeclaredFacts,
    now: datetime,
) -> WorkloadFacts:
    """Return the facts of a workload. Raises KubeError, NotFound as `WorkloadReader.read`."""
    reader = WorkloadReader(
        client=kube,
        namespace=namespace,
        redact=SECRETS.text,
        resource=asked.resource,
        name=asked.name,
        declared=declared,
        templates=templates,
    )
    with as_kube_errors():
        return await reader.read(now)


async def find_revisions(
    kube: KubeClient, asked: ObjectName, workload: Unstructured, good: Collection[str]
) -> tuple[Revision, ...]:
    """Read the revisions of a workload, oldest number first. Raises KubeError."""
    with as_kube_errors():
        return await workload_revisions.find_revisions(kube, asked.resource, workload, good)


def last_good_of(revisions: Sequence[Revision]) -> Revision | None:
    """Return the newest revision that was seen good and is not the current one, None without one."""
    return next((revision for revision in reversed(revisions) if revision.good and not revision.current), None)


def target_of(asked: ObjectName, revisions: Sequence[Revision], number: int, phase: Phase) -> Revision:
    """
    Return the revision for a rollback: the named one, else the last one that was seen good (E13).

    Raises Refused when it does not exist, is the current one, or was never seen good. An undo may also go back over a
    mere restart, whose two revisions differ in nothing else.
    """
    current = current_of(revisions)
    if number == 0:
        good = last_good_of(revisions)
        if good is None:
            raise Refused(f"no earlier revision of {asked} was seen good: a person has to choose one")
        return good
    known = ", ".join(str(revision.number) for revision in revisions) or "none"
    target = next((revision for revision in revisions if revision.number == number), None)
    if target is None:
        raise Refused(f"unable to find specified revision {number} in history: {asked} has {known}")
    if target.current:
        raise Refused(f"{asked} is at revision {number} already: a rollback to it would change nothing")
    over_restart = phase is Phase.UNDO and current is not None and differ_in_stamp_only(current.pods, target.pods)
    if not target.good and not over_restart:
        raise Refused(f"revision {number} of {asked} was never seen good: there is no rollback to it")
    return target


def referred(asked: ObjectName, revisions: Sequence[Revision], reference: TemplateReference) -> Revision:
    """Find the revision that a reference names. Raises Refused when it is gone, or holds another template by now."""
    found = next((revision for revision in revisions if revision.uid == reference.uid), None)
    if found is None:
        raise Refused(f"the revision of {asked} that holds its former template (uid {reference.uid}) is gone")
    if template_digest(found.pods) != reference.digest:
        raise Refused(f"revision {found.number} of {asked} does not hold the former template any more")
    return found
