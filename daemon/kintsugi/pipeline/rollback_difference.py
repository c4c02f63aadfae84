"""The difference that a rollback to a revision would make in a workload's pod template, as text for a person."""

from dataclasses import dataclass

from kintsugi.actions.revisions import find_revisions
from kintsugi.errors import KubeError
from kintsugi.kube.client import KubeClient
from kintsugi.model.command import ObjectName
from kintsugi.model.services import WorkloadRef
from kubediagnosis.template_difference import difference
from kubediagnosis.template_fields import template_fields
from kubediagnosis.templates import template_of
from kubediagnosis.workload_revisions import current_of


@dataclass(frozen=True, kw_only=True, slots=True)
class RollbackDifference:
    """Reads a workload and its revisions; values of variables are never shown."""

    kube: KubeClient

    async def to_revision(self, workload: WorkloadRef, namespace: str, number: int) -> str:
        """Return from which revision to which it would go, and what each has; "" where that cannot be read."""
        asked = ObjectName(resource=workload.resource, name=workload.name)
        try:
            found = await self.kube.get(workload.resource, workload.name, namespace)
            revisions = await find_revisions(self.kube, asked, found, ())
        except KubeError:
            return ""
        target, current = next((each for each in revisions if each.number == number), None), current_of(revisions)
        if target is None or current is None:
            return ""
        had, gets = difference(template_fields(template_of(found)), template_fields(target.pods))
        left, right = (f" ({words})" if words else "" for words in (had, gets))
        return f"{workload} from revision {current.number}{left} to {number}{right}"
