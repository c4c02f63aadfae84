"""
Objections to changes: pure functions of live objects, each returning a sentence, or "" for no objection.

Objects that no controller would recreate are not deleted, changes that would not help are not tried, and objects that
another manager owns are left to it.
"""

from kintsugi.actions import api_objects
from kintsugi.actions.change_context import ChangeContext
from kintsugi.commands.kinds import is_built_in, not_changed
from kintsugi.errors import Refused
from kintsugi.model.command import ObjectName
from kintsugi.model.essentials import essential, essential_object
from kintsugi.model.hosts import service_of
from kintsugi.model.records import Phase
from kubeobjects import unstructured
from kubeobjects.kept import Object
from kubeobjects.owners import managers, operators
from kubeobjects.resources import PVCS, PVS
from kubeobjects.unstructured import Unstructured


def check(*reasons: str) -> None:
    """Raise Refused with the first reason there is."""
    for reason in reasons:
        if reason:
            raise Refused(reason)


def protected(namespace: str, context: ChangeContext) -> str:
    """Refuse an object in a protected namespace (E23)."""
    if namespace in context.protected:
        return f"nothing is changed in the namespace {namespace}: it is protected"
    return ""


def discovered(asked: ObjectName, namespace: str, context: ChangeContext) -> str:
    """
    Refuse an object of a kind that is not built in, unless the kind may be changed and the object is in the service's namespace.

    Whether such an object stands behind an essential cannot be seen: none is changed in a namespace that has one.
    """
    if is_built_in(asked.resource):
        return ""
    if why := not_changed(asked.resource):
        return f"{asked}: {why}"
    if namespace != context.namespace:
        return (
            f"{asked} is in {namespace}, and {context.service or 'the service'} in {context.namespace or 'no namespace'}: "
            "objects of a type that is not built in are changed only in the service's namespace"
        )
    what = next((each.what for each in context.essentials if each.namespace == namespace), "")
    return f"{asked} may belong to {what}, which is in {namespace}, too: nothing is ever changed there" if what else ""


def refuse_essential(asked: ObjectName, obj: Unstructured, namespace: str, context: ChangeContext) -> str:
    """Refuse a pod, a workload, a claim or a volume of an essential (E23, P8)."""
    known = context.essentials
    if asked.resource == PVS:
        owner = unstructured.nested_map(obj, "spec", "claimRef")
        place, claim = unstructured.nested_string(owner, "namespace"), unstructured.nested_string(owner, "name")
        what = essential_object(PVCS.kind, place, claim, known)
    else:
        template = unstructured.nested_map(obj, "spec", "template") or obj
        what = essential_object(asked.resource.kind, namespace, asked.name, known)
        what = what or (essential(namespace, unstructured.labels(template), known) if asked.resource != PVCS else "")
    return f"{asked} belongs to {what}: nothing is ever changed there" if what else ""


def own_ledger(host: str, address: str, context: ChangeContext) -> str:
    """Refuse the database that we ourselves write to, by a Service's name or by its address (P8)."""
    ledger = context.ledger_host.lower().rstrip(".")
    asked, place = service_of(host), service_of(ledger)
    same = place is not None and place == asked
    if ledger and (same or ledger in {host, address}):
        return f"{host} is the host of Kintsugi's own ledger: nothing is ever restored there"
    return ""


def terminating(asked: ObjectName, obj: Unstructured) -> str:
    """Refuse an object that is being deleted already (B18)."""
    if since := unstructured.nested_string(obj, "metadata", "deletionTimestamp"):
        return f"{asked} is being deleted already (since {since})"
    return ""


def foreign_pod(asked: ObjectName, obj: Unstructured, context: ChangeContext) -> str:
    """Refuse a pod of another service than the run's: the run holds no lock on it."""
    selector, namespace = context.selector, context.namespace
    elsewhere = bool(namespace) and unstructured.nested_string(obj, "metadata", "namespace") != namespace
    if elsewhere or (selector is not None and not selector.matches(unstructured.labels(obj))):
        where = f"{selector} in {namespace}" if namespace else selector
        return f"{asked} is not one of the pods of {context.service} ({where})"
    return ""


def managed(asked: ObjectName, obj: Unstructured, context: ChangeContext) -> str:
    """
    Refuse an object that GitOps or an operator writes: they would revert the change (B21).

    A change that was made all the same may be undone: the undo tests that it is still in place. Of workloads that are stopped
    for a restore only an operator's own is refused; where somebody starts it again, the restore stops.
    """
    if context.allow_managed or context.phase is Phase.UNDO:
        return ""
    metadata = api_objects.convert(obj, Object).metadata
    owners = managers(metadata)
    if context.stops(asked, metadata.namespace):
        owners = operators(metadata) if str(asked) == str(context.workload) else ()
    if owners:
        return f"{asked} belongs to {', '.join(map(str, owners))}: a change of ours would be reverted"
    return ""


def paused(asked: ObjectName, obj: Unstructured, what: str) -> str:
    """Refuse to roll out a paused Deployment: it would have no effect until it is resumed."""
    if unstructured.nested_field(obj, "spec", "paused") is True:
        return f"{asked} is paused: resume it first (kubectl rollout resume {asked}), then {what}"
    return ""
