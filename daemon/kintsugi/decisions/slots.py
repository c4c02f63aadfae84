"""
Limits how many services may be recovered at one time: in the cluster, and in each namespace.

Pure. A service that comes first takes a slot only where there is one: one whose namespace is full does not block others.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from kintsugi.model.services import Service


@dataclass(frozen=True, kw_only=True, slots=True)
class Slots:
    """The limits, and the namespaces of the services that are under recovery, one for each service."""

    most: int
    most_in_namespace: int
    taken: tuple[str, ...] = ()

    @property
    def left(self) -> int:
        """Return how many more services may be under recovery in the cluster."""
        return max(0, self.most - len(self.taken))

    def without(self, namespace: str) -> "Slots":
        """Return the slots after a service of a namespace has freed its own."""
        taken = list(self.taken)
        if namespace in taken:
            taken.remove(namespace)
        return replace(self, taken=tuple(taken))

    def left_in(self, namespace: str) -> int:
        """Return how many more may be in one namespace."""
        return min(self.left, max(0, self.most_in_namespace - self.taken.count(namespace)))

    def refusal(self, namespace: str, ahead: Iterable[Service] = ()) -> str:
        """Return why a service of a namespace gets no slot while those that come before it wait, too; nothing where it does."""
        if not self.left:
            return f"{len(self.taken)} services are being recovered; the limit is {self.most}"
        if not self.left_in(namespace):
            there = self.taken.count(namespace)
            return f"{there} services of {namespace} are being recovered; the limit there is {self.most_in_namespace}"
        slots, before = self, list[str]()
        for each in ahead:
            if slots.left_in(each.namespace):
                slots = replace(slots, taken=(*slots.taken, each.namespace))
                before.append(each.name)
        if slots.left_in(namespace):
            return ""
        most = f"the limit is {self.most} services at once"
        if slots.left:
            most = f"the limit is {self.most_in_namespace} services of {namespace} at once"
        return f"{most}; services with a higher priority come first: {', '.join(before)}"


def admitted(waiting: Iterable[Service], slots: Slots) -> tuple[Service, ...]:
    """Return which of the waiting services, given in order, get a slot now."""
    found: list[Service] = []
    for each in waiting:
        if slots.left_in(each.namespace):
            slots = replace(slots, taken=(*slots.taken, each.namespace))
            found.append(each)
    return tuple(found)


def overtaker(service: Service, waiting: Iterable[Service], slots: Slots) -> str:
    """
    Return which of the waiting services, given in order, should get the slot of a service under recovery, "" for none.

    It has a higher priority, gets no slot otherwise, and would get this one.
    """
    for each in waiting:
        if slots.left_in(each.namespace):
            slots = replace(slots, taken=(*slots.taken, each.namespace))
        elif each.priority < service.priority and slots.without(service.namespace).left_in(each.namespace):
            return each.name
    return ""
