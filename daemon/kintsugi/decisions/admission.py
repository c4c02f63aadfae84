"""
Decides whether an attempt of an effect may be made now. It is asked before every attempt of every effect, and whether a
change would undo another rule's recent change: then the run that comes second is handed to a person.

Pure: the facts are arguments, the answer has its reason. It is asked before the first attempt, before every retry and after
a restart, also for an intent of an earlier process. Only probes are exempt.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from kintsugi.commands import decode
from kintsugi.commands.registry import definition_of
from kintsugi.decisions.breaker import ObserverHealth, breaker_reason
from kintsugi.decisions.guards import Limits, covers
from kintsugi.errors import CommandError
from kintsugi.model.change_limits import Disruptions, PodBudget
from kintsugi.model.command import Command
from kintsugi.model.history import MadeChange
from kintsugi.model.manual import MANUAL
from kintsugi.model.records import Pause, Phase
from kintsugi.model.rules import Mode

INTENT_AGE = timedelta(seconds=30)
"""The maximum age of an intent when its effect is made. Later the object is judged again; `durations` does not scale it."""


class AdmissionDecision(StrEnum):
    """The decision on an attempt."""

    ADMIT = "admit"
    WAIT = "wait"
    ASK = "ask"
    DENY = "deny"
    HAND_OVER = "hand-over"


@dataclass(frozen=True, kw_only=True, slots=True)
class AdmissionResult:
    """A decision with its reason, a sentence for a person; ADMIT needs none."""

    decision: AdmissionDecision
    reason: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """
    One attempt: its part of the run, and the objects that it affects.

    `namespaces` and `services` are the run's own and those of the object that is changed; `pod` is the uid of a pod that is
    deleted, "" for other changes. `must_complete`: it belongs to a section that has begun, half of which would be worse
    than none: neither a spent budget, a silence nor the breaker holds it up.
    """

    phase: Phase
    rule: str
    namespaces: frozenset[str]
    services: frozenset[str]
    must_complete: bool = False
    pod: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class AdmissionInput:
    """
    The facts at this moment.

    `mode` is the lower of the daemon's and the rule's as they are now, `approved` whether a person has approved this run.
    `annotations` and `silence` are pauses in words ("" for none), `retired` says that the run's rule was taken out, `upstream`
    is what the run's service depends on and is being recovered just now, in words; `opposed` says which other rule has just
    changed the same the other way. `disruptions` is what was changed in the object's namespace within the budget's window,
    `pods` is what must stay of the services that a pod belongs to which is deleted.
    """

    mode: Mode
    observer: ObserverHealth
    approved: bool = False
    stopping: bool = False
    pauses: Sequence[Pause] = ()
    annotations: Sequence[str] = ()
    silence: str = ""
    retired: str = ""
    upstream: str = ""
    opposed: str = ""
    disruptions: Disruptions = field(default_factory=Disruptions)
    pods: Sequence[PodBudget] = ()


Check = Callable[[Attempt, AdmissionInput, Limits], AdmissionResult | None]


def admit(attempt: Attempt, inputs: AdmissionInput, limits: Limits) -> AdmissionResult:
    """Ask every check in order; the first result decides, without one the attempt is admitted."""
    results = (check(attempt, inputs, limits) for check in CHECKS)
    return next((each for each in results if each is not None), AdmissionResult(decision=AdmissionDecision.ADMIT))


def stopping(_attempt: Attempt, inputs: AdmissionInput, _limits: Limits) -> AdmissionResult | None:
    """Begin nothing while the daemon stops: the next process decides again."""
    return wait("the daemon is stopping") if inputs.stopping else None


def observing(_attempt: Attempt, inputs: AdmissionInput, _limits: Limits) -> AdmissionResult | None:
    """Write nothing in mode observe, not even an undo."""
    if inputs.mode is Mode.OBSERVE:
        return AdmissionResult(decision=AdmissionDecision.DENY, reason="mode is observe: no further changes are made")
    return None


def frozen(attempt: Attempt, inputs: AdmissionInput, _limits: Limits) -> AdmissionResult | None:
    """Write nothing under a freeze, not even an undo."""
    for pause in pauses_over(attempt, inputs.pauses):
        if pause.freeze:
            return AdmissionResult(decision=AdmissionDecision.DENY, reason=f"frozen by {pause.who}: {pause.why}")
    return None


def unapproved(_attempt: Attempt, inputs: AdmissionInput, _limits: Limits) -> AdmissionResult | None:
    """Ask a person where the mode is now approve and no one has approved this run."""
    if inputs.mode is Mode.APPROVE and not inputs.approved:
        return AdmissionResult(decision=AdmissionDecision.ASK, reason="mode is approve, and this run has no approval")
    return None


def paused(attempt: Attempt, inputs: AdmissionInput, _limits: Limits) -> AdmissionResult | None:
    """Hold forward changes during a pause; a rollback goes on."""
    if attempt.phase is not Phase.FORWARD:
        return None
    for pause in pauses_over(attempt, inputs.pauses):
        return wait(f"paused by {pause.who}: {pause.why}")
    return next((wait(text) for text in inputs.annotations if text), None)


def stale(_attempt: Attempt, inputs: AdmissionInput, _limits: Limits) -> AdmissionResult | None:
    """Wait until the observed state can be trusted: a stale watch or a wrong clock says nothing (P6)."""
    return wait(inputs.observer.stale_reason) if inputs.observer.stale_reason else None


def silenced(attempt: Attempt, inputs: AdmissionInput, _limits: Limits) -> AdmissionResult | None:
    """Hold forward changes while people have silenced all alerts of the run (A19)."""
    return wait(inputs.silence) if inputs.silence and goes_forward(attempt) else None


def retired(attempt: Attempt, inputs: AdmissionInput, _limits: Limits) -> AdmissionResult | None:
    """Hold forward changes of a rule that was taken out of the catalog; what it has begun is taken back or finished all the same."""
    return wait(inputs.retired) if inputs.retired and goes_forward(attempt) else None


def breaker_open(attempt: Attempt, inputs: AdmissionInput, limits: Limits) -> AdmissionResult | None:
    """Hold forward changes while there are signs that the observer is at fault."""
    reason = breaker_reason(inputs.observer, limits.breaker_share) if goes_forward(attempt) else ""
    return wait(reason) if reason else None


def upstream(attempt: Attempt, inputs: AdmissionInput, _limits: Limits) -> AdmissionResult | None:
    """Hold forward changes while an upstream that went down meanwhile is being recovered: the cause comes first."""
    return wait(inputs.upstream) if inputs.upstream and goes_forward(attempt) else None


def opposing(attempt: Attempt, inputs: AdmissionInput, _limits: Limits) -> AdmissionResult | None:
    """Make no forward change that reverts one that another rule has just made: a person decides between them (E21)."""
    if not inputs.opposed or not goes_forward(attempt):
        return None
    return AdmissionResult(decision=AdmissionDecision.HAND_OVER, reason=inputs.opposed)


def overspent(attempt: Attempt, inputs: AdmissionInput, limits: Limits) -> AdmissionResult | None:
    """Hold forward changes once the namespace's disruption budget is spent (P7)."""
    spent = len(inputs.disruptions.moments)
    if not goes_forward(attempt) or spent < limits.budget:
        return None
    return wait(
        f"{spent} changes in {', '.join(sorted(attempt.namespaces))} within the budget window; the budget is {limits.budget}"
    )


