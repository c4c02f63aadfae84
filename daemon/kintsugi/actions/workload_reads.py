"""Reads a workload for a diagnosis with the daemon's client, its good templates and its redaction."""

from datetime import datetime

from kintsugi.actions.api_objects import as_kube_errors
from kintsugi.actions.good_templates import GoodTemplates
from kintsugi.kube.client import KubeClient
from kintsugi.model.command import ObjectName
from kintsugi.telemetry import SECRETS
from kubediagnosis.facts import DeclaredFacts, WorkloadFacts
from kubediagnosis.workload_reader import WorkloadReader


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
