"""Facts about services and their workloads that are kept longer than incidents."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class GoodRevision:
    """A revision of a workload that was seen healthy: `template` is the pod-template-hash (or controller revision)."""

    workload: str
    template: str
    number: int
    first_good: datetime
    last_good: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class GoodTemplate:
    """
    The pod template with which a workload was last seen healthy. It is kept by the workload's name, also when that is gone.

    `kind` is kubectl's word (`deployment`); `workload` is the uid that it had, `template` and `number` the revision there, as of a
    GoodRevision. `document` is the template as JSON, with null for each value that is withheld since it may be a secret. `withheld` are
    those, encrypted, "" where there was no key. `fingerprint` is that of the whole template: one that is put together again is known by it.
    """

    kind: str
    namespace: str
    name: str
    workload: str
    template: str
    number: int
    seen: datetime
    document: str
    withheld: str
    fingerprint: str


@dataclass(frozen=True, kw_only=True, slots=True)
class SeenReplicas:
    """
    The replicas that a workload (by uid) has had since it last had none; `until` is the time at which it had none
    again.
    """

    workload: str
    replicas: int
    since: datetime
    until: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class GoodCount:
    """The last count of a service's check while the service was healthy; `name` is the step's id."""

    service: str
    name: str
    value: int
    moment: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class ScaledToZero:
    """A workload (by uid) that a run has scaled to 0 on its way forward: only a restore may."""

    workload: str
    run: str
    moment: datetime
