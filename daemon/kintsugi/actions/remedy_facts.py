"""The facts for a remedy besides the cause: the workload's revisions and its other managers, read from the API."""

from kintsugi.actions import api_objects
from kintsugi.actions.probe_context import ProbeContext
from kintsugi.actions.revisions import find_revisions
from kintsugi.actions.verb_clients import VerbClients
from kintsugi.model.command import ObjectName
from kintsugi.model.remedies import KeptTemplateFacts, RevisionFacts
from kubediagnosis.facts import WorkloadFacts
from kubediagnosis.ports import KeptTemplate
from kubediagnosis.templates import changed_fields, difference, template_fields, template_of
from kubediagnosis.workload_revisions import alike, current_of
from kubeobjects import unstructured
from kubeobjects.metadata import Object
from kubeobjects.owners import helm_release, managers
from kubeobjects.unstructured import Unstructured


async def read_revisions(
    clients: VerbClients, asked: ObjectName, facts: WorkloadFacts, probe_context: ProbeContext
) -> RevisionFacts:
    """Read the revisions of a workload whose diagnosis was made of `facts`. Raises KubeError, LedgerUnavailable."""
    workload = await clients.kube.get(asked.resource, asked.name, facts.namespace)
    revisions = await find_revisions(clients.kube, asked, workload, probe_context.good)
    metadata = api_objects.convert(workload, Object).metadata
    current = current_of(revisions)
    same = alike(revisions)
    good = [each for each in revisions if each.good and each not in same]
    kept = (
        None if good else await clients.templates.find(asked.resource.singular, facts.namespace, asked.name, workload)
    )
    return RevisionFacts(
        revision=current.number if current is not None else 0,
        template=current.template if current is not None else "",
        known_good=any(each.good for each in same),
        good=good[-1].number if good else 0,
        adopted=bool(good) and good[-1].template in probe_context.adopted,
        none_good=probe_context.none_good,
        kept=_of_kept(workload, kept) if kept is not None else None,
        changed=_changed(workload, good[-1].pods if good else kept.pods if kept is not None else None),
        pods=frozenset(each.reference for each in facts.pods if current is not None and current.makes(each)),
        upstream=probe_context.upstream,
        managers=tuple(str(each) for each in managers(metadata)),
        release=helm_release(metadata),
        paused=unstructured.nested_field(workload, "spec", "paused") is True,
    )


def _changed(workload: Unstructured, good: Unstructured | None) -> tuple[str, ...]:
    if good is None:
        return ()
    return changed_fields(template_fields(good), template_fields(template_of(workload)))


def _of_kept(workload: Unstructured, found: KeptTemplate) -> KeptTemplateFacts:
    has, had = difference(template_fields(found.pods), template_fields(template_of(workload)))
    changed = f"{has} instead of {had}" if has and had else has
    return KeptTemplateFacts(difference=changed, missing=found.missing)
