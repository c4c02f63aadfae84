"""Facts about services and their workloads that are kept longer than incidents."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class GoodRevision:
    """
    A revision of a workload that was seen healthy: `template` is the pod-template-hash (or controller revision).

    `adopted`: it was not watched for long enough; its pods had been ready for as long when the daemon saw them first.
    """

    workload: str
    template: str
    number: int
    first_good: datetime
    last_good: datetime
    adopted: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class RevisionStanding:
    """
    The current revision of a service: a rollback may lead to it once the revision is good.

    `number` is 0 if the controller has none. `good_since` has the value None while the revision is not good. Then `good_at`
    is the expected time, None while the service is not well, and `why_not` is another reason, "" without one. `none_good` is
    the reason why no revision of the workload is good yet, "" if one is good.
    """

    number: int = 0
    good_since: datetime | None = None
    good_at: datetime | None = None
    adopted: bool = False
    why_not: str = ""
    none_good: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class GoodTemplate:
    """
    The pod template with which a workload was last seen healthy. It is kept by the workload's name, also when that is gone.

    `kind` is kubectl's word (`deployment`); `workload` is the uid that it had, `template` and `number` the revision there, as of a
    GoodRevision. `document` is the template as JSON, with null for each value that is withheld since it may be a secret. `withheld` are
    those, encrypted, "" where there was no key. `fingerprint` is that of the whole template: one that is put together again is known by it.
    `remainder` is the workload without its template, as JSON for `kubectl apply`, with null for what is withheld.
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
    remainder: str


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
    """
    The last count of a service's check while the service was healthy; `name` is the step's id.

    Or that its derived check was met, as a count of 1: `name` is the check's URL.
    """

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
