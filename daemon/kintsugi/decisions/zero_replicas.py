"""
Decides whether a workload at 0 replicas may be started: not one that a run holds, that may rest there, or whose
number of replicas is not known.

Pure. The guards ask before a run is started, the gate again before the workload is scaled.
"""

from dataclasses import dataclass
from datetime import datetime

from kintsugi.model.good_state import ScaledToZero
from kintsugi.model.services import WorkloadRef
from kintsugi.model.views import ServiceView


@dataclass(frozen=True, kw_only=True, slots=True)
class AtZero:
    """
    A workload (`uid`) at 0 replicas that a run would start.

    `replicas` is the number that it would be started with, None where that is not known; `running_since` is the time at
    which it last got any; `rests` is the autoscaler that may let it rest at 0, "" for none.
    """

    workload: WorkloadRef
    uid: str
    replicas: int | None = None
    running_since: datetime | None = None
    rests: str = ""


def at_zero(view: ServiceView | None) -> AtZero | None:
    """Return the AtZero of a service's workload; None where it has replicas, or is absent."""
    return as_at_zero(view) if view is not None and view.desired < 1 else None


def as_at_zero(view: ServiceView) -> AtZero | None:
    """Return the AtZero that a service's workload would have at 0 replicas; None where it is absent."""
    if view.workload is None:
        return None
    return AtZero(
        workload=view.service.workload,
        uid=view.workload.metadata.uid,
        replicas=view.replicas,
        running_since=view.running_since,
        rests=view.rests,
    )


def objection(candidate: AtZero, stop: ScaledToZero | None) -> str:
    """
    Return why a workload may not be started, "" when it may. `stop` is the run that has scaled it to 0 last, if any has.

    That run holds it, also after its end, until someone else has started it.
    """
    name = candidate.workload
    if stop is not None and (candidate.running_since is None or candidate.running_since <= stop.moment):
        return f"{name} is held at 0: run {stop.run} stopped the workload, which has not started since"
    if candidate.rests:
        return f"{name} stays at 0: {candidate.rests}"
    if candidate.replicas is None:
        return (
            f"the number of replicas of {name} is unknown: the workload was never seen with replicas, and its Service document "
            "has no `replicas`"
        )
    return ""