def too_few(attempt: Attempt, inputs: AdmissionInput, _limits: Limits) -> AdmissionResult | None:
    """Hold the deletion of a pod that serves while no more of its service's may be unavailable (P7)."""
    if not goes_forward(attempt) or not attempt.pod:  # of one that is not seen yet the intent's own transaction tells
        return None
    said = (each.objection(attempt.pod, inputs.disruptions.objects) for each in inputs.pods)
    return next((wait(text) for text in said if text), None)


def goes_forward(attempt: Attempt) -> bool:
    """Return whether an attempt can wait: it belongs neither to a rollback nor to a section that has begun."""
    return attempt.phase is Phase.FORWARD and not attempt.must_complete


def pauses_over(attempt: Attempt, pauses: Iterable[Pause]) -> list[Pause]:
    """Return the pauses that concern an attempt: of everything, its rule, or a namespace or service that it affects."""
    return [
        pause
        for pause in pauses
        if any(
            covers(pause, namespace=namespace, rule=attempt.rule, service=service)
            for namespace in attempt.namespaces
            for service in attempt.services
        )
    ]


def wait(reason: str) -> AdmissionResult:
    """Return the decision to wait, for a condition that ends by itself or by a person."""
    return AdmissionResult(decision=AdmissionDecision.WAIT, reason=reason)


CHECKS: tuple[Check, ...] = (
    stopping,
    observing,
    frozen,
    unapproved,
    paused,
    stale,
    retired,
    breaker_open,
    upstream,
    opposing,
    overspent,
    too_few,
    silenced,
)
"""The order of the checks: decisions of people before observations, then the limits; last what is dear to find out."""


def can_oppose(command: Command | None) -> bool:
    """Return whether a change may be one that takes another back: most, a deleted pod or a restart, never are."""
    return command is not None and _conflict_key(_opposing_command(command)) is not None


def opposition(command: Command | None, changes: Iterable[MadeChange], *, rule: str, run: str) -> str:
    """
    Return that a change would take back one that another rule has made, "" where it would not.

    `changes` are those of late in the same namespace, the oldest first; the newest one of the same object counts. What a
    person has started by hand opposes nothing, and nothing opposes it: that is a person's decision.
    """
    if command is None or rule == MANUAL:
        return ""
    command = _opposing_command(command)
    concerned = ((change, undo) for change in changes for undo in _undone_by(change) if _is_same(command, undo))
    change, undo = max(concerned, key=lambda each: each[0].finished, default=(None, None))
    if (
        change is None
        or undo is None
        or change.run == run
        or change.rule in (rule, MANUAL)
        or not definition_of(command).opposes(command, undo)
    ):
        return ""
    return (
        f"rules {change.rule} and {rule} contradict each other: run {change.run} did `{change.text}` at"
        f" {change.finished:%H:%M:%S}, and the new change would undo that change. Neither continues: remove one of the two, or limit their"
        " conditions so that only one of them applies"
    )


def _undone_by(change: MadeChange) -> Iterable[Command]:
    """Return the commands that take a change back; what cannot be read is left out: it is never acted upon here."""
    for document in change.undo.commands if change.undo is not None else ():
        try:
            yield decode(document)
        except CommandError:
            continue


def _is_same(command: Command, undo: Command) -> bool:
    """Return whether a change and the way back from another one are about the same thing of the same object."""
    if type(command) is not type(undo) or not _names(command) & _names(undo):
        return False
    key = _conflict_key(command)
    return key is not None and key == _conflict_key(undo)


def _opposing_command(command: Command) -> Command:
    """Return what a change does first, where that is a change of another verb: a drain cordons."""
    return definition_of(command).opposing_command(command)


def _names(command: Command) -> frozenset[str]:
    return frozenset(map(str, definition_of(command).objects(command)))


def _conflict_key(command: Command) -> object:
    return definition_of(command).conflict_key(command)
