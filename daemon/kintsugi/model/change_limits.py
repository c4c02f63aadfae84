"""The limits of a run's changes: its locks, the budget of a namespace, and the pods of a service that must stay."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Lock:
    """A name that one run holds; `path` is that of the child of the run that took it, "" for the run's own."""

    name: str
    run: str
    path: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class LockHolder:
    """The run that holds a lock, the service that it is about, and its deadline."""

    run: str
    service: str
    deadline: datetime

    def __str__(self) -> str:
        """Return a phrase for a person."""
        return f"run {self.run} on {self.service}, whose deadline is {self.deadline:%H:%M:%S}"


@dataclass(frozen=True, kw_only=True, slots=True)
class PodBudget:
    """
    The budget of a service's pods that must stay ready, in the terms of a PodDisruptionBudget.

    `expected` is the desired number, `desired_healthy` the number of them that must stay. `ready` are the uids of the
    pods that are ready and not terminating, `unready` those of the others.
    """

    service: str
    expected: int
    desired_healthy: int
    ready: frozenset[str] = frozenset()
    unready: frozenset[str] = frozenset()

    def allowed(self, disrupted: Collection[str]) -> int:
        """Return how many ready pods may go now; `disrupted` are uids that we have deleted, which may still look ready."""
        return max(0, len(self.ready.difference(disrupted)) - self.desired_healthy)

    def objection(self, pod: str, disrupted: frozenset[str]) -> str:
        """Return why a pod may not be deleted now, "" when it may; one that does not serve costs no availability."""
        if pod in self.unready:
            return ""
        if pod not in self.ready:
            return f"a pod of {self.service} is newer than what is seen of that service"
        if self.allowed(disrupted - {pod}) > 0:
            return ""
        left = len(self.ready - (disrupted - {pod}))
        return f"{left} of {self.expected} pods of {self.service} are ready, and {self.desired_healthy} must stay so"


@dataclass(frozen=True, kw_only=True, slots=True)
class Disruptions:
    """The recent changes in one namespace: their times, and the uids of the objects."""

    moments: tuple[datetime, ...] = ()
    objects: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """The number of changes that a namespace may see since a moment, and the pod budgets that a change counts against."""

    most: int
    since: datetime
    pods: tuple[PodBudget, ...] = ()
