"""
Decides whether a person may start a runbook now: it asks the guards of recoveries, except those overruled by name.

Pure. The ledger asks inside the request's transaction; before that a person is shown all objections.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from kintsugi.decisions.guards import (
    GUARDS,
    Guard,
    GuardContext,
    GuardInput,
    Limits,
    active,
    cooldown,
    failures,
    handed_over,
)
from kintsugi.model.history import History
from kintsugi.model.manual import Override
from kintsugi.model.records import Reason, Verdict, VerdictKind

OVERRULED: Mapping[Guard, Override] = {
    cooldown: Override.COOLDOWN,
    failures: Override.FAILURES,
    handed_over: Override.HANDED_OVER,
}
"""The guards that judge the remedy: a person may know better. The others protect from risks that a person may overlook."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StartObjection:
    """The objection of a guard; `override` is the name by which it may be overruled, None where it may not."""

    verdict: Verdict
    override: Override | None = None


def objections(context: GuardContext, history: History, limits: Limits, *, now: datetime) -> tuple[StartObjection, ...]:
    """Return all objections to a start by hand, in the order of the guards."""
    inputs = GuardInput(context=context, history=history, limits=limits, now=now)
    found = [StartObjection(verdict=verdict, override=OVERRULED.get(guard)) for guard, verdict in _answers(inputs)]
    return tuple(found)


def may_start(
    context: GuardContext, history: History, limits: Limits, overrides: Collection[Override], *, now: datetime
) -> Verdict:
    """Answer with STARTED, or with the first objection that is not overruled: nothing that a person starts waits."""
    for each in objections(context, history, limits, now=now):
        if each.override is None or each.override not in overrides:
            return each.verdict
    text = f"{context.rule.runbook} starts"
    return Verdict(kind=VerdictKind.STARTED, reason=Reason.MATCHED, text=text, rule=context.rule.name)


def _answers(inputs: GuardInput) -> list[tuple[Guard, Verdict]]:
    """Ask every guard; an incident of the service that is open counts as its run, also where it only waits."""
    answers = []
    for guard in GUARDS:
        verdict = _occupied(inputs) if guard is active else guard(inputs)
        if verdict is not None:
            answers.append((guard, verdict))
    return answers


def _occupied(inputs: GuardInput) -> Verdict | None:
    incident, service = inputs.history.incident, inputs.context.service.name
    if not incident:
        return active(inputs)
    text = f"{service} has the open incident {incident}: kintsugi incident {incident} shows it"
    return inputs.answer(VerdictKind.ATTACHED, Reason.ACTIVE_RUN, text)
