"""Reads a workload and its revisions as a diagnosis does, with the daemon's client, good templates, redaction and errors."""

from collections.abc import Collection, Sequence
from datetime import datetime

from kintsugi.actions.api_objects import as_kube_errors
from kintsugi.actions.good_templates import GoodTemplates
from kintsugi.kube.client import KubeClient
from kintsugi.model.command import ObjectName
from kintsugi.telemetry import SECRETS
from kubediagnosis import workload_revisions
from kubediagnosis.facts import DeclaredFacts, WorkloadFacts
from kubediagnosis.workload_reader import WorkloadReader
from kubediagnosis.workload_revisions import Revision
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
