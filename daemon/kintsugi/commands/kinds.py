"""
The kinds of objects that the commands of the grammar accept, and which of those that are not built in may be changed.

There is one table of the latter for the process, as there is one of the kinds of the cluster (`kubeobjects.discovery`).
"""

from collections.abc import Iterable

from kubeobjects import resources as of
from kubeobjects.resources import Resource

READABLE = tuple(each for each in of.RESOURCES if each not in (of.SECRETS, of.POD_METRICS, of.NODE_METRICS))
ROLLED_OUT = of.WORKLOADS
WITH_PODS = (of.PODS, *ROLLED_OUT, of.REPLICASETS, of.JOBS, of.SERVICES)
MARKABLE = (
    *WITH_PODS,
    *(of.CRONJOBS, of.INGRESSES, of.PVCS, of.PVS, of.NODES, of.HPAS, of.PDBS, of.STORAGECLASSES),
    *(of.NAMESPACES, of.CONFIGMAPS),
)
PATCHABLE = MARKABLE[:-2]

OR_ROWS = (*READABLE, of.SECRETS)
"""The kinds that are shown to a person: of Secrets only the rows, in which no content is."""

USE_TOP = "kubectl top reads the usage of pods and nodes"

SECRETS_STAY = "a Secret's content must not reach Kintsugi"
"""The reason for which a Secret is not read."""

_changeable: set[str] = set()


def is_built_in(resource: Resource) -> bool:
    """Return whether a kind is one of the built-in ones."""
    return resource in of.RESOURCES


def allow_changes(names: Iterable[str]) -> None:
    """Let commands change the kinds of these names (PLURAL.GROUP), in the place of those that were named before."""
    _changeable.clear()
    _changeable.update(names)


def not_changed(resource: Resource) -> str:
    """Return why no object of a kind is changed, "" for a built-in one, and a namespaced one that is named."""
    name = resource.qualified
    if is_built_in(resource) or (resource.namespaced and name in _changeable):
        return ""
    if not resource.namespaced:
        return f"objects of {name} are in no namespace: of the types that are not built in only those of a namespace are changed"
    return (
        f"{name} is not among the types that may be changed: name it in the chart's value rbac.changeKinds: [{name}] "
        f"(the setting guards.changeKinds; for kintsugi validate and import --change-kind {name})"
    )
