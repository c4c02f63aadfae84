"""
Pure: whom a change affects, which decides whose pauses, whose budget and whose locks count.

Locks are taken in one order, by the priority and the name of the service: a run waits only for a lock that comes after all
that it holds, so that two runs never wait for each other.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from kintsugi.actions.touched import Change, namespace_of, object_of
from kintsugi.model.command import Command, ObjectName
from kintsugi.model.documents import Service
from kintsugi.model.records import RunRecord
from kintsugi.objects.resources import CRONJOBS, DAEMONSETS, DEPLOYMENTS, STATEFULSETS
from kintsugi.planner import locks_of

WORKLOADS = frozenset({CRONJOBS, DAEMONSETS, DEPLOYMENTS, STATEFULSETS})
"""Kinds whose objects are locked also where no service of the catalog is about them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Affected:
    """
    Whom one change of one run affects.

    `namespace` is that of the object, `namespaces` and `services` those of the run and of the object together; `locks`
    are the names that the run must hold. `order` says where a lock's name comes.
    """

    namespace: str
    namespaces: frozenset[str]
    services: frozenset[str]
    locks: tuple[str, ...]
    order: Mapping[str, tuple[int, str]]

    def may_wait_for(self, lock: str, held: Iterable[str]) -> bool:
        """Return whether a run that holds some locks may wait for another: it comes after all of them."""
        return all(self._place(each) < self._place(lock) for each in held)

    def _place(self, lock: str) -> tuple[int, int, str]:
        known = self.order.get(lock)
        return (0, *known) if known is not None else (1, 0, lock)


def affected_by(run: RunRecord, at: str, command: Command | None, services: Mapping[str, Service]) -> Affected:
    """Return whom a change affects that a step of a run makes at a service; of an object where that is known already."""
    asked = object_of(command) if isinstance(command, Change) else None
    namespace = (namespace_of(command) if command is not None else None) or run.namespace
    names = {at, *(_owner(asked, namespace, services) if asked is not None else ())}
    changed = sorted((services[name] for name in names if name in services), key=_order)
    own = [f"{namespace}/{asked}"] if asked is not None and asked.resource in WORKLOADS else []
    return Affected(
        namespace=namespace,
        namespaces=frozenset({run.namespace, namespace, *(each.namespace for each in changed)}),
        services=frozenset({run.service, *names}),
        locks=tuple(dict.fromkeys([*(lock for each in changed for lock in locks_of(each)), *own])),
        order={lock: _order(each) for each in services.values() for lock in locks_of(each)},
    )


def _owner(asked: ObjectName, namespace: str, services: Mapping[str, Service]) -> list[str]:
    """Name the services whose workload an object is."""
    return [name for name, each in services.items() if each.namespace == namespace and str(each.workload) == str(asked)]


def _order(service: Service) -> tuple[int, str]:
    return service.priority, service.name
