"""
May this attempt of an effect be made now? The one gate that stands before every attempt of every effect.

Pure: what is known now is an argument, the answer carries its reason. It is asked before the first attempt, before every
retry and after a restart, whichever life of the daemon wrote the intent. Only probing is exempt.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from kintsugi.guards import Limits, Observer, breaker_reason, covers
from kintsugi.model.documents import Mode
from kintsugi.model.records import Pause, Phase

INTENT_AGE = timedelta(seconds=30)
"""How old an intent may be when its effect is made. Later the object is judged anew; no `durations` scales it."""


class Ruling(StrEnum):
    """What follows for the attempt."""

    ADMIT = "admit"
    WAIT = "wait"
    ASK = "ask"
    PARK = "park"


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """A ruling with its reason, a sentence for a person; ADMIT needs none."""

    ruling: Ruling
    reason: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """
    One attempt: of which part of a run, and what it touches.

    `namespaces` and `services` are the run's own and those of the object that is changed. `restoring`: it belongs to a
    restore that has touched something, half of which would be worse than none: neither a spent budget, a silence nor
    the breaker holds it up.
    """

    phase: Phase
    rule: str
    namespaces: frozenset[str]
    services: frozenset[str]
    restoring: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class AdmissionFacts:
    """
    How things stand at this moment.

    `mode` is the lower of the daemon's and the rule's as they are now, `approved` whether a person has approved this run.
    `annotations` and `silence` are pauses in words ("" for none). `disruptions` are the moments of the changes in the
    object's namespace within the budget's window.
    """

    mode: Mode
    observer: Observer
    approved: bool = False
    stopping: bool = False
    pauses: Sequence[Pause] = ()
    annotations: Sequence[str] = ()
    silence: str = ""
    disruptions: Sequence[datetime] = field(default_factory=tuple)


Check = Callable[[Attempt, AdmissionFacts, Limits], Decision | None]


def admit(attempt: Attempt, standing: AdmissionFacts, limits: Limits) -> Decision:
    """Ask every check in order; the first that has something to say decides, else the attempt is admitted."""
    for check in CHECKS:
        decision = check(attempt, standing, limits)
        if decision is not None:
            return decision
    return Decision(ruling=Ruling.ADMIT)


def stopping(_attempt: Attempt, standing: AdmissionFacts, _limits: Limits) -> Decision | None:
    """Begin nothing while the daemon stops: the next one judges anew."""
    return wait("the daemon is stopping") if standing.stopping else None


def observing(_attempt: Attempt, standing: AdmissionFacts, _limits: Limits) -> Decision | None:
    """Write nothing more in mode observe, also what would take a change back."""
    if standing.mode is Mode.OBSERVE:
        return Decision(ruling=Ruling.PARK, reason="mode is observe: nothing more is written")
    return None


def frozen(attempt: Attempt, standing: AdmissionFacts, _limits: Limits) -> Decision | None:
    """Write nothing more under a freeze, also what would take a change back."""
    for pause in pauses_over(attempt, standing.pauses):
        if pause.freeze:
            return Decision(ruling=Ruling.PARK, reason=f"frozen by {pause.who}: {pause.why}")
    return None


def unapproved(_attempt: Attempt, standing: AdmissionFacts, _limits: Limits) -> Decision | None:
    """Ask where the mode is approve by now, and nobody has approved this run."""
    if standing.mode is Mode.APPROVE and not standing.approved:
        return Decision(ruling=Ruling.ASK, reason="mode is approve, and nobody has approved this run")
    return None


def paused(attempt: Attempt, standing: AdmissionFacts, _limits: Limits) -> Decision | None:
    """Hold what goes forward during a pause; the way back goes on."""
    if attempt.phase is not Phase.FORWARD:
        return None
    for pause in pauses_over(attempt, standing.pauses):
        return wait(f"paused by {pause.who}: {pause.why}")
    return next((wait(text) for text in standing.annotations if text), None)


def blind(_attempt: Attempt, standing: AdmissionFacts, _limits: Limits) -> Decision | None:
    """Wait until we see: a watch that is old or a clock that is wrong tells nothing (P6)."""
    return wait(standing.observer.blind) if standing.observer.blind else None


def silenced(attempt: Attempt, standing: AdmissionFacts, _limits: Limits) -> Decision | None:
    """Hold what goes forward while people have silenced everything that the run goes on for (A19)."""
    return wait(standing.silence) if standing.silence and goes_forward(attempt) else None


def broken(attempt: Attempt, standing: AdmissionFacts, limits: Limits) -> Decision | None:
    """Hold what goes forward while most of what is seen looks broken."""
    reason = breaker_reason(standing.observer, limits) if goes_forward(attempt) else ""
    return wait(reason) if reason else None


def overspent(attempt: Attempt, standing: AdmissionFacts, limits: Limits) -> Decision | None:
    """Hold what goes forward once the namespace's disruption budget is spent (P7)."""
    spent = len(standing.disruptions)
    if not goes_forward(attempt) or spent < limits.budget:
        return None
    return wait(f"{spent} changes in {', '.join(sorted(attempt.namespaces))} of late, the budget is {limits.budget}")


def goes_forward(attempt: Attempt) -> bool:
    """Return whether an attempt could as well come later: it neither takes back nor completes a restore."""
    return attempt.phase is Phase.FORWARD and not attempt.restoring


def pauses_over(attempt: Attempt, pauses: Iterable[Pause]) -> list[Pause]:
    """List the pauses that concern an attempt: of everything, of its rule, or of any namespace or service it touches."""
    return [
        pause
        for pause in pauses
        if any(
            covers(pause, namespace=namespace, rule=attempt.rule, service=service)
            for namespace in attempt.namespaces
            for service in attempt.services
        )
    ]


def wait(reason: str) -> Decision:
    """Let an attempt wait for what ends by itself or by a person."""
    return Decision(ruling=Ruling.WAIT, reason=reason)


CHECKS: tuple[Check, ...] = (
    stopping,
    observing,
    frozen,
    unapproved,
    paused,
    blind,
    silenced,
    broken,
    overspent,
)
"""The order of asking: what a person said comes before what we see, and the limits come last."""
