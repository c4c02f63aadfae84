"""Services, as people write them in `rules/`: the workload, its dependencies, its checks, and when it is healthy."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar

from kintsugi.expressions import Expression
from kintsugi.model.runbooks import Step, Value
from kintsugi.model.source_position import SourcePosition
from kubeobjects.resources import WORKLOADS, Resource, find
from kubeobjects.selectors import NOTHING, Selector

DERIVED = "smoke"
"""The list of checks that a service has without writing it: what its kubelets ask by HTTP, asked through its Kubernetes Service."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MaxAllowed:
    """
    The most that a service lets be set, as quantities; "" where nothing is raised.

    `memory` is the limit of any one container of its pods, `storage` what any one of its claims asks for.
    """

    memory: str = ""
    storage: str = ""


NOTHING_ALLOWED = MaxAllowed()


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkloadRef:
    """kubectl's TYPE/NAME of the object that owns a service's pods."""

    resource: Resource
    name: str

    @classmethod
    def parse(cls, text: str) -> "WorkloadRef | None":
        """Read TYPE/NAME; None for any other text, and for a type of which no workload is."""
        word, _, name = text.partition("/")
        resource = find(word)
        return cls(resource=resource, name=name) if resource in WORKLOADS and name else None

    def __str__(self) -> str:
        return f"{self.resource.singular}/{self.name}"


WORKLOAD_FORMS = ", ".join(f"{each.singular}/NAME" for each in WORKLOADS)
"""The forms of a reference, for people."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SecretRef:
    """A key of a Secret; resolved only where the command runs, no expression can read it."""

    secret: str
    key: str


@dataclass(frozen=True, kw_only=True, slots=True)
class DrillTerms:
    """The drills of a service's backups: the runbook, and the schedule (a cron expression in UTC, "" for none)."""

    runbook: str
    schedule: str = ""


class OnUpstreamFailure(StrEnum):
    """Whether a service's recovery waits or proceeds when that of an upstream has failed."""

    WAIT = "wait"
    PROCEED = "proceed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """
    A service: its workload, its dependencies, and when it is healthy. Lower `priority` comes first.

    `expendable`: its data can be made again, so that a person may be asked whether it may start on an empty volume.
    `replicas` is the number it is started with where it was scaled to 0; None: the number that it was last seen with.
    `selector` is NOTHING where the document has none: it is the workload's own, which is known once that was seen
    (`views`). `positions` has the place of each key in the document; a value without one is derived.
    """

    name: str
    priority: int
    depends_on: tuple[str, ...]
    namespace: str
    selector: Selector = NOTHING
    workload: WorkloadRef
    replicas: int | None = None
    healthy: Expression
    runbook: str
    parameters: Mapping[str, Value] = field(default_factory=dict)
    env: Mapping[str, SecretRef] = field(default_factory=dict)
    checks: Mapping[str, tuple[Step, ...]] = field(default_factory=dict)
    drill: DrillTerms | None = None
    on_upstream_failure: OnUpstreamFailure = OnUpstreamFailure.WAIT
    expendable: bool = False
    max_allowed: MaxAllowed = NOTHING_ALLOWED
    place: SourcePosition
    positions: Mapping[str, SourcePosition] = field(default_factory=dict, compare=False)


STACK = "stack"
"""The name of all services together: incidents, runs and locks about them bear it, and no Service may."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AllServices:
    """
    All services of a catalog together: the subject of a rule without `service`, and of the run that it starts.

    It has no objects of its own: only runs of its services make changes.
    """

    name: ClassVar[str] = STACK
    namespace: ClassVar[str] = ""
    workload: ClassVar[str] = ""
    runbook: ClassVar[str] = ""
    parameters: ClassVar[Mapping[str, Value]] = {}
    services: Mapping[str, Service]
