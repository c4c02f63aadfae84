"""
Pure: may a workload be started that stands at 0 replicas? Never one that a restore holds, that may rest there, or of which
nobody knows how many replicas it is to have.

The guards ask before a run is started, the gate once more before the workload is scaled.
"""

from dataclasses import dataclass
from datetime import datetime

from kintsugi.model.known import ScaledToZero
from kintsugi.model.services import WorkloadRef
from kintsugi.model.views import ServiceView


@dataclass(frozen=True, kw_only=True, slots=True)
class AtZero:
    """
    A workload (`uid`) at 0 replicas that a run would start.

    `replicas` is what it would be started with, None where nobody knows; `running_since` when it last began to have any, `rests`
    which autoscaler may let it rest at 0, "" for none.
    """

    workload: WorkloadRef
    uid: str
    replicas: int | None = None
    running_since: datetime | None = None
    rests: str = ""


def at_zero(view: ServiceView | None) -> AtZero | None:
    """Return the AtZero of a service's workload; None where it has replicas, or is absent."""
    return standing_of(view) if view is not None and view.desired < 1 else None


def standing_of(view: ServiceView) -> AtZero | None:
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


def objection(standing: AtZero, stop: ScaledToZero | None) -> str:
    """
    Return why a workload may not be started, "" when it may. `stop` is the run that has scaled it to 0 last, if any has.

    That one holds it, also after its end, until somebody else has started it since.
    """
    name = standing.workload
    if stop is not None and (standing.running_since is None or standing.running_since <= stop.moment):
        return f"{name} is held at 0 by a restore: run {stop.run} has stopped it, and it has not been started since"
    if standing.rests:
        return f"{name} is left at 0: {standing.rests}"
    if standing.replicas is None:
        return (
            f"the number of replicas of {name} is unknown: it was never seen with any, and its Service document "
            "has no `replicas`"
        )
    return ""
