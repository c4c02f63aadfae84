"""
Pure: the services and namespaces that a change affects; their pauses, budgets and locks apply to it.

Locks are taken in one order, by the priority and the name of the service: a run waits only for a lock that comes after all
that it holds, so that two runs never wait for each other.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from kintsugi.actions.verb_bases import is_change, namespace_of, object_of
from kintsugi.commands.registry import definition_of
from kintsugi.decisions.disruptions import pod_deleted_by
from kintsugi.decisions.planner import locks_of
from kintsugi.decisions.zero_replicas import AtZero, as_at_zero
from kintsugi.model.command import Command, ObjectName
from kintsugi.model.records import RunRecord
from kintsugi.model.services import Service
from kintsugi.model.views import ServiceView
from kubeobjects import resources
from kubeobjects.resources import CRONJOBS, DAEMONSETS, DEPLOYMENTS, STATEFULSETS

LOCKED_KINDS = frozenset({CRONJOBS, DAEMONSETS, DEPLOYMENTS, STATEFULSETS})
"""Kinds whose objects are locked also where no service of the catalog is about them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ImpactScope:
    """
    The services, namespaces and locks that one change of one run affects.

    `namespace` is that of the object, `namespaces` and `services` those of the run and of the object together; `locks`
    are the names that the run must hold. `known` are all services, whose order is that of their locks. `pod` is the name of a pod
    that is deleted, "" for other changes.
    """

    namespace: str
    namespaces: frozenset[str]
    services: frozenset[str]
    locks: tuple[str, ...]
    known: Mapping[str, Service]
    pod: str = ""

    def may_wait_for(self, lock: str, held: Iterable[str]) -> bool:
        """Return whether a run that holds some locks may wait for another: it comes after all of them."""
        order = {lock: _order(each) for each in self.known.values() for lock in locks_of(each)}
        return all(_place(each, order) < _place(lock, order) for each in held)


def affected_by(
    run: RunRecord,
    service: str,
    command: Command | None,
    views: Mapping[str, ServiceView],
    others: frozenset[str] = frozenset(),
) -> ImpactScope:
    """
    Return what a change of a run's step affects: its service, and the object's where the command is known already.

    An object's services are those whose workload, pod, claim, volume or Kubernetes Service it is. `others` are further services
    that it affects.
    """
    asked = object_of(command) if command is not None and is_change(command) else None
    namespace = (namespace_of(command) if command is not None else None) or run.namespace
    services = {name: view.service for name, view in views.items()}
    names = {service, *others}
    if asked is not None:
        names.update(name for name, view in views.items() if _has(view, asked, namespace))
    changed = sorted((services[name] for name in names if name in services), key=_order)
    own = [f"{namespace}/{asked}"] if asked is not None and asked.resource in LOCKED_KINDS else []
    return ImpactScope(
        namespace=namespace,
        namespaces=frozenset({run.namespace, namespace, *(each.namespace for each in changed)}),
        services=frozenset({run.service, *names}),
        locks=tuple(dict.fromkeys([*(lock for each in changed for lock in locks_of(each)), *own])),
        known=services,
        pod=pod_deleted_by(command),
    )


def _has(view: ServiceView, asked: ObjectName, namespace: str) -> bool:
    """Return whether an object is one of a service's."""
    if asked.resource == resources.PVS:
        return any(claim.spec.volume_name == asked.name for claim in view.all_pvcs)
    if view.service.namespace != namespace:
        return False
    match asked.resource:
        case resources.PODS:
            return any(pod.metadata.name == asked.name for pod in view.pods)
        case resources.PVCS:
            return any(claim.metadata.name == asked.name for claim in view.all_pvcs)
        case resources.SERVICES:
            return view.host.partition(".")[0] == asked.name
        case _:
            return str(view.service.workload) == str(asked)


def started_by(command: Command | None, affected: ImpactScope, views: Mapping[str, ServiceView]) -> AtZero | None:
    """Return the workload that a command scales up from 0, None for any other command."""
    if command is None or not definition_of(command).starts(command):
        return None
    place = (affected.namespace, str(object_of(command)))
    for view in views.values():
        if (view.service.namespace, str(view.service.workload)) == place:
            return as_at_zero(view)
    return None


def _place(lock: str, order: Mapping[str, tuple[int, str]]) -> tuple[int, int, str]:
    known = order.get(lock)
    return (0, *known) if known is not None else (1, 0, lock)


def _order(service: Service) -> tuple[int, str]:
    return service.priority, service.name
