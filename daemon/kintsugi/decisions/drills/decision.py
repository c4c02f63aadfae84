"""
Decides whether a drill may begin now: the first objection refuses it; without an objection it starts.

The ledger asks inside the request's transaction, as it asks the guards of recoveries.
"""

from dataclasses import dataclass
from datetime import datetime

from kintsugi.decisions.guards import Limits
from kintsugi.decisions.pauses import covers
from kintsugi.model.history import History
from kintsugi.model.records import Reason, Verdict, VerdictKind
from kintsugi.model.rules import Mode
from kintsugi.model.services import Service
from kintsugi.model.views import ServiceView

RULE = "drill"
"""The name of the rule of drills; a pause may name it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DrillGuardInput:
    """
    One drill to be decided. `scheduled`: the clock asks, and no person. `stale_reason` says why nothing can be trusted
    now; `paused_by_annotation` and `holds_ledger` are objections against the service.
    """

    service: Service
    view: ServiceView | None
    mode: Mode
    scheduled: bool
    stale_reason: str = ""
    paused_by_annotation: str = ""
    holds_ledger: str = ""


def may_drill(inputs: DrillGuardInput, history: History, limits: Limits, *, now: datetime) -> Verdict:
    """Answer with STARTED, or REFUSED with the reason; a refusal that will end has the moment of the next look."""
    service = inputs.service
    if service.drill is None:
        return _refused(Reason.NO_TARGET, f"{service.name} has no `drill` in its document: name a runbook there")
    if service.namespace in limits.protected:
        return _refused(
            Reason.PROTECTED, f"namespace {service.namespace} is protected; Kintsugi creates no database there"
        )
    if inputs.holds_ledger:
        return _refused(Reason.PROTECTED, inputs.holds_ledger)
    passing = _for_now(inputs, history)
    if passing is not None:
        reason, text = passing
        return _refused(reason, text, until=now + limits.recheck_after)
    return Verdict(kind=VerdictKind.STARTED, reason=Reason.MATCHED, text=f"{service.drill.runbook} starts", rule=RULE)


def _for_now(inputs: DrillGuardInput, history: History) -> tuple[Reason, str] | None:
    """Return the first objection that holds now and will end."""
    service, view = inputs.service, inputs.view
    if inputs.scheduled and inputs.mode is Mode.OBSERVE:
        return Reason.MODE, "mode is observe: nothing is started on a schedule"
    if inputs.paused_by_annotation:
        return Reason.PAUSED, inputs.paused_by_annotation
    for pause in history.pauses:
        if covers(pause, namespace=service.namespace, rule=RULE, service=service.name):
            return Reason.PAUSED, f"paused by {pause.who}: {pause.why}"
    if inputs.stale_reason:
        return Reason.STALE, inputs.stale_reason
    return objection(service.name, view, history.incident)


def objection(service: str, view: ServiceView | None, incident: str) -> tuple[Reason, str] | None:
    """Return why no drill may burden a service now, also one that has begun; None when it is well."""
    if incident:
        return Reason.ACTIVE_RUN, f"{service} has the open incident {incident}; a recovery has priority over a drill"
    if view is None or view.healthy is None:
        return Reason.STALE, f"the health of {service} is unknown"
    if not view.healthy:
        return Reason.LOCKED, f"{service} is not healthy; a drill would add load"
    return None


def _refused(reason: Reason, text: str, *, until: datetime | None = None) -> Verdict:
    return Verdict(kind=VerdictKind.REFUSED, reason=reason, text=text, until=until, rule=RULE)
