"""The context of a change: all facts besides the live object on which a refusal may depend."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from kintsugi.model.command import ObjectName
from kintsugi.model.essentials import EssentialService
from kintsugi.model.records import Phase
from kintsugi.model.services import NOTHING_ALLOWED, MaxAllowed, SecretRef, WorkloadRef
from kubeobjects.predicates import START_UP_ALLOWANCE
from kubeobjects.selectors import Selector

INCIDENT, RUN, STEP = "kintsugi.dev/incident", "kintsugi.dev/run", "kintsugi.dev/step"
"""Labels of a Job, and of all that is made for it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ChangeContext:
    """
    The run that a change belongs to. `namespace` and `selector` are the service's: they define which pods are its own.

    `good` are the pod templates (pod-template-hash, or the name of a ControllerRevision) of the workload that were seen
    healthy. `startup` is the time that a pod may take to become ready. Never changed are `protected` namespaces, a
    service that is `off_limits` (the value is the reason), and the `essentials`. `allow_managed`: change also fields
    that an autoscaler, GitOps or an operator writes. `undoes`: it is the recorded undo of a change of the run.
    `stoppable_workloads` names (TYPE/NAME) the workloads that a section may stop: their replicas may be lowered
    in the forward phase, too, and other managers are ignored, except an operator of the workload itself. `env` are the service's Secrets. `ledger_host` is the host of our own ledger's database, ""
    where that is a file. `max_allowed` is the ceiling of the service's limits and claims. `denied_addresses` are those
    of objects that are never changed, each with the reason: no request that changes something is sent there, and none at all while `unread_addresses` says
    whose addresses cannot be read.
    """

    phase: Phase = Phase.FORWARD
    incident: str
    run: str
    path: str = ""
    now: datetime
    service: str = ""
    namespace: str = ""
    selector: Selector | None = None
    workload: WorkloadRef | None = None
    good: frozenset[str] = frozenset()
    startup: timedelta = START_UP_ALLOWANCE
    protected: frozenset[str] = frozenset()
    off_limits: str = ""
    essentials: tuple[EssentialService, ...] = ()
    allow_managed: bool = False
    undoes: bool = False
    env: Mapping[str, SecretRef] = field(default_factory=dict)
    ledger_host: str = ""
    stoppable_workloads: frozenset[str] = frozenset()
    max_allowed: MaxAllowed = NOTHING_ALLOWED
    denied_addresses: Mapping[str, str] = field(default_factory=dict)
    unread_addresses: str = ""

    def stops(self, asked: ObjectName, namespace: str) -> bool:
        """Return whether an object is one that the run's section may stop."""
        return namespace == self.namespace and str(asked) in self.stoppable_workloads

    @property
    def labels(self) -> Mapping[str, str]:
        """Return the labels of what this step makes: a later process finds it by them."""
        step = re.sub(r"[^A-Za-z0-9_.]+", "-", self.path).strip("-_.")[:63].strip("-_.")
        return {INCIDENT: self.incident, RUN: self.run, STEP: step}

    @property
    def mark(self) -> str:
        """
        Return the mark of this change; it is written onto the object with the change, so that a probe recognises it.

        The time is part of it: a step that is retried does not take its first attempt for its second.
        """
        return f"{self.run}/{self.phase}/{self.path}@{self.now.isoformat()}"
